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
  type BodySink,
  type ChannelBinding,
  type Clock,
  type ForwardedClient,
  type Peer,
  type Reply,
  reply,
  SERVICE_UNAVAILABLE,
  type Session,
  type Timer,
  type TlsFacts,
  type Wire,
  wireText,
} from '@mailwright/core'
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js'
import type { Admission } from './admission.ts'
import { beforeCommands, beforeGreeting, notePassed } from './before-greeting.ts'
import { channelBindingOf } from './channel-binding.ts'
import type { ClientGate } from './client-gate.ts'
import { Conversation } from './conversation.ts'
import { Deadline } from './deadline.ts'
import type { Line } from './line.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { ListenerConfig, ProtocolTestConfig } from './options.ts'
import type { ProtocolTests } from './protocol-tests.ts'
import { type BrokenLine, CommandReader, type Reading } from './reader.ts'
import { CONNECTION_FAILED, EARLY_TALKER, TIMED_OUT, TLS_FAILED, wireReply } from './replies.ts'
import type { MailServer } from './server.ts'

/** How long a client may take to close its side after we closed ours. */
const LINGER_MS = 5_000
/** Replies to pipelined commands are sent at the latest when they come to this. */
const MOST_UNSENT = 16_384
const NOT_ASCII = /[^\x00-\x7f]/

/** What a connection needs from its listener. */
export interface ConnectionHost {
  readonly config: ListenerConfig
  readonly clock: Clock
  readonly draining: boolean
  readonly admission: Admission
  readonly memory: MemoryBudget
  /** The connection is gone for good. */
  gone(connection: MailConnection): void
  /** A TLS handshake from the first byte came to nothing. */
  handshakeFailed(client: Peer, refusal: Reply): void
  bug(where: string, error: unknown): void
  /** A trusted host said whom it forwards for. */
  forwarded(session: Session, client: ForwardedClient): void
}

export class MailConnection extends SMTPConnection implements Line, Reading {
  readonly #host: ConnectionHost
  readonly #client: Peer
  readonly #local: Peer
  /** The proxy that speaks for the client. */
  readonly #via: Peer | undefined
  readonly #deadline: Deadline
  readonly #sessionEnd: number
  #conversation: Conversation | undefined
  /** The greeting has not been sent. */
  #silent = true
  #unsent = ''
  #dataEnd = Number.POSITIVE_INFINITY
  #gone = false
  #upgradingSocket: Socket | undefined
  #handshakeReported = false
  /** What stands between this client and its mail, if anything does. */
  readonly #gate: ClientGate | undefined
  /** How long each reply is held back, and until when the ones ready now are. */
  #slowMs = 0
  #asleep: Timer | undefined
  /** Bytes read and not dealt with. */
  #waitingBytes = 0

  constructor(
    server: MailServer,
    wire: Wire,
    client: Peer,
    local: Peer,
    host: ConnectionHost,
    id: string,
    via: Peer | undefined,
  ) {
    // With the addresses given, smtp-server does not ask the system for them.
    super(server, wire as Socket, {
      id,
      localAddress: local.address,
      localPort: local.port,
      remoteAddress: client.address,
      remotePort: client.port,
    })
    this.#host = host
    this.#client = client
    this.#local = local
    this.#via = via
    this.#sessionEnd = host.clock.now() + host.config.sessionMs
    this.#deadline = new Deadline(host.clock, () => this._onTimeout())
    this.#gate = host.admission.gate(client.address)
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
    this._socket.on('error', () => this._onError())
    this.#expectWithin(this.#host.config.commandMs)
    if (this.#host.config.tls?.mode === 'implicit') {
      this.upgrade(nothing, () => this.#open(this.#tlsFacts()))
      return
    }
    this.#open(undefined)
    // A greeting that refuses has closed the connection already.
    if (!this._closing) this.#listen()
  }

  override _createParser(): CommandReader {
    // Called by the base constructor: only what the server has is there.
    const { config } = this._server as MailServer
    return new CommandReader(this, config.maxCommandLength)
  }

  /** Whatever smtp-server says by itself, in our words: a refusal, and the end. */
  override send(code: number, text?: string | string[] | null): void {
    const said = wireText(Array.isArray(text) ? text.join(' ') : (text ?? ''))
    this.say(wireReply(code < 500 ? reply(421, '4.3.0', said) : reply(554, '5.3.0', said)))
    this.close()
  }

  override close(): void {
    if (this._closing || this._closed) return
    this._closing = true
    this.#wake()
    this.#flush()
    const socket = this._socket
    this.#stopListening()
    if (this._parser !== false) {
      socket.unpipe(this._parser)
      this._parser.isClosed = true
    }
    if (this._upgrading) {
      this.destroy()
      return
    }
    socket.end()
    // A paused socket would never see the client's end; what still comes is thrown away.
    socket.resume()
    this.#deadline.set(this.#host.clock.now() + LINGER_MS)
  }

  /**
   * After QUIT a plain socket is closed at once, as Postfix does: the system still sends what was written. That saves
   * the wait for the client's end, and the error of the many clients that do not wait for our 221.
   */
  part(): void {
    this.#wake()
    this.#flush()
    const socket = this._socket
    if (this._closing || this._closed) return
    if (this.secure || socket.writableLength > 0 || this.#reader?.idle !== true) {
      this.close()
      return
    }
    this._closing = true
    if (this._parser !== false) this._parser.isClosed = true
    socket.destroy()
  }

  /** Cuts the connection off at once. */
  destroy(): void {
    // During a handshake the upper socket goes first: tearing a TLS wrap down from below is not safe in Node.
    this.#upgradingSocket?.destroy()
    this._socket.destroy()
  }

  override _onCloseEvent(): void {
    this._onClose()
  }

  override _onClose(): void {
    if (this.#gone) return
    this.#gone = true
    this._closed = true
    this.#deadline.cancel()
    this.#asleep?.cancel()
    this.onWaiting(-this.#waitingBytes)
    this.#noteTests()
    if (this._parser !== false) {
      this._parser.isClosed = true
      this._socket.unpipe(this._parser)
      this._parser = false
    }
    this.#conversation?.over()
    this._server.connections.delete(this)
    this.#host.gone(this)
  }

  override _onError(): void {
    if (this._upgrading) this.#handshakeFailed()
    this.destroy()
  }

  /** No timer: time is kept by `Deadline`. During an upgrade this is where the upper socket is seen first. */
  override _armTimeout(socket: Socket = this._socket): void {
    this.#upgradingSocket = socket
  }

  override _resetSession(): void {
    // The dialogue keeps the session.
  }

  override _onTimeout(): void {
    const reader = this.#reader
    if (this._upgrading) this.#handshakeFailed()
    if (this._closing || this._upgrading || reader === undefined) {
      this.destroy()
      return
    }
    if (reader.inData) this.#conversation?.transaction.abort()
    // While we owe the answer it is not the client who is slow. `onRest` sets the next deadline.
    else if (reader.waiting || this.#asleep !== undefined) return
    this.#conversation?.manners.dismiss('timeout', TIMED_OUT)
  }

  /** Stress has begun or ended: a client that owes us something has less time for it, or as much as before. */
  retime(): void {
    const { admission, clock } = this.#host
    if (this.#silent || this.#asleep !== undefined || this.#reader?.waiting === true) return
    if (admission.stressed) this.#deadline.atMost(clock.now() + admission.patient(Number.POSITIVE_INFINITY))
    else this.onRest()
  }

  /** The server stops: a client that is doing nothing is told at once, one in a transaction may finish it. */
  drain(): void {
    if (!this.#silent && !this._upgrading && this.#reader?.idle === true) this.#dismissIfDraining()
  }

  // What the conversation asks for.

  say(wire: string): void {
    // What was ready before is not held back with it.
    if (this.#slowMs > 0) this.#flush()
    this.#unsent += wire
    if (this.#slowMs > 0) this.#sleep(this.#slowMs)
    if (this.#unsent.length > MOST_UNSENT) this.#flush()
  }

  slow(ms: number): void {
    this.#slowMs = ms
  }

  watched(sink: BodySink): BodySink {
    return this.#host.memory.watch(sink)
  }

  startData(): void {
    this.#dataEnd = this.#host.clock.now() + this.#host.config.transactionMs
    this.#reader?.startData()
  }

  startChunk(size: number, position: 'first' | 'next'): void {
    if (position === 'first') this.#dataEnd = this.#host.clock.now() + this.#host.config.transactionMs
    this.#reader?.startChunk(size)
  }

  expectResponse(): void {
    this.#reader?.expectResponse()
  }

  channelBinding(): ChannelBinding | undefined {
    return this.secure ? channelBindingOf(this._socket as TLSSocket) : undefined
  }

  startTls(): void {
    this.#wake()
    this.#flush()
    this.#stopListening()
    this.#expectWithin(this.#host.config.commandMs)
    this.upgrade(nothing, () => {
      const facts = this.#tlsFacts()
      this.#upgradingSocket = undefined
      this.#conversation?.secured(facts)
      this.onRest()
    })
  }

  proceed(): void {
    if (this.#silent) {
      this.#silent = false
      this.onRest()
      if (this.#gate?.tests !== undefined) this.#reader?.setOutput('flowing')
    } else this.#reader?.proceed()
  }

  bug(where: string, error: unknown): void {
    this.#host.bug(where, error)
  }

  forwarded(session: Session, client: ForwardedClient): void {
    this.#host.forwarded(session, client)
  }

  // What the reader reports.

  onLine(line: string): boolean {
    if (this.#gate?.tests !== undefined && this.#ahead(this.#gate.tests, line)) return true
    return this.#conversation === undefined || this.#conversation.command(line)
  }

  onBroken(problem: BrokenLine): boolean {
    const tests = problem === 'bare-lf' ? this.#gate?.tests : undefined
    if (tests !== undefined && this.#conversation?.manners.caught('unknown', tests.fail('bareNewline'))) return true
    return this.#conversation === undefined || this.#conversation.broken(problem)
  }

  onResponse(line: string): boolean {
    return this.#conversation === undefined || this.#conversation.response(line)
  }

  onData(data: Uint8Array): Awaitable<void> {
    const failure = this.#gate?.tests?.data(this.#before)
    if (failure !== undefined && this.#conversation?.manners.caught('data', failure)) {
      this.#conversation.transaction.abort()
      return
    }
    return this.#conversation?.transaction.write(data)
  }

  onDataEnd(): boolean {
    this.#gate?.tests?.dataOver()
    return this.#conversation === undefined || this.#conversation.transaction.finish()
  }

  onChunkEnd(): boolean {
    return this.#conversation === undefined || this.#conversation.transaction.chunks.end()
  }

  onBytes(): boolean {
    if (!this.#silent) return false
    const tests = this.#gate?.tests
    if (tests?.tolerates('earlyTalker')) {
      this.#conversation?.manners.caught('connect', tests.fail('earlyTalker'))
      return false
    }
    this.#conversation?.manners.dismiss('connect', EARLY_TALKER)
    return true
  }

  onWaiting(bytes: number): 'go on' | 'stop' {
    this.#waitingBytes += bytes
    return bytes === 0 ? 'go on' : this.#host.memory.waiting(bytes)
  }

  onRest(): void {
    const reader = this.#reader
    const conversation = this.#conversation
    if (this._closing || this._upgrading || reader === undefined || conversation === undefined) return
    if (reader.waiting) {
      // The client may wait as long as we need; only DATA as a whole has an end.
      this.#deadline.set(reader.inData ? this.#dataEnd : Number.POSITIVE_INFINITY)
      return
    }
    if (this.#dismissIfDraining()) return
    this.#flush()
    const { idleMs, commandMs, dataMs } = this.#host.config
    const { admission } = this.#host
    if (reader.inData)
      this.#deadline.set(Math.min(this.#host.clock.now() + admission.patient(dataMs), this.#dataEnd, this.#sessionEnd))
    else this.#expectWithin(conversation.transaction.open || !conversation.greeted ? commandMs : idleMs)
  }

  onEnd(): void {
    if (this.#reader?.inData) this.#conversation?.transaction.abort()
    this.close()
  }

  onBug(error: unknown): void {
    this.bug('connection', error)
    this.#conversation?.transaction.abort()
    this.#conversation?.manners.dismiss('connection', CONNECTION_FAILED)
  }

  /** What `pipe` would do, for a fraction of what it costs each connection. After an upgrade smtp-server pipes. */
  #listen(): void {
    const socket = this._socket
    const reader = this.#reader!
    socket.on('data', this.#onData)
    socket.on('end', this.#onInputEnd)
    reader.on('drain', this.#onReaderDrain)
  }

  #stopListening(): void {
    this._socket.off('data', this.#onData)
    this._socket.off('end', this.#onInputEnd)
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#reader?.write(bytes) === false) this._socket.pause()
  }
  readonly #onInputEnd = (): void => void this.#reader?.end()
  readonly #onReaderDrain = (): void => void this._socket.resume()

  #open(tls: TlsFacts | undefined): void {
    const { config } = this.#host
    const { intake, protocol, profile } = config
    this.#upgradingSocket = undefined
    this.#deadline.set(Number.POSITIVE_INFINITY)
    try {
      const dialogue = intake.open({
        protocol,
        profile,
        client: this.#client,
        server: this.#local,
        tls,
        via: this.#via,
      })
      this.#conversation = new Conversation(dialogue, this, {
        protocol,
        maxSize: intake.maxSize,
        maxRecipients: intake.maxRecipients,
        capabilities: intake.capabilities,
        clock: this.#host.clock,
        auth: config.auth,
        extensions: config.extensions,
        trust: config.trusted?.(this.#client.address),
        patience: this.#host.admission.patience,
        gate: this.#gate,
      })
    } catch (error) {
      this.bug('open', error)
      this.say(wireReply(CONNECTION_FAILED))
      this.close()
      return
    }
    if (this.#gate?.tests !== undefined && config.protocolTests !== undefined) {
      this.#lookBeforeGreeting(this.#gate.tests, config.protocolTests)
    } else this.#greet()
  }

  #greet(): void {
    if (this._closing || this._closed) return
    if (this.#conversation?.greet() === true) this.proceed()
  }

  /** An unknown client hears half of the greeting, and the rest when it has been seen to wait for it. */
  #lookBeforeGreeting(tests: ProtocolTests, config: ProtocolTestConfig): void {
    const { clock, admission } = this.#host
    this.#reader?.setOutput('blocked')
    beforeGreeting({
      tests,
      config,
      address: this.#client.address,
      teaser: () => {
        this.#unsent += `220-${wireText(this.#host.config.intake.hostname)}\r\n`
        this.#flush()
      },
      wait: (then) => {
        this.#asleep = clock.after(
          admission.stressed ? Math.min(config.greetDelayMs, 2_000) : config.greetDelayMs,
          then,
        )
      },
      greet: () => {
        this.#asleep?.cancel()
        this.#asleep = undefined
        this.#greet()
      },
      bug: (error) => this.bug('passed clients', error),
    })
  }

  /** The client did not wait for the answer to a command. True when that ends the connection. */
  #ahead(tests: ProtocolTests, line: string): boolean {
    return this.#conversation?.manners.caught('pipelining', tests.command(line, this.#before)) === true
  }

  /** Whether the client has been sent the replies to everything before what it says now. */
  get #before(): 'answered' | 'unanswered' {
    return this.#unsent === '' ? 'answered' : 'unanswered'
  }

  /** Remembers what the client has passed: it waited for the greeting, and a whole message of it was in order. */
  #noteTests(): void {
    const tests = this.#gate?.tests
    const { clock, config } = this.#host
    if (tests === undefined || config.protocolTests === undefined || this.#conversation?.greeted !== true) return
    const taken = this.#conversation.manners.delivered > 0 ? tests.passed() : tests.passed().filter(beforeCommands)
    notePassed(config.protocolTests, this.#client.address, taken, clock.now(), (error) =>
      this.bug('passed clients', error),
    )
  }

  /** Holds back what is ready. One timer, and only while there is something to hold back. */
  #sleep(ms: number): void {
    if (this._closing || this.#asleep !== undefined) return
    this.#reader?.setOutput('blocked')
    this.#asleep = this.#host.clock.after(ms, () => {
      this.#wake()
      this.onRest()
    })
  }

  #wake(): void {
    if (this.#asleep === undefined) return
    this.#asleep.cancel()
    this.#asleep = undefined
    this.#flush()
    if (!this._closing && !this._socket.writableNeedDrain) this.#reader?.setOutput('flowing')
  }

  #tlsFacts(): TlsFacts {
    return (this._server as MailServer).tlsFacts(this._socket as TLSSocket)
  }

  #dismissIfDraining(): boolean {
    const conversation = this.#conversation
    if (!this.#host.draining || conversation === undefined || conversation.transaction.open) return false
    return conversation.manners.dismiss('drain', SERVICE_UNAVAILABLE)
  }

  #expectWithin(ms: number): void {
    this.#deadline.set(Math.min(this.#host.clock.now() + this.#host.admission.patient(ms), this.#sessionEnd))
  }

  #handshakeFailed(): void {
    if (this.#handshakeReported) return
    this.#handshakeReported = true
    if (this.#conversation === undefined) this.#host.handshakeFailed(this.#client, TLS_FAILED)
    else this.#conversation.manners.tell('starttls', TLS_FAILED)
  }

  /** One write for everything that is ready. */
  #flush(): void {
    const wire = this.#unsent
    if (wire === '' || (this.#asleep !== undefined && !this.#silent)) return
    this.#unsent = ''
    const socket = this._socket
    if (this._upgrading || socket.destroyed || socket.writableEnded) return
    if (socket.write(wire, NOT_ASCII.test(wire) ? 'utf8' : 'latin1') || this._closing) return
    const reader = this.#reader
    reader?.setOutput('blocked')
    socket.once('drain', () => {
      if (this.#asleep === undefined && !this.#silent) reader?.setOutput('flowing')
    })
  }
}

function nothing(): void {}
