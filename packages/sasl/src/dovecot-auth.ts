/**
 * Users that Dovecot knows: the exchange is carried to its authentication socket (client protocol 1.1), as Postfix does it. One
 * connection serves all clients and is made anew when it breaks. While Dovecot cannot be asked, clients are answered
 * 454 4.7.0. Mechanisms are those it announces, without those that need what this protocol does not carry: channel
 * bindings, certificates, and ANONYMOUS.
 */
import {
  type AuthenticationContext,
  type AuthenticationExchange,
  type AuthenticationStep,
  type Authenticator,
  type Block,
  type Call,
  type ConnectTarget,
  type Duration,
  type Lifecycle,
  MailwrightError,
  milliseconds,
  type Scope,
  type Session,
} from '@mailwright/core'
import { tell } from './back-end.ts'
import { connectDovecot, type DovecotConnection } from './dovecot-connection.ts'
import { type DovecotLine, parameter } from './dovecot-line.ts'
import { endedExchange, MAX_RESPONSE, malformed, refused, unavailable, type Verdict } from './exchange.ts'
import { userName } from './identity.ts'

export interface DovecotAuthOptions {
  /** The path of the socket, or address and port of an `inet_listener`. */
  readonly socket: string | { readonly host: string; readonly port: number }
  /** The service the user wants, which Dovecot may look at. Default `smtp`. */
  readonly service?: string | undefined
  /** Offered before Dovecot was reached for the first time. Default PLAIN and LOGIN. */
  readonly mechanisms?: readonly string[] | undefined
  /** Where mechanisms that send the password itself are offered. Default `tls`. */
  readonly clearText?: 'tls' | 'anywhere' | undefined
  /** How long connecting may take. Default `'5s'`. */
  readonly connectTimeout?: Duration | undefined
  /** How long an answer may take. Default `'30s'`: Dovecot lets a wrong password wait some seconds. */
  readonly timeout?: Duration | undefined
  /** How long no connection is tried after one failed. Default `'1s'`. */
  readonly retryAfter?: Duration | undefined
  /** Most exchanges in hand; beyond, clients are answered 454. Default 1,000. */
  readonly maxPending?: number | undefined
}

interface Offers {
  readonly clear: readonly string[]
  readonly tls: readonly string[]
}

/**
 * An authenticator that asks Dovecot.
 *
 * @example
 * const auth = mta.use(dovecotAuth({ socket: '/run/dovecot/auth-client' }))
 */
export function dovecotAuth(options: DovecotAuthOptions): Block<Authenticator> {
  return { name: 'dovecot', create: (scope) => create(scope, options) }
}

function create(scope: Scope, options: DovecotAuthOptions): Authenticator & Lifecycle {
  const { environment } = scope
  const { service = 'smtp', clearText = 'tls', maxPending = 1_000 } = options
  const target: ConnectTarget = typeof options.socket === 'string' ? { host: options.socket, port: 0 } : options.socket
  const connectMs = milliseconds(options.connectTimeout ?? '5s')
  const timeoutMs = milliseconds(options.timeout ?? '30s')
  const retryMs = milliseconds(options.retryAfter ?? '1s')
  const closing = new AbortController()
  let connection: DovecotConnection | undefined
  let connecting: Promise<DovecotConnection> | undefined
  let failedAt = Number.NEGATIVE_INFINITY
  let told: unknown
  let pending = 0
  let offers = offersOf((options.mechanisms ?? ['PLAIN', 'LOGIN']).map((name) => ({ name, properties: ['plaintext'] })))

  function offersOf(announced: DovecotConnection['mechanisms']): Offers {
    const usable = announced.filter(
      ({ name, properties }) =>
        !properties.includes('private') &&
        !properties.includes('anonymous') &&
        !/^(?:ANONYMOUS|EXTERNAL)$|-PLUS$/.test(name),
    )
    const clear = usable.filter(({ properties }) => clearText === 'anywhere' || !properties.includes('plaintext'))
    return { clear: clear.map(({ name }) => name), tls: usable.map(({ name }) => name) }
  }

  /** The one connection, made when it is needed. */
  function connected(): Promise<DovecotConnection> {
    if (connection?.open === 'yes') return Promise.resolve(connection)
    if (connecting === undefined && environment.clock.now() - failedAt < retryMs) {
      return Promise.reject(new MailwrightError('ERR_MAILWRIGHT_CONNECTION', 'Dovecot was not there a moment ago'))
    }
    connecting ??= connect().finally(() => {
      connecting = undefined
    })
    return connecting
  }

  async function connect(): Promise<DovecotConnection> {
    connection?.close()
    connection = undefined
    try {
      // Random, because workers of one program must differ too, and the process id is theirs in common.
      const bytes = environment.random.bytes(4)
      const clientNumber = 1 + (Buffer.from(bytes).readUInt32BE() >>> 1)
      const made = await connectDovecot(environment, target, clientNumber, connectMs, { signal: closing.signal })
      offers = offersOf(made.mechanisms)
      connection = made
      return made
    } catch (error) {
      failedAt = environment.clock.now()
      trouble(error)
      throw error
    }
  }

  /** Told once, however many clients meet with it. */
  function trouble(error: unknown): void {
    if (error !== told && !closing.signal.aborted) tell(scope, 'dovecot', error)
    told = error
  }

  const offered = (session: Session): readonly string[] => (session.tls === undefined ? offers.clear : offers.tls)

  function begin(mechanism: string, { session }: AuthenticationContext, call: Call): AuthenticationExchange {
    if (!offered(session).includes(mechanism)) return endedExchange(malformed('mechanism not offered'))
    if (pending >= maxPending) return endedExchange(unavailable('too many exchanges with Dovecot'))
    let using: DovecotConnection | undefined
    let number = 0
    let state: 'open' | 'over' = 'open'
    pending++

    const isOver = (): boolean => state === 'over'
    function over(): void {
      if (!isOver()) pending--
      state = 'over'
      call.signal.removeEventListener('abort', cancel)
    }
    function cancel(): void {
      if (isOver()) return
      over()
      using?.forget(number)
    }
    call.signal.addEventListener('abort', cancel, { once: true })

    async function asked(response: Uint8Array | undefined): Promise<DovecotLine> {
      const text = response === undefined ? undefined : Buffer.from(response).toString('base64')
      if (using !== undefined) return using.ask('CONT', number, [text ?? ''], timeoutMs)
      const made = await connected()
      if (isOver()) throw new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'given up')
      using = made
      number = made.number()
      return made.ask('AUTH', number, [mechanism, ...facts(session, service), ...initial(text)], timeoutMs)
    }

    async function step(response: Uint8Array | undefined): Promise<AuthenticationStep> {
      if (isOver()) return malformed('a response after the end')
      if (response !== undefined && response.length > MAX_RESPONSE) {
        cancel()
        return malformed('response too long')
      }
      try {
        const line = await asked(response)
        const answer = meaning(line)
        if (answer.kind !== 'challenge') over()
        return answer
      } catch (error) {
        // Who left, or came in the pause between two tries, is no news.
        if (!isOver() && (using !== undefined || error === told)) trouble(error)
        over()
        return unavailable('Dovecot does not answer')
      }
    }
    if (call.signal.aborted) cancel()
    return { step, cancel }
  }

  return {
    name: 'dovecot',
    mechanisms: offered,
    begin,
    // Learns the mechanisms early. That Dovecot is not up yet must not keep mail down.
    start: async () => void (await connected().catch(() => undefined)),
    async stop(): Promise<void> {
      closing.abort(new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'stopped'))
      connection?.close()
    },
  }
}

/** What Dovecot is told of the client. Whether it may see a password depends on `secured`. */
function facts({ tls, client, server }: Session, service: string): readonly string[] {
  return [
    `service=${service}`,
    ...(tls === undefined ? [] : ['secured']),
    `lip=${server.address}`,
    `rip=${client.address}`,
    `lport=${server.port}`,
    `rport=${client.port}`,
  ]
}

/** The initial response has to be the last parameter. */
function initial(text: string | undefined): readonly string[] {
  return text === undefined ? [] : [`resp=${text}`]
}

/** What a line about our request means. */
function meaning({ command, parameters }: DovecotLine): AuthenticationStep {
  if (command === 'CONT') return { kind: 'challenge', data: Buffer.from(parameters[0] ?? '', 'base64') }
  // A name that is none, or could break a line of a log, goes no further.
  const user = userName(parameter(parameters, 'user'))
  if (command === 'OK') return accepted(user, parameters)
  const temporary = parameter(parameters, 'temp') !== undefined || parameter(parameters, 'code') === 'temp_fail'
  return temporary ? unavailable('Dovecot: temporary failure', user) : refused('Dovecot: refused', user)
}

function accepted(user: string | undefined, parameters: readonly string[]): Verdict {
  if (user === undefined) return unavailable('Dovecot names no user')
  // The password was right, and the user may not log in for all that.
  if (parameter(parameters, 'nologin') !== undefined) return refused('Dovecot: may not log in', user)
  const proof = parameter(parameters, 'resp')
  return proof === undefined ? { kind: 'success', user } : { kind: 'success', user, data: Buffer.from(proof, 'base64') }
}
