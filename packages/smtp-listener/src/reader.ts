/**
 * Reads what the client sends: command lines, and message data up to CRLF . CRLF (RFC 5321 §4.1.1.4 and §4.5.2).
 *
 * It takes the place of smtp-server's parser, whose type it keeps so that the STARTTLS upgrade can retire it and pipe
 * into a new one, but none of the Writable machinery runs: `write` works through the bytes at once and says `false`
 * when the client has to wait, which is all that `pipe` needs. Commands are handed over strictly one at a time; what
 * comes while an answer is outstanding stays here, up to 64 KB, and then in the socket.
 *
 * A line ends at CRLF. One that ends in a bare LF, is too long, or holds bytes that are neither printable ASCII nor
 * UTF-8 is reported as broken and never read as a command. It knows no verbs and writes nothing.
 */
import { isUtf8 } from 'node:buffer'
import type { Awaitable } from '@mailwright/core'
import { type DotUnstuffer, dotUnstuffer } from '@mailwright/message'
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js'

/** Why a line is no command. `flood` is a line that does not end within 64 KB. */
export type BrokenLine = 'bare-lf' | 'too-long' | 'flood' | 'junk'

/** What the reader reports to. `true` means: go on with the next line; `false`: wait for `proceed()`. */
export interface Reading {
  onLine(line: string): boolean
  onBroken(problem: BrokenLine): boolean
  /** A line where `expectResponse` announced one, as it came: it may hold a secret. */
  onResponse(line: string): boolean
  /** Message data, unstuffed. A promise stops the reading until it settles. */
  onData(data: Uint8Array): Awaitable<void>
  /** The final dot. */
  onDataEnd(): boolean
  /** All of a chunk has been handed over. */
  onChunkEnd(): boolean
  /** Bytes came while nothing may be sent; true when the reader shall drop them. */
  onBytes(): boolean
  /** So many bytes more wait to be dealt with, or fewer. `stop`: no more are to be read meanwhile. */
  onWaiting(bytes: number): 'go on' | 'stop'
  /** Something was read, and all that can be done about it for now has been done. */
  onRest(): void
  /** The client will send no more. Called after everything before it was dealt with. */
  onEnd(): void
  /** The owner threw. */
  onBug(error: unknown): void
}

const MOST_WAITING = 65_536
const FLOOD = 65_536
/** Octets of a response within AUTH, and of AUTH with a response in it, CRLF included (RFC 4954 §4). */
const LONGEST_RESPONSE = 12_290
const AUTH = /^AUTH /i
/** No chunk is expected. */
const NONE = -1
/** Anything but printable ASCII. */
const UNUSUAL = /[^\x20-\x7e]/
/** Control characters; TAB is none here. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/

export class CommandReader extends SMTPStream {
  readonly #owner: Reading
  readonly #maxLine: number
  /** Bytes not dealt with yet, from `#at` on. */
  #bytes: Buffer | undefined
  #at = 0
  /** Bytes that came while we waited. */
  #later: Buffer[] = []
  #laterSize = 0
  /** Octets thrown away of a line that is too long already. */
  #skipped = 0
  #unstuffer: DotUnstuffer | undefined
  /** What the unstuffer emitted for one chunk. */
  #data: Uint8Array | undefined
  #dataOver = false
  /** Octets of a chunk that have not come yet. */
  #chunkLeft = NONE
  #responseExpected = false
  #answerPending = false
  #outputBlocked = false
  #running = false
  #progress = false
  #ended = false
  #sourcePaused = false

  constructor(owner: Reading, maxLine: number) {
    super()
    this.#owner = owner
    this.#maxLine = maxLine
  }

  /** Message data is expected or its end not answered yet. */
  get inData(): boolean {
    return this.#unstuffer !== undefined || this.#chunkLeft !== NONE
  }

  /** An answer of ours is outstanding. */
  get waiting(): boolean {
    return this.#answerPending
  }

  /** Nothing is outstanding and nothing, not even part of a line, has come. */
  get idle(): boolean {
    return !this.#stopped && this.#bytes === undefined && this.#skipped === 0 && !this.inData
  }

  get #stopped(): boolean {
    return this.#answerPending || this.#outputBlocked || this.isClosed
  }

  /** The next bytes are message data. */
  startData(): void {
    this.#unstuffer = dotUnstuffer()
  }

  /** The next `size` bytes are message data as they are, whatever they hold. */
  startChunk(size: number): void {
    this.#chunkLeft = size
  }

  /** The next line is a response within AUTH. */
  expectResponse(): void {
    this.#responseExpected = true
  }

  /** The answer that `false` asked to wait for has been given. */
  proceed(): void {
    this.#answerPending = false
    this.#progress = true
    this.#resume()
  }

  /** The client does not read our replies: no more commands until it does. */
  setOutput(state: 'blocked' | 'flowing'): void {
    this.#outputBlocked = state === 'blocked'
    if (state === 'flowing') this.#resume()
  }

  override write(chunk: unknown): boolean {
    const bytes = chunk as Buffer
    if (this.isClosed || bytes.length === 0 || this.#owner.onBytes()) return true
    if (this.#stopped || this.#running) {
      this.#later.push(bytes)
      this.#laterSize += bytes.length
      const stop = this.#owner.onWaiting(bytes.length) === 'stop'
      this.#sourcePaused = stop || this.inData || this.#laterSize >= MOST_WAITING
      return !this.#sourcePaused
    }
    this.#take(bytes)
    this.#run()
    // While a sink asks us to wait nothing more is read; while a reply is outstanding a little may come.
    // Once we have hung up, what still comes is to flow past, so that the client reads why and its end is seen.
    this.#sourcePaused = this.#stopped && this.inData && !this.isClosed
    return !this.#sourcePaused
  }

  override end(): this {
    this.#ended = true
    if (!this.#stopped && !this.#running) this.#finish()
    return this
  }

  #resume(): void {
    if (this.#stopped || this.#running) return
    this.#run()
    if (this.#stopped || !this.#sourcePaused) return
    this.#sourcePaused = false
    this.emit('drain')
  }

  #run(): void {
    this.#running = true
    try {
      do {
        if (this.#laterSize > 0) this.#takeLater()
        while (!this.#stopped && this.#step());
      } while (!this.#stopped && this.#laterSize > 0)
    } catch (error) {
      this.#owner.onBug(error)
    }
    this.#running = false
    if (this.#progress && !this.isClosed) {
      this.#progress = false
      this.#owner.onRest()
    }
    if (this.#ended && !this.#stopped) this.#finish()
  }

  #finish(): void {
    this.#ended = false
    this.#owner.onEnd()
  }

  /** Does one thing. False when there is nothing left that is whole. */
  #step(): boolean {
    if (this.#dataOver) {
      this.#dataOver = false
      this.#unstuffer = undefined
      this.#goOn(this.#owner.onDataEnd())
      return true
    }
    if (this.#chunkLeft === 0) {
      this.#chunkLeft = NONE
      this.#goOn(this.#owner.onChunkEnd())
      return true
    }
    if (this.#bytes === undefined) return false
    if (this.#chunkLeft > 0) return this.#takeChunk(this.#bytes)
    return this.#unstuffer === undefined ? this.#takeLine(this.#bytes) : this.#takeData(this.#bytes, this.#unstuffer)
  }

  #takeLine(bytes: Buffer): boolean {
    const start = this.#at
    const lineFeed = bytes.indexOf(10, start)
    if (lineFeed < 0) {
      const size = bytes.length - start
      if (this.#skipped > 0 || (size > this.#maxLine && size > this.#longest(bytes, start))) {
        this.#skipped += size
        this.#bytes = undefined
        this.#at = 0
        if (this.#skipped > FLOOD) {
          this.#progress = true
          this.#goOn(this.#owner.onBroken('flood'))
        }
      }
      return false
    }
    this.#consume(bytes, lineFeed + 1)
    this.#progress = true
    const size = this.#skipped + lineFeed + 1 - start
    const skipped = this.#skipped
    this.#skipped = 0
    const response = this.#responseExpected
    const tooLong = skipped > 0 || (size > this.#maxLine && size > this.#longest(bytes, start))
    this.#responseExpected = false
    if (tooLong) this.#goOn(this.#owner.onBroken(size > FLOOD ? 'flood' : 'too-long'))
    else if (lineFeed === start || bytes[lineFeed - 1] !== 13) this.#goOn(this.#owner.onBroken('bare-lf'))
    else if (response) this.#goOn(this.#owner.onResponse(bytes.toString('latin1', start, lineFeed - 1)))
    else {
      const line = commandLine(bytes, start, lineFeed - 1)
      this.#goOn(line === undefined ? this.#owner.onBroken('junk') : this.#owner.onLine(line))
    }
    return true
  }

  #takeData(bytes: Buffer, unstuffer: DotUnstuffer): boolean {
    const end = unstuffer.feed(this.#at === 0 ? bytes : bytes.subarray(this.#at), this.#collect)
    if (end < 0) this.#consume(bytes, bytes.length)
    else {
      this.#consume(bytes, this.#at + end)
      this.#dataOver = true
    }
    this.#progress = true
    const data = this.#data
    if (data !== undefined) {
      this.#data = undefined
      this.#handOver(data)
    }
    return true
  }

  #takeChunk(bytes: Buffer): boolean {
    const start = this.#at
    const size = Math.min(this.#chunkLeft, bytes.length - start)
    this.#consume(bytes, start + size)
    this.#chunkLeft -= size
    this.#progress = true
    this.#handOver(size === bytes.length ? bytes : bytes.subarray(start, start + size))
    return true
  }

  #handOver(data: Uint8Array): void {
    const written = this.#owner.onData(data)
    if (!(written instanceof Promise)) return
    this.#answerPending = true
    written.then(this.#written, this.#written)
  }

  /** How long this line may be: more than a command where it holds a response of AUTH. */
  #longest(bytes: Buffer, start: number): number {
    const response = this.#responseExpected || AUTH.test(bytes.toString('latin1', start, start + 5))
    return response ? Math.max(LONGEST_RESPONSE, this.#maxLine) : this.#maxLine
  }

  readonly #collect = (data: Uint8Array): void => {
    this.#data = this.#data === undefined ? data : Buffer.concat([this.#data, data])
  }

  readonly #written = (): void => this.proceed()

  #goOn(answered: boolean): void {
    if (!answered) this.#answerPending = true
  }

  #take(bytes: Buffer): void {
    if (this.#bytes === undefined) this.#bytes = bytes
    else {
      this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), bytes])
      this.#at = 0
    }
  }

  #takeLater(): void {
    const later = this.#later.length === 1 ? this.#later[0]! : Buffer.concat(this.#later, this.#laterSize)
    this.#owner.onWaiting(-this.#laterSize)
    this.#later = []
    this.#laterSize = 0
    this.#take(later)
  }

  #consume(bytes: Buffer, upTo: number): void {
    if (upTo < bytes.length) this.#at = upTo
    else {
      this.#bytes = undefined
      this.#at = 0
    }
  }
}

/** The line as text, or undefined when it holds what no command may hold. Trailing blanks are dropped (RFC 5321 §4.1.1). */
function commandLine(bytes: Buffer, start: number, end: number): string | undefined {
  let stop = end
  while (stop > start && bytes[stop - 1] === 32) stop--
  const line = bytes.toString('latin1', start, stop)
  if (!UNUSUAL.test(line)) return line
  if (CONTROL.test(line) || !isUtf8(bytes.subarray(start, stop))) return undefined
  return bytes.toString('utf8', start, stop)
}
