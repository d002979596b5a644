/**
 * Policies about who the client has proved to be: by AUTH or by a TLS certificate. They read `session.user` and
 * `session.tls` when they are asked, because both change while a connection lasts.
 */
import {
  accept,
  MailwrightError,
  type Policy,
  policy,
  type Refusal,
  reject,
  reply,
  type Session,
} from '@mailwright/core'

const REQUIRED: Refusal = reply(530, '5.7.0', 'Authentication required')
const FINGERPRINT = /^[0-9a-f]{64}$/

/** Rejects mail of clients that have not authenticated: `530 5.7.0` (RFC 4954 §6). Has no opinion on the others. */
export function requireAuthentication(): Policy {
  const refused = reject(REQUIRED, 'the client has not authenticated')
  return policy('require-authentication', (session) => ({
    mail: () => (session.user === undefined ? refused : undefined),
  }))
}

/**
 * Accepts recipients from clients that show one of these certificates, as Postfix's `permit_tls_clientcerts`. A
 * fingerprint is SHA-256 in hexadecimal, with or without colons, of the certificate or of its public key. Knowing the
 * fingerprint is enough: the certificate need not verify against any authority.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for what is no SHA-256 fingerprint.
 * @example
 * permitClientCertificate(['9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08'])
 */
export function permitClientCertificate(fingerprints: readonly string[]): Policy {
  const known = new Set(fingerprints.map(canonical))
  return policy('permit-client-certificate', (session: Session) => ({
    rcpt: () => {
      const shown = session.tls?.clientCertificate
      if (shown === undefined) return undefined
      const matching = [shown.fingerprint, shown.publicKeyFingerprint].find((one) => known.has(one))
      return matching === undefined ? undefined : accept(`the client has the certificate ${matching}`)
    },
  }))
}

function canonical(fingerprint: string): string {
  const text = fingerprint.replaceAll(':', '').toLowerCase()
  if (FINGERPRINT.test(text)) return text
  throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a SHA-256 fingerprint: ${fingerprint}`)
}
