/**
 * The block: takes connections from the network and serves them until told to stop.
 *
 * Start rejects when the address cannot be had. Drain stops listening, tells idle clients 421 4.3.2, and waits for
 * those in a transaction until the signal aborts. Stop destroys what is left: no socket and no timer remains. It does not
 * authenticate, does not read the PROXY protocol, and does not decide about mail: that is the intake's.
 */
import {
  type Block,
  type Call,
  type Clock,
  type Lifecycle,
  type Listening,
  type ListenTarget,
  MailwrightError,
  type Peer,
  type Reply,
  type Scope,
  type Wire,
} from '@mailwright/core'
import { Admission } from './admission.ts'
import { clientOf, serverOf } from './client.ts'
import type { ConnectionHost, MailConnection } from './connection.ts'
import { MemoryBudget } from './memory-budget.ts'
import { type ListenerConfig, listenerConfig, type SmtpListenerOptions } from './options.ts'
import { TOO_MANY_CONNECTIONS, wireReply } from './replies.ts'
import { MailServer } from './server.ts'

/** What the program sees of a listener. */
export interface ListenerHandle {
  /** Where it listens. Throws `ERR_MAILWRIGHT_STOPPED` before start. */
  readonly address: ListenTarget
  /** The same as text: `smtp://127.0.0.1:2525`, `smtps://…`, `lmtp://…`. */
  readonly url: string
  /** Connections open now. */
  readonly connections: number
  /** Too many connections or messages in transit: clients have less time and fewer errors. */
  readonly stressed: boolean
}

/** How long a client that was turned away may take to read why. */
const FAREWELL_MS = 1_000
/** Turned away and told why at a time; beyond it, cut off without a word. */
const MOST_FAREWELLS = 100

/**
 * An SMTP, submission or LMTP server for an intake.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 * @example
 * const listener = mta.use(smtpListener({ intake, port: 2525 }))
 * await mta.start()
 * console.log(listener.url) // smtp://127.0.0.1:2525
 */
export function smtpListener(options: SmtpListenerOptions): Block<ListenerHandle> {
  const config = listenerConfig(options)
  const name = `${config.protocol}-listener ${hostPort(config)}`
  return { name, create: (scope: Scope) => new SmtpListener(name, config, scope) }
}

class SmtpListener implements ListenerHandle, Lifecycle, ConnectionHost {
  readonly config: ListenerConfig
  readonly clock: Clock
  readonly #name: string
  readonly #scope: Scope
  readonly #server: MailServer
  readonly admission: Admission
  readonly memory: MemoryBudget
  readonly #open = new Set<MailConnection>()
  readonly #farewells = new Set<Wire>()
  #listening: Listening | undefined
  #address: ListenTarget | undefined
  /** Where every connection arrives, if that is one address. */
  #local: Peer | undefined
  #draining = false
  #closed: Promise<void> = Promise.resolve()
  #onQuiet: (() => void) | undefined

  constructor(name: string, config: ListenerConfig, scope: Scope) {
    this.#name = name
    this.#scope = scope
    this.config = config
    this.clock = scope.environment.clock
    this.admission = new Admission(this.clock, config, () => this.#retime())
    this.memory = new MemoryBudget(config.memoryBudget, (state) => this.admission.memory(state))
    this.#server = new MailServer(this)
  }

  get address(): ListenTarget {
    if (this.#address === undefined)
      throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', `${this.#name} was not started`)
    return this.#address
  }

  get url(): string {
    const { protocol, tls } = this.config
    return `${protocol}${tls?.mode === 'implicit' ? 's' : ''}://${hostPort(this.address)}`
  }

  get connections(): number {
    return this.#open.size
  }

  get stressed(): boolean {
    return this.admission.stressed
  }

  get draining(): boolean {
    return this.#draining
  }

  async start(): Promise<void> {
    const { host, port } = this.config
    this.#listening = await this.#scope.environment.net.listen({ host, port }, (wire) => this.#accept(wire))
    this.#address = this.#listening.address
    const { host: address, port: bound } = this.#address
    if (address !== '0.0.0.0' && address !== '::') this.#local = { address, port: bound }
    this.#scope.events.emit({ type: 'listener.ready', listener: this.#name, url: this.url })
  }

  async drain(call: Call): Promise<void> {
    this.#stopListening()
    for (const connection of this.#open) connection.drain()
    if (call.signal.aborted) return
    const giveUp = Promise.withResolvers<void>()
    const abort = (): void => giveUp.resolve()
    call.signal.addEventListener('abort', abort, { once: true })
    await Promise.race([Promise.all([this.#quiet(), this.#closed]), giveUp.promise])
    call.signal.removeEventListener('abort', abort)
  }

  async stop(): Promise<void> {
    this.#stopListening()
    for (const wire of this.#farewells) wire.destroy()
    for (const connection of this.#open) connection.destroy()
    await Promise.all([this.#quiet(), this.#closed])
  }

  gone(connection: MailConnection): void {
    if (!this.#open.delete(connection)) return
    this.admission.release(connection.client.address)
    if (this.#open.size === 0) this.#onQuiet?.()
  }

  handshakeFailed(client: Peer, refusal: Reply): void {
    this.#refused(client, refusal, 'TLS handshake failed')
  }

  bug(where: string, error: unknown): void {
    this.#scope.events.emit({ type: 'failure', where: `${this.#name}: ${where}`, error })
  }

  #accept(wire: Wire): void {
    const client = clientOf(wire)
    if (client === undefined || this.#draining) {
      wire.on('error', ignore)
      wire.destroy()
      return
    }
    const admission = this.admission.admit(client.address)
    if (admission !== 'admitted') {
      this.#refused(client, TOO_MANY_CONNECTIONS, admission)
      this.#sayFarewell(wire)
      return
    }
    const connection = this.#server.serve(wire, client, this.#localOf(wire))
    // A wire that broke while it was greeted reports its end later, as an event.
    this.#open.add(connection)
  }

  /** Stress has begun or ended: that holds for clients that are here already, too. */
  #retime(): void {
    for (const connection of this.#open) connection.retime()
  }

  /** Our end of a connection. Only where we listen on all addresses does the system have to be asked. */
  #localOf(wire: Wire): Peer {
    return this.#local ?? serverOf(wire)
  }

  /** Tells a client that is turned away why. One that expects TLS could not read it. */
  #sayFarewell(wire: Wire): void {
    wire.on('error', ignore)
    if (this.config.tls?.mode === 'implicit' || this.#farewells.size >= MOST_FAREWELLS) {
      wire.destroy()
      return
    }
    this.#farewells.add(wire)
    const timer = this.clock.after(FAREWELL_MS, () => wire.destroy())
    wire.once('close', () => {
      timer.cancel()
      this.#farewells.delete(wire)
    })
    wire.resume()
    wire.end(wireReply(TOO_MANY_CONNECTIONS))
  }

  #refused(client: Peer, reply: Reply, reason: string): void {
    const { events } = this.#scope
    if (events.wants('connection.refused')) events.emit({ type: 'connection.refused', client, reply, reason })
  }

  /** Not waited for here: a network may take as long to close as the last connection lives. */
  #stopListening(): void {
    this.#draining = true
    const listening = this.#listening
    this.#listening = undefined
    if (listening === undefined) return
    this.#closed = listening.close().catch((error: unknown) => this.bug('close', error))
  }

  /** Resolves when no connection is left. */
  #quiet(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve()
    const quiet = Promise.withResolvers<void>()
    const before = this.#onQuiet
    this.#onQuiet = (): void => {
      before?.()
      quiet.resolve()
    }
    return quiet.promise
  }
}

function hostPort({ host, port }: ListenTarget): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

function ignore(): void {}
