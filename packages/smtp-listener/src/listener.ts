/**
 * The block: takes connections from the network and serves them until told to stop.
 *
 * Start rejects when the address cannot be had. Drain stops listening, tells idle clients 421 4.3.2, and waits for
 * those in a transaction until the signal aborts. Stop destroys what is left: no socket and no timer remains. It does not
 * authenticate and does not decide about mail: that is the intake's.
 */
import {
  type Block,
  type Call,
  type Clock,
  type ForwardedClient,
  type Lifecycle,
  type ListenAddress,
  type Listening,
  type ListenTarget,
  MailwrightError,
  type Peer,
  type Reply,
  reply,
  type Scope,
  type Session,
  type Wire,
} from '@mailwright/core'
import { Admission } from './admission.ts'
import { clientOf, serverOf, UNIX_PEER } from './client.ts'
import type { ConnectionHost, MailConnection } from './connection.ts'
import { MemoryBudget } from './memory-budget.ts'
import {
  type ListenerConfig,
  type ListenerTls,
  listenerConfig,
  type ProxyRules,
  type SmtpListenerOptions,
} from './options.ts'
import { ProxyGate, type ProxyGateHost } from './proxy-gate.ts'
import { TOO_MANY_CONNECTIONS, wireReply } from './replies.ts'
import { MailServer } from './server.ts'

/** What the program sees of a listener. */
export interface ListenerHandle {
  /** Where it listens. Throws `ERR_MAILWRIGHT_STOPPED` before start. */
  readonly address: ListenAddress
  /** The same as text: `smtp://127.0.0.1:2525`, `smtps://…`, `lmtp://…`, `lmtp+unix:///run/lmtp.sock`. */
  readonly url: string
  /** Connections open now. */
  readonly connections: number
  /**
   * Handshakes from now on are made with these: a certificate that was renewed, one more name. Sessions that are secured
   * already go on with what they have; tickets of before resume only with `ticketKeys`.
   *
   * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when it cannot be used, or the mode would change; then all stays.
   */
  reloadTls(tls: ListenerTls): void
  /** Too many connections or messages in transit: clients have less time and fewer errors. */
  readonly stressed: boolean
}

/** Only for the event: a peer without an address is cut off. */
const NO_ADDRESS: Reply = reply(554, '5.7.1', 'No address')
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
  const warning = config.certificate === 'development' ? ' with a self-signed certificate, for development only' : ''
  const name = `${config.protocol}-listener ${targetName(config.listen)}${warning}`
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
  #address: ListenAddress | undefined
  /** Takes PROXY headers, where we stand behind proxies. */
  readonly #gate: ProxyGate | undefined
  /** Connections come by a unix socket: nobody has an address. */
  #unix = false
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
    this.#gate = config.proxy && this.#proxyGate(config.proxy)
  }

  get address(): ListenAddress {
    if (this.#address === undefined)
      throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', `${this.#name} was not started`)
    return this.#address
  }

  get url(): string {
    const { protocol, tls } = this.config
    const scheme = `${protocol}${tls?.mode === 'implicit' ? 's' : ''}`
    const { host } = this.address
    return host.startsWith('/') ? `${scheme}+unix://${host}` : `${scheme}://${hostPort(this.address)}`
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

  reloadTls(tls: ListenerTls): void {
    if (this.config.tls?.mode !== (tls.mode ?? 'starttls')) {
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${this.#name} cannot change between clear text and TLS`)
    }
    this.#server.useTls(tls)
  }

  async start(): Promise<void> {
    this.#listening = await this.#scope.environment.net.listen(this.config.listen, (wire) => this.#accept(wire))
    this.#address = this.#listening.address
    const { host: address, port } = this.#address
    this.#unix = address.startsWith('/')
    if (this.#unix) this.#local = UNIX_PEER
    else if (address !== '0.0.0.0' && address !== '::') this.#local = { address, port }
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

  forwarded(session: Session, forwarded: ForwardedClient): void {
    const { events } = this.#scope
    if (events.wants('session.forwarded'))
      events.emit({ type: 'session.forwarded', session: { ...session }, forwarded })
  }

  #accept(wire: Wire): void {
    const client = this.#unix ? UNIX_PEER : clientOf(wire)
    if (client === undefined || this.#draining) {
      wire.on('error', ignore)
      wire.destroy()
      return
    }
    if (this.#gate !== undefined) this.#gate.enter(wire, this.#unix ? undefined : client)
    else if (this.#unix && this.config.unixPeers === 'refuse') this.#refuseUnix(wire)
    else this.#admit(wire, client)
  }

  /** Serves a client unless there are too many. Both ends are as a proxy gave them, if one speaks for the client. */
  #admit(wire: Wire, client: Peer, local: Peer = this.#localOf(wire), via?: Peer): void {
    const admission = this.admission.admit(client.address)
    if (admission !== 'admitted') {
      this.#refused(client, TOO_MANY_CONNECTIONS, admission)
      this.#sayFarewell(wire)
      return
    }
    const connection = this.#server.serve(wire, client, local, via)
    // A wire that broke while it was greeted reports its end later, as an event.
    this.#open.add(connection)
  }

  #proxyGate(rules: ProxyRules): ProxyGate {
    const host: ProxyGateHost = {
      clock: this.clock,
      trusts: (peer) => (peer === undefined ? rules.unix === 'proxy' : rules.isProxy(peer.address)),
      refused: (proxy, refusal, reason) => this.#refused(proxy ?? UNIX_PEER, refusal, reason),
      admit: (wire, proxy, header) => {
        if (header.kind === 'proxied') this.#admit(wire, header.client, header.server, proxy ?? UNIX_PEER)
        else if (proxy !== undefined || this.config.unixPeers === 'loopback') this.#admit(wire, proxy ?? UNIX_PEER)
        else this.#refuseUnix(wire)
        // The gate has paused it. TLS goes on by itself.
        if (this.config.tls?.mode !== 'implicit') wire.resume()
      },
    }
    return new ProxyGate(host, this.config.maxConnections)
  }

  /** A peer without an address, where those are not taken for this host. */
  #refuseUnix(wire: Wire): void {
    wire.on('error', ignore)
    wire.destroy()
    this.#refused(UNIX_PEER, NO_ADDRESS, 'a peer without an address')
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
    this.#gate?.close()
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

function targetName(target: ListenTarget): string {
  if ('path' in target) return target.path
  return 'fd' in target ? `fd ${target.fd}` : hostPort(target)
}

function hostPort({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

function ignore(): void {}
