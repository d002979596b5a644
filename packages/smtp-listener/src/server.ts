/**
 * smtp-server as a registry of connections and a keeper of TLS contexts. It never listens: sockets are handed to it.
 * Its own dialogue, timers and log are not used.
 */
import type { Socket } from 'node:net'
import type { SecureContext, TLSSocket } from 'node:tls'
import type { Peer, TlsFacts, Wire } from '@mailwright/core'
import { SMTPServer } from 'smtp-server'
import { Certificates } from './certificates.ts'
import { clientOf, serverOf, tlsFacts } from './client.ts'
import { clientCertificate } from './client-certificate.ts'
import { type ConnectionHost, MailConnection } from './connection.ts'
import type { ListenerConfig, ListenerTls } from './options.ts'

export class MailServer extends SMTPServer {
  readonly config: ListenerConfig
  readonly #host: ConnectionHost
  #certificates: Certificates | undefined
  #served = 0

  /** Throws `ERR_MAILWRIGHT_CONFIG` when the certificate cannot be used. */
  constructor(host: ConnectionHost) {
    const { config } = host
    super({
      hideSTARTTLS: config.tls === undefined,
      name: config.intake.hostname,
      logger: false,
      disableReverseLookup: true,
    })
    this.config = config
    this.#host = host
    if (config.tls !== undefined) this.useTls(config.tls)
  }

  /** From now on handshakes are made with these. Throws `ERR_MAILWRIGHT_CONFIG`, and nothing changes, for what cannot be. */
  useTls(tls: ListenerTls): void {
    this.#certificates = new Certificates(tls, this.config.intake.hostname)
    // Where smtp-server looks when a handshake begins.
    this.secureContext.set('*', this.#certificates.fallback)
    this.options.requestCert = tls.clientCertificates === 'ask'
    this.options.rejectUnauthorized = false
  }

  /** What a handshake came to. */
  tlsFacts(socket: TLSSocket): TlsFacts {
    const facts = tlsFacts(socket)
    const certificate = this.options.requestCert ? clientCertificate(socket) : undefined
    return certificate === undefined ? facts : { ...facts, clientCertificate: certificate }
  }

  override _resolveSNI(servername: string, callback: (error: null, context: SecureContext) => void): void {
    const certificates = this.#certificates!
    const found = certificates.find(servername)
    if (!(found instanceof Promise)) callback(null, found)
    else {
      found.then(
        (context) => callback(null, context),
        (error: unknown) => {
          this.#host.bug('tls.contexts', error)
          callback(null, certificates.fallback)
        },
      )
    }
  }

  /** Serves a wire that somebody has accepted. */
  override connect(socket: Socket): void {
    const wire: Wire = socket
    const client = clientOf(wire)
    if (client === undefined) wire.destroy()
    else this.serve(wire, client, serverOf(wire))
  }

  /** The same, where both ends are known already. */
  serve(wire: Wire, client: Peer, local: Peer, via?: Peer): MailConnection {
    const connection = new MailConnection(this, wire, client, local, this.#host, String(++this.#served), via)
    this.connections.add(connection)
    connection.init()
    return connection
  }

  /** Called when a handshake is done, before anything is read from the client. */
  override onSecure(_socket: unknown, _session: unknown, callback: () => void): void {
    callback()
  }

  override _onError(): void {
    // Errors of a wire end that connection and nothing else.
  }
}
