/**
 * Collects a message while it arrives: separates head from body, enforces the size and line-end rules, and lets a large
 * body go straight to the transport's spool. A message that breaks a rule is read to its end and then refused; nothing
 * of it is kept meanwhile.
 *
 * Line ends (RFC 5321 §2.3.8, §4.1.1.4): a bare CR, a bare LF or a NUL is refused, or normalised where asked for.
 */
import { type Awaitable, type MessageSource, type Refusal, reply, type Spool, toRefusal } from '@mailwright/core'
import {
  headLength,
  type LineGuard,
  type LineNormalizer,
  lineGuard,
  lineNormalizer,
  memorySource,
} from '@mailwright/message'
import { HEAD_TOO_LARGE, TOO_LARGE } from './dialogue-replies.ts'

export interface CollectorOptions {
  /** Largest message in bytes. */
  readonly maxSize: number
  /** Largest header block in bytes. */
  readonly maxHeadSize: number
  /** Bodies up to this many bytes stay in memory. */
  readonly inlineLimit: number
  /** `any`: the body may hold any byte (BINARYMIME, RFC 3030); its head is made of lines all the same. */
  readonly lineEnds: 'reject' | 'normalize' | 'any'
  /** Where larger bodies go; without it they stay in memory. */
  readonly spool: (() => Spool) | undefined
}

const VIOLATIONS = {
  'bare-lf': reply(550, '5.5.2', 'bare <LF> received'),
  'bare-cr': reply(550, '5.5.2', 'bare <CR> received'),
  nul: reply(550, '5.5.2', 'NUL octet received'),
} as const
const EMPTY = Buffer.alloc(0)
/** How much beyond the limit is read at least, so that an honest client hears why: 1 MiB. */
const LEAST_PATIENCE = 1_048_576

export class MessageCollector {
  readonly #options: CollectorOptions
  /** At least the largest head, so that a head is whole in memory before it is looked for. */
  readonly #memoryLimit: number
  readonly #guard: LineGuard | undefined
  readonly #normalizer: LineNormalizer | undefined
  /** What has arrived and is still in memory, in order. */
  #chunks: Uint8Array[] = []
  #size = 0
  /** Everything that came, kept or not. */
  #received = 0
  readonly #hopelessAfter: number
  #refusal: Refusal | undefined
  /** Set once the message has outgrown memory: the head, cut off, and the spool that takes the rest. */
  #large: { readonly head: Uint8Array; readonly spool: Spool } | undefined

  constructor(options: CollectorOptions) {
    this.#options = options
    this.#memoryLimit = Math.max(options.inlineLimit, options.maxHeadSize)
    this.#hopelessAfter = options.maxSize + Math.max(options.maxSize, LEAST_PATIENCE)
    if (options.lineEnds === 'reject') this.#guard = lineGuard()
    else if (options.lineEnds === 'normalize') this.#normalizer = lineNormalizer()
  }

  write(chunk: Uint8Array): Awaitable<void> {
    this.#received += chunk.length
    if (this.#refusal !== undefined) return
    if (this.#received > this.#hopelessAfter) return this.#refuse(TOO_LARGE)
    const violation = this.#guard?.check(chunk)
    if (violation !== undefined) return this.#refuse(VIOLATIONS[violation])
    return this.#keep(this.#normalizer === undefined ? chunk : this.#normalizer.push(chunk))
  }

  /** Why nothing more should be read: twice the largest message has come, and at least 1 MiB beyond it. */
  hopeless(): Refusal | undefined {
    return this.#received > this.#hopelessAfter ? TOO_LARGE : undefined
  }

  /** Bytes in memory now: of a message that goes to a spool the head alone. */
  get held(): number {
    if (this.#refusal !== undefined) return 0
    return this.#large === undefined ? this.#size : this.#large.head.length
  }

  #keep(bytes: Uint8Array): Awaitable<void> {
    this.#size += bytes.length
    if (this.#size > this.#options.maxSize) return this.#refuse(TOO_LARGE)
    if (this.#large !== undefined) return this.#spool(this.#large.spool, bytes)
    if (bytes.length > 0) this.#chunks.push(bytes)
    if (this.#size > this.#memoryLimit && this.#options.spool !== undefined) return this.#outgrow(this.#options.spool)
  }

  /** The message does not fit in memory: its head stays there, its body moves to the spool. */
  #outgrow(open: () => Spool): Awaitable<void> {
    const sofar = this.#gather()
    const length = headLength(sofar)
    if (length < 0 || length > this.#options.maxHeadSize) return this.#refuse(HEAD_TOO_LARGE)
    const violation = this.#headViolation(sofar.subarray(0, length))
    if (violation !== undefined) return this.#refuse(violation)
    try {
      const spool = open()
      this.#large = { head: sofar.slice(0, length), spool }
      this.#chunks = []
      return this.#spool(spool, sofar.subarray(length))
    } catch (error) {
      return this.#refuse(toRefusal(error))
    }
  }

  #spool(spool: Spool, bytes: Uint8Array): Awaitable<void> {
    try {
      const written = spool.write(bytes)
      if (written instanceof Promise) return written.catch((error: unknown) => this.#refuse(toRefusal(error)))
    } catch (error) {
      return this.#refuse(toRefusal(error))
    }
  }

  /** The rest is read and forgotten. */
  #refuse(refusal: Refusal): Awaitable<void> {
    this.#refusal = refusal
    this.#chunks = []
    return this.abandon()
  }

  /** Nobody wants the message any more. */
  abandon(): Awaitable<void> {
    const large = this.#large
    this.#large = undefined
    this.#chunks = []
    return large?.spool.abort()
  }

  /** The end of data: the message, or why it is refused. */
  finish(): Awaitable<MessageSource | Refusal> {
    const violation = this.#guard?.end()
    if (violation !== undefined && this.#refusal === undefined) {
      const refused = this.#refuse(VIOLATIONS[violation])
      if (refused instanceof Promise) return refused.then(() => this.#conclude())
    }
    const rest = this.#normalizer?.end()
    if (rest !== undefined && this.#refusal === undefined) {
      const kept = this.#keep(rest)
      if (kept instanceof Promise) return kept.then(() => this.#conclude())
    }
    return this.#conclude()
  }

  #conclude(): Awaitable<MessageSource | Refusal> {
    if (this.#refusal !== undefined) return this.#refusal
    const large = this.#large
    if (large !== undefined) {
      this.#large = undefined
      return finishSpool(large.head, large.spool)
    }
    const whole = this.#gather()
    const end = headLength(whole)
    // Without an empty line it is all head: header fields and no body.
    const length = end < 0 ? whole.length : end
    if (length > this.#options.maxHeadSize) return HEAD_TOO_LARGE
    const violation = this.#headViolation(whole.subarray(0, length))
    if (violation !== undefined) return violation
    return memorySource(whole.subarray(0, length), whole.subarray(length))
  }

  /** What is wrong with the head of a message whose lines nobody has looked at. */
  #headViolation(head: Uint8Array): Refusal | undefined {
    if (this.#options.lineEnds !== 'any') return undefined
    const guard = lineGuard()
    const problem = guard.check(head) ?? guard.end()
    return problem === undefined ? undefined : VIOLATIONS[problem]
  }

  #gather(): Uint8Array {
    if (this.#chunks.length === 1) return this.#chunks[0]!
    return this.#chunks.length === 0 ? EMPTY : Buffer.concat(this.#chunks)
  }
}

/** The message whose body is in the spool, or a refusal; then the spool is gone. */
async function finishSpool(head: Uint8Array, spool: Spool): Promise<MessageSource | Refusal> {
  try {
    const body = await spool.finish()
    return { head, size: head.length + body.size, spooled: body, body: (call) => body.read(call) }
  } catch (error) {
    await spool.abort()
    return toRefusal(error)
  }
}
