/**
 * BDAT (RFC 3030): a message in chunks of declared size, octets as they are. Whatever becomes of a chunk, its octets are
 * read as octets and never as commands; the answer comes after them, in order.
 *
 * A chunk that cannot be taken makes the message fail: later chunks are read, thrown away and answered 503, until the
 * last one, RSET or EHLO. Where more would have to be thrown away than we are willing to read, the connection ends
 * after that much. A BDAT whose size cannot be read ends the connection: nobody knows what follows it.
 */
import { type Awaitable, LOCAL_ERROR, type Reply, reply } from '@mailwright/core'
import { type Line, later } from './line.ts'
import type { Manners } from './manners.ts'
import * as replies from './replies.ts'

/** What the chunks need of the transaction they belong to. */
export interface ChunkedMessage {
  readonly open: boolean
  /** Recipients accepted. */
  readonly recipients: number
  /** Replies after the last chunk: one, or with LMTP one for each recipient. */
  readonly receipts: number
  /** There is a place for the message, and it has not failed. */
  readonly receiving: boolean
  /** Asks for a place for the message; gives the refusal where there is none. */
  beginChunks(): Awaitable<Reply | undefined>
  /** All of the message has come. */
  finish(): boolean
  /** The message will not come to its end. */
  abort(): void
  /** Says what the dialogue answered. */
  answer(answer: Reply): true
  /** Ends the transaction, for the dialogue too. */
  forget(): void
}

interface Chunk {
  readonly size: number
  readonly last: boolean
  /** Who refuses it, if anybody does: we, or the dialogue, which knows of it. */
  readonly refusal?: Reply | undefined
  readonly refusedBy?: 'engine' | 'dialogue'
}

const BDAT = /^BDAT (\d{1,15})(?: +(LAST))?$/i
/** Octets of refused chunks, beyond those of one message, that are read before the connection ends. */
const MOST_EXCESS = 1_048_576

export class Chunking {
  readonly #message: ChunkedMessage
  readonly #line: Line
  readonly #manners: Manners
  readonly #maxSize: number
  #state: 'none' | 'under way' | 'failed' = 'none'
  /** The chunk whose octets are coming. */
  #chunk: Chunk | undefined
  #received = 0
  /** Octets thrown away since a message last came through. */
  #discarded = 0

  constructor(message: ChunkedMessage, line: Line, manners: Manners, maxSize: number) {
    this.#message = message
    this.#line = line
    this.#manners = manners
    this.#maxSize = maxSize
  }

  /** The message has begun with BDAT, whatever became of it. */
  get begun(): boolean {
    return this.#state !== 'none'
  }

  /** The transaction has ended. */
  reset(): void {
    this.#state = 'none'
    this.#received = 0
  }

  /** One BDAT command. `tooEarly`: the refusal where the client has not said EHLO or LHLO. */
  command(line: string, tooEarly: Reply | undefined): boolean {
    const words = BDAT.exec(line)
    if (words === null) return this.#manners.dismiss('bdat', replies.BDAT_SYNTAX)
    const size = Number(words[1])
    const last = words[2] !== undefined
    const refusal = tooEarly ?? this.#refusal(size)
    if (refusal !== undefined) return this.#discard({ size, last, refusal, refusedBy: 'engine' })
    const chunk: Chunk = { size, last }
    if (this.#state === 'under way') return this.#expect(chunk, 'next')
    const begun = this.#begin()
    if (begun instanceof Promise) {
      return later(
        this.#line,
        begun,
        (answer) => void this.#begun(chunk, answer),
        (error) => void this.#begun(chunk, this.#broke(error)),
      )
    }
    return this.#begun(chunk, begun)
  }

  /** All octets of the chunk have come. */
  end(): boolean {
    const chunk = this.#chunk
    this.#chunk = undefined
    if (chunk === undefined) return true
    const { size, last, refusal, refusedBy } = chunk
    if (refusal !== undefined) {
      const closes = this.#discarded > this.#mostDiscarded
      return this.#failed(last, refusal, closes ? 'closing' : (refusedBy ?? 'engine'))
    }
    if (last) {
      this.#discarded = 0
      return this.#message.finish()
    }
    if (!this.#message.receiving) return this.#failed(last, LOCAL_ERROR, 'dialogue')
    this.#received += size
    this.#line.say(replies.wireReply(reply(250, '2.0.0', `${size} octets received`)))
    return true
  }

  get #mostDiscarded(): number {
    return this.#maxSize + MOST_EXCESS
  }

  #refusal(size: number): Reply | undefined {
    if (!this.#message.open) return replies.MAIL_FIRST
    if (this.#message.recipients === 0) return replies.NO_RECIPIENTS
    if (this.#state === 'failed') return replies.BDAT_FAILED
    return this.#received + size > this.#maxSize ? replies.TOO_LARGE : undefined
  }

  /** Whatever goes wrong here, the octets will come. */
  #begin(): Awaitable<Reply | undefined> {
    try {
      return this.#message.beginChunks()
    } catch (error) {
      return this.#broke(error)
    }
  }

  #begun(chunk: Chunk, refusal: Reply | undefined): boolean {
    if (refusal !== undefined) return this.#discard({ ...chunk, refusal, refusedBy: 'dialogue' })
    this.#state = 'under way'
    return this.#expect(chunk, 'first')
  }

  #expect(chunk: Chunk, position: 'first' | 'next'): true {
    this.#chunk = chunk
    this.#line.startChunk(chunk.size, position)
    return true
  }

  /** Reads the octets of a refused chunk and throws them away, as far as that goes. */
  #discard(chunk: Chunk): true {
    this.#message.abort()
    const patience = this.#mostDiscarded - this.#discarded
    this.#discarded += chunk.size
    this.#chunk = chunk
    this.#line.startChunk(Math.min(chunk.size, patience), 'first')
    return true
  }

  #failed(last: boolean, refusal: Reply, how: 'engine' | 'dialogue' | 'closing'): true {
    const copies = last ? this.#message.receipts : 1
    if (!this.#message.open) this.#state = 'none'
    else if (last) this.#message.forget()
    else this.#state = 'failed'
    if (how === 'closing') return this.#manners.dismiss('bdat', refusal)
    for (let copy = 1; copy < copies; copy++) this.#line.say(replies.wireReply(refusal))
    if (how === 'engine') return this.#manners.refuse('bdat', refusal)
    return this.#message.answer(refusal)
  }

  #broke(error: unknown): Reply {
    this.#line.bug('bdat', error)
    return LOCAL_ERROR
  }
}
