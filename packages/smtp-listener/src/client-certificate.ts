/** The certificate a client showed, as facts. Whether it opens a door is policy. */
import { createHash } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { ClientCertificate } from '@mailwright/core'

/** Names in certificates are their makers': as much as fits a log line. */
const LONGEST_NAME = 500

/** Undefined when the client showed none, or one whose key we cannot read: nothing is known then. */
export function clientCertificate(socket: TLSSocket): ClientCertificate | undefined {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return undefined
  try {
    return {
      subject: oneLine(certificate.subject),
      issuer: oneLine(certificate.issuer),
      fingerprint: sha256(certificate.raw),
      publicKeyFingerprint: sha256(certificate.publicKey.export({ type: 'spki', format: 'der' })),
      verified: socket.authorized,
    }
  } catch {
    return undefined
  }
}

/** Node writes one attribute a line. A certificate may have no subject at all. */
function oneLine(name: string | undefined): string {
  return (name ?? '').replace(/\p{Cc}+/gu, ', ').slice(0, LONGEST_NAME)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
