/**
 * One client: its socket, its time limits, and what goes out. The lifecycle and the TLS upgrade are smtp-server's, under
 * contract tests; its timers, its 100 ms pause before the greeting, its PTR look-up, and its way of writing are not used.
 *
 * Replies are gathered and leave in one write when everything that came has been dealt with. A client that does not
 * read them is not listened to until it does. A client that is too slow gets 421 and is cut off; whatever the wire
 * does, the dialogue is closed exactly once and a message under way is aborted. Errors of the wire end the connection
 * and go no further.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import {
  type Awaitable,
  type Clock,
  type Peer,
  type Reply,
  reply,
  SERVICE_UNAVAILABLE,
  type TlsFacts,
  type Wire,
  wireText,
} from '@mailwright/core'
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js'
import { serverOf, tlsFacts } from './client.ts'
import { Conversation, type Line } from './conversation.ts'
import { Deadline } from './deadline.ts'
import type { ListenerConfig } from './options.ts'
import { type BrokenLine, CommandReader, type Reading } from './reader.ts'
import { CONNECTION_FAILED, EARLY_TALKER, TIMED_OUT, TLS_FAILED, wireReply } from './replies.ts'
import type { MailServer } from './server.ts'

/** How long a client may take to close its side after we closed ours. */
const LINGER_MS = 5_000
/** Replies to pipelined commands are sent at the latest when they come to this. */
const MOST_UNSENT = 16_384

/** What a connection needs from its listener. */
export interface ConnectionHost {
  readonly config: ListenerConfig
  readonly clock: Clock
  readonly draining: boolean
  /** The connection is gone for good. */
  gone(connection: MailConnection): void
  /** A TLS handshake from the first byte came to nothing. */
  handshakeFailed(client: Peer, refusal: Reply): void
  bug(where: string, error: unknown): void
}

export class MailConnection extends SMTPConnection implements Line, Reading {
  readonly #host: ConnectionHost
  readonly #client: Peer
  readonly #deadline: Deadline
  readonly #sessionEnd: number
  #conversation: Conversation | undefined
  /** The greeting has not been sent. */
  #silent = true
  #unsent = ''
  #dataEnd = Number.POSITIVE_INFINITY
  #gone = false

  constructor(server: MailServer, wire: Wire, client: Peer, host: ConnectionHost, id: string) {
    super(server, wire as Socket, { id })
    this.#host = host
    this.#client = client
    this.#sessionEnd = host.clock.now() + host.config.sessionMs
    this.#deadline = new Deadline(host.clock, () => this._onTimeout())
  }

  /** The client's address. */
  get client(): Peer {
    return this.#client
  }

  get draining(): boolean {
    return this.#host.draining
  }

  get tls(): 'none' | 'offered' | 'active' {
    if (this.secure) return 'active'
    return this.#host.config.tls === undefined ? 'none' : 'offered'
  }

  get #reader(): CommandReader | undefined {
    return this._parser === false ? undefined : (this._parser as CommandReader)
  }

  // Lifecycle, in smtp-server's terms.

  override init(): void {
    this._socket.on('close', () => this._onClose())
    this._socket.on('error', (error) => this._onError(error))
    this.#expectWithin(this.#host.config.commandMs)
    if (this.#host.config.tls?.mode === 'implicit') {
      this.upgrade(
        () => {},
        () => this.#open(tlsFacts(this._socket as TLSSocket)),
      )
      return
    }
    this.#open(undefined)
    // A greeting that refuses has closed the connection already.
    if (!this._closing && this._parser !== false) this._socket.pipe(this._parser)
  }

  override _createParser(): CommandReader {
    // Called by the base constructor: only what the server has is there.
    const { config } = this._server as MailServer
    return new CommandReader(this, config.maxCommandLength)
  }

  /** Whatever smtp-server says by itself, in our words. */
  override send(code: number, text?: string | string[] | null): void {
    const said = wireText(Array.isArray(text) ? text.join(' ') : (text ?? ''))
    const answer = code < 400 ? reply(250, '2.0.0', said) : code < 500 ? reply(421, '4.3.0', said) : reply(554, '5.3.0', said)
    this.#unsent += wireReply(answer)
    if (code >= 400) this.close()
  }

  override close(): void {
    if (this._closing || this._closed) return
    this._closing = true
    this.#flush()
    const socket = this._socket
    if (this._parser !== false) {
      socket.unpipe(this._parser)
      this._parser.isClosed = true
    }
    if (this._upgrading || socket.destroyed) {
      socket.destroy()
      return
    }
    socket.end()
    // A paused socket would never see the client's end; what still comes is thrown away.
    socket.resume()
    this.#deadline.set(this.#host.clock.now() + LINGER_MS)
  }

  override _onCloseEvent(): void {
    this._onClose()
  }

  override _onClose(): void {
    if (this.#gone) return
    this.#gone = true
    this._closed = true
    this.#deadline.cancel()
    if (this._parser !== false) {
      this._parser.isClosed = true
      this._socket.unpipe(this._parser)
      this._parser = false
    }
    this.#conversation?.over()
    this._server.connections.delete(this)
    this.#host.gone(this)
  }

  override _onError(_error: Error): void {
    if (this._upgrading && !this._closing) this.#handshakeFailed()
    this._socket.destroy()
  }

  override _armTimeout(): void {
    // Time is kept by `Deadline`.
  }

  override _resetSession(): void {
    // The dialogue keeps the session.
  }

  override _onTimeout(): void {
    if (this._closing || this._upgrading) {
      if (this._upgrading) this.#handshakeFailed()
      this._socket.destroy()
      return
    }
    if (this.#reader?.inData) this.#conversation?.abortData()
    else if (this.#reader?.waiting) return
    this.#dismiss('timeout', TIMED_OUT)
  }

  // The conversation's line.

  /** Sends text with the next write. The text of a reply, CRLF included. */
  sendWire(wire: string): void {
    this.#unsent += wire
    if (this.#unsent.length > MOST_UNSENT) this.#flush()
  }
}
