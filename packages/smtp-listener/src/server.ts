/**
 * smtp-server as a registry of connections and a keeper of TLS contexts. It never listens: sockets are handed to it.
 * Its own dialogue, timers and log are not used.
 */
import type { Socket } from 'node:net'
import { MailwrightError, type Peer, type Wire } from '@mailwright/core'
import { SMTPServer } from 'smtp-server'
import { clientOf, serverOf } from './client.ts'
import { type ConnectionHost, MailConnection } from './connection.ts'
import type { ListenerConfig } from './options.ts'

export class MailServer extends SMTPServer {
  readonly config: ListenerConfig
  readonly #host: ConnectionHost
  #served = 0

  /** Throws `ERR_MAILWRIGHT_CONFIG` when the certificate cannot be used. */
  constructor(host: ConnectionHost) {
    const { config } = host
    try {
      super({ ...tlsOptions(config), name: config.intake.hostname, logger: false, disableReverseLookup: true })
    } catch (error) {
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'smtpListener: the certificate or its key cannot be used', {
        cause: error,
      })
    }
    this.config = config
    this.#host = host
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

type ServerOptions = NonNullable<ConstructorParameters<typeof SMTPServer>[0]>

function tlsOptions({ tls }: ListenerConfig): ServerOptions {
  if (tls === undefined) return { hideSTARTTLS: true }
  const { key, cert, ca, minVersion } = tls
  const options: ServerOptions = { key: pem(key), cert: pem(cert), minVersion: minVersion ?? 'TLSv1.2' }
  return ca === undefined ? options : { ...options, ca: pem(ca) }
}

function pem(text: string | Uint8Array): string | Buffer {
  return typeof text === 'string' ? text : Buffer.from(text)
}
