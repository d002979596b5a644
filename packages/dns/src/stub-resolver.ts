/**
 * A stub resolver (RFC 1034 §5.3.1) that tells what Node's does not: the TTL of every record, and whether the recursive
 * resolver validated the answer by DNSSEC. The AD bit is worth as much as the way it came: it counts from servers on the
 * loopback, unless the host says that the way to the others can be trusted too (RFC 6840 §5.7, RFC 4035 §4.9.3).
 *
 * Servers are asked in turn, by UDP, and by TCP where the answer does not fit. Each question has a bounded time, and
 * all of them together. It does not cache: put a `cachingResolver` before it.
 */
import {
  type Call,
  type Clock,
  type DnsAnswer,
  type Duration,
  MailwrightError,
  milliseconds,
  parseAddress,
  type Random,
  type RecordType,
  type RecordTypes,
  type Resolver,
} from '@mailwright/core'
import { decodeResponse, encodeQuestion, type Question, type Response } from './dns-message.ts'
import { type Exchange, type NameServer, parseNameServer } from './name-server.ts'
import { socketExchange } from './socket-exchange.ts'

export interface StubResolverOptions {
  /** Recursive resolvers: `127.0.0.1`, `[2001:db8::1]:5353`. Asked in this order. */
  readonly servers: readonly string[]
  readonly clock: Clock
  readonly random: Random
  /** Whose word on DNSSEC counts. Default `loopback`; `all`: the way to every server can be trusted; `none`. */
  readonly trust?: 'loopback' | 'all' | 'none'
  /** For one question to one server. Default 2 s. */
  readonly timeout?: Duration
  /** How often the servers are gone through. Default 2. */
  readonly rounds?: number
  /** For a look-up in all. Default 10 s. */
  readonly deadline?: Duration
  /** How servers are reached. Default: by sockets. */
  readonly exchange?: Exchange
}

/** RFC 6761 §6.3: answered here, never asked. */
const LOCALHOST = /^(?:.+\.)?localhost$/
/** A name as DNS takes it: labels of 1 to 63 octets, 253 in all. */
const NAME = /^(?=.{1,253}$)(?:[^.\s\x00-\x1f]{1,63}\.)*[^.\s\x00-\x1f]{1,63}$/
const HOUR_MS = 3_600_000

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a server that is none.
 * @example
 * const dns = cachingResolver({ clock, inner: stubResolver({ servers: ['127.0.0.1'], clock, random }) })
 */
export function stubResolver(options: StubResolverOptions): Resolver {
  const { clock, random, trust = 'loopback', rounds = 2, exchange = socketExchange } = options
  const servers = options.servers.map(parseNameServer)
  if (servers.length === 0) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'a resolver needs a name server')
  const timeoutMs = milliseconds(options.timeout ?? '2s')
  const deadlineMs = milliseconds(options.deadline ?? '10s')
  const isTrusted = (server: NameServer): 'trusted' | 'untrusted' =>
    trust === 'all' || (trust === 'loopback' && isLoopback(server.host)) ? 'trusted' : 'untrusted'

  async function ask(name: string, type: RecordType, call: Call): Promise<DnsAnswer<unknown>> {
    const end = clock.now() + deadlineMs
    let failure: DnsAnswer<unknown> = { status: 'failed', cause: 'no name server answered in time' }
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) {
        const left = Math.min(timeoutMs, end - clock.now())
        if (left <= 0) return failure
        const answer = await askServer(server, name, type, left, call)
        if (answer.status !== 'failed') return answer
        failure = answer
      }
    }
    return failure
  }

  /** By UDP, and if that is not enough by TCP, each within the time left. */
  async function askServer(
    server: NameServer,
    name: string,
    type: RecordType,
    withinMs: number,
    call: Call,
  ): Promise<DnsAnswer<unknown>> {
    const [high = 0, low = 0] = random.bytes(2)
    const question: Question = { id: high * 256 + low, name, type }
    try {
      let response = await askOnce(server, question, 'udp', withinMs, call)
      if (response.kind === 'truncated') response = await askOnce(server, question, 'tcp', withinMs, call)
      return response.kind === 'answer' ? response.answer : { status: 'failed', cause: 'truncated by TCP' }
    } catch (error) {
      call.signal.throwIfAborted()
      return { status: 'failed', cause: error instanceof Error ? error.message : String(error) }
    }
  }

  async function askOnce(
    server: NameServer,
    question: Question,
    way: 'udp' | 'tcp',
    withinMs: number,
    call: Call,
  ): Promise<Response> {
    const controller = new AbortController()
    const timer = clock.after(withinMs, () => controller.abort(new Error(`no answer within ${withinMs} ms`)))
    const giveUp = (): void => controller.abort(call.signal.reason)
    call.signal.addEventListener('abort', giveUp, { once: true })
    let response: Response | undefined
    const receive = (bytes: Uint8Array): 'accepted' | 'ignored' => {
      response = decodeResponse(bytes, question, isTrusted(server))
      return response === undefined ? 'ignored' : 'accepted'
    }
    try {
      await exchange(server, encodeQuestion(question), way, receive, { signal: controller.signal })
    } finally {
      timer.cancel()
      call.signal.removeEventListener('abort', giveUp)
    }
    return response ?? { kind: 'answer', answer: { status: 'failed', cause: 'no answer' } }
  }

  return {
    async resolve<T extends RecordType>(name: string, type: T, call: Call): Promise<DnsAnswer<RecordTypes[T]>> {
      call.signal.throwIfAborted()
      const asked = (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase()
      const local = type === 'A' ? '127.0.0.1' : type === 'AAAA' ? '::1' : undefined
      if (local !== undefined && LOCALHOST.test(asked))
        return { status: 'found', records: [local as RecordTypes[T]], ttlMs: HOUR_MS, secure: false }
      // What cannot be a name has no records: no server need be asked.
      if (!NAME.test(asked)) return { status: 'none', reason: 'no-name', ttlMs: HOUR_MS, secure: false }
      return (await ask(asked, type, call)) as DnsAnswer<RecordTypes[T]>
    },
  }
}

function isLoopback(host: string): boolean {
  const bytes = parseAddress(host)!
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, index) => byte === (index === 15 ? 1 : 0))
}
