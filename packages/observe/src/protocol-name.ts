/** The name of the protocol a client speaks (RFC 3848), as `with` in Received and `proto` in logs. */
import type { Session } from '@mailwright/core'

/**
 * @example
 * protocolName(session) // 'ESMTPSA'
 */
export function protocolName(session: Session): string {
  const base = session.protocol === 'lmtp' ? 'LMTP' : session.extended ? 'ESMTP' : 'SMTP'
  // HELO knows neither TLS nor authentication.
  if (base === 'SMTP') return base
  if (session.tls === undefined) return session.user === undefined ? base : `${base}A`
  return session.user === undefined ? `${base}S` : `${base}SA`
}
