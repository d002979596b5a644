/** The client's side of TLS over any wire, for the in-memory network. */
import { isIP } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  type DetailedPeerCertificate,
  type TLSSocket,
} from 'node:tls'
import {
  type Call,
  type ClientTls,
  MailwrightError,
  reply,
  type SecureWire,
  type TlsFacts,
  type Wire,
} from '@mailwright/core'

/** Runs the handshake. Rejects with `ERR_MAILWRIGHT_CONNECTION`, and destroys the wire, when it fails. */
export function secureWire(wire: Wire, options: ClientTls, call: Call): Promise<SecureWire> {
  return new Promise((resolve, reject) => {
    if (call.signal.aborted) {
      wire.destroy()
      return reject(handshakeFailed(call.signal.reason))
    }
    let trusted = false
    const socket = connect(connectionOptions(wire, options, () => (trusted = true)))
    if (options.tickets !== undefined) socket.on('session', (ticket: Buffer) => options.tickets?.keep(ticket))
    const abort = (): void => fail(call.signal.reason)
    const broken = (): void => fail(new Error('the connection closed during the handshake'))
    call.signal.addEventListener('abort', abort, { once: true })
    socket.once('error', fail)
    socket.once('close', broken)
    // The wire's own failure does not always reach the TLS socket above it before the handshake is done.
    wire.once('close', broken)
    socket.once('secureConnect', () => {
      if (options.verify && !socket.authorized) return fail(socket.authorizationError)
      stopWatching()
      // A TLS socket over a stream that is no socket does not know its ends.
      for (const end of ['localAddress', 'localPort', 'remoteAddress', 'remotePort'] as const) {
        Object.defineProperty(socket, end, { value: wire[end], configurable: true })
      }
      resolve({
        wire: socket,
        facts: { ...factsOf(socket, options.servername), resumed: socket.isSessionReused() },
        authorized: socket.authorized,
        trusted,
        presented: () => presentedBy(socket),
      })
    })

    function stopWatching(): void {
      call.signal.removeEventListener('abort', abort)
      socket.off('error', fail)
      socket.off('close', broken)
      wire.off('close', broken)
    }

    function fail(cause: unknown): void {
      stopWatching()
      // Late errors of a connection given up are nobody's business.
      socket.on('error', () => {})
      wire.on('error', () => {})
      socket.destroy()
      wire.destroy()
      reject(handshakeFailed(cause))
    }
  })
}

function factsOf(socket: TLSSocket, servername: string | undefined): TlsFacts {
  const facts = { protocol: socket.getProtocol() ?? 'unknown', cipher: socket.getCipher().name }
  return servername === undefined ? facts : { ...facts, servername }
}

/** Node links each certificate to its issuer's; a root to itself. */
function presentedBy(socket: TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw !== undefined && !chain.some((seen) => certificate!.raw.equals(seen))) {
    chain.push(certificate.raw)
    certificate = certificate.issuerCertificate
  }
  return chain
}

function handshakeFailed(cause: unknown): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONNECTION', 'TLS handshake failed', {
    cause,
    reply: reply(451, '4.7.5', 'TLS handshake failed'),
  })
}

function connectionOptions(wire: Wire, options: ClientTls, verified: () => void): ConnectionOptions {
  const { servername, ca, minVersion = 'TLSv1.2', tickets } = options
  return {
    socket: wire,
    minVersion,
    // Whether a failed verification ends the connection is decided above, where the answer is a coded error.
    rejectUnauthorized: false,
    ...(servername !== undefined && isIP(servername) === 0 ? { servername } : {}),
    ...(ca === undefined ? {} : { ca: ca.map((one) => Buffer.from(one)) }),
    ...(tickets?.ticket === undefined ? {} : { session: Buffer.from(tickets.ticket) }),
    // Only asked of a chain that verified. Without a name there is nothing to match; Node would match 'localhost'.
    checkServerIdentity(_, certificate) {
      verified()
      return servername === undefined ? undefined : checkServerIdentity(servername, certificate)
    },
  }
}
