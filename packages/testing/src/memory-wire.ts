/**
 * One end of an in-memory connection. It behaves as a TCP socket does towards its owner: bytes arrive later, in order,
 * as copies; a full reader stops the writer; `end` closes one direction, `destroy` sends what is under way and then the
 * end, `resetAndDestroy` breaks the other side with ECONNRESET; a write to a side that is gone fails with EPIPE.
 * Writes that queue up behind one under way leave as one, as they do in a socket, and `writes` counts them.
 */
import { Duplex } from 'node:stream'
import type { Clock, Timer, Wire } from '@mailwright/core'

type Done = (error?: Error | null) => void

/** What may go wrong with the bytes of one direction. Both count from the first byte of the connection. */
export interface DirectionFaults {
  /** After this many bytes the connection breaks: both ends get ECONNRESET. */
  readonly cutAfterBytes?: number | undefined
  /** After this many bytes nothing arrives any more, not even the end, and the writer does not notice. */
  readonly dropAfterBytes?: number | undefined
}

export interface WireEnd {
  readonly host: string
  readonly port: number
}

export interface WireOptions {
  readonly local: WireEnd
  readonly remote: WireEnd
  readonly clock?: Clock | undefined
  readonly latencyMs?: number | undefined
  /** Faults of what this end writes. */
  readonly faults?: DirectionFaults | undefined
  /** Called once, when this end is gone. */
  readonly closed?: (() => void) | undefined
}

export class MemoryWire extends Duplex implements Wire {
  readonly localAddress: string
  readonly localPort: number
  readonly localFamily: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly remoteFamily: string
  readonly connecting: boolean = false
  readonly pending: boolean = false
  bytesRead = 0
  bytesWritten = 0
  /** Writes that reached the network: what would have been system calls. */
  writes = 0
  readonly #options: WireOptions
  #peer: MemoryWire | undefined
  /** The peer's write that waits until our reader has room. */
  #blocked: Done | undefined
  #ended = false
  #resetting = false
  #idle: Timer | undefined

  constructor(options: WireOptions) {
    super({ allowHalfOpen: false })
    this.#options = options
    this.localAddress = options.local.host
    this.localPort = options.local.port
    this.localFamily = family(options.local.host)
    this.remoteAddress = options.remote.host
    this.remotePort = options.remote.port
    this.remoteFamily = family(options.remote.host)
  }

  /** Joins two ends. */
  static join(one: MemoryWire, other: MemoryWire): void {
    one.#peer = other
    other.#peer = one
  }

  get readyState(): 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  /** Breaks the connection: the other side gets ECONNRESET, now, whatever is under way. */
  resetAndDestroy(): this {
    this.#resetting = true
    return this.destroy()
  }

  /** Emits `timeout` after `ms` without a byte in either direction; 0 switches it off. Needs the network's clock. */
  setTimeout(ms: number, listener?: () => void): this {
    this.#idle?.cancel()
    this.#idle = ms > 0 && !this.destroyed ? this.#options.clock?.after(ms, () => this.emit('timeout')) : undefined
    if (listener !== undefined && ms > 0) this.once('timeout', listener)
    if (listener !== undefined && ms === 0) this.off('timeout', listener)
    return this
  }

  /** What a socket can be told and memory need not know. */
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
  address(): { address: string; port: number; family: string } {
    return { address: this.localAddress, port: this.localPort, family: this.localFamily }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send(Buffer.from(chunk), done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done)
  }

  override _read(): void {
    const resume = this.#blocked
    this.#blocked = undefined
    resume?.()
  }

  override _final(done: Done): void {
    this.#later(() => {
      this.#sendEnd()
      done()
    })
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#idle?.cancel()
    this.#blocked?.(fault('EPIPE'))
    this.#blocked = undefined
    this.#later(() => (this.#resetting ? this.#peer?.destroy(fault('ECONNRESET')) : this.#sendEnd()))
    this.#options.closed?.()
    done(error)
  }

  #send(bytes: Buffer, done: Done): void {
    const { cutAfterBytes = Infinity, dropAfterBytes = Infinity } = this.#options.faults ?? {}
    const untilCut = cutAfterBytes - this.bytesWritten
    const arriving = Math.max(0, Math.min(bytes.length, untilCut, dropAfterBytes - this.bytesWritten))
    this.writes++
    this.bytesWritten += bytes.length
    this.#idle?.refresh()
    this.#later(() => {
      const peer = this.#peer!
      if (arriving === 0) done()
      else peer.#receive(arriving < bytes.length ? bytes.subarray(0, arriving) : bytes, done)
      if (bytes.length >= untilCut) this.#later(() => this.#cut())
    })
  }

  #receive(bytes: Buffer, done: Done): void {
    if (this.destroyed || this.#ended) {
      done(fault('EPIPE'))
      return
    }
    this.bytesRead += bytes.length
    this.#idle?.refresh()
    if (this.push(bytes)) done()
    else this.#blocked = done
  }

  #sendEnd(): void {
    const peer = this.#peer
    if (peer === undefined || peer.destroyed || peer.#ended) return
    if (this.bytesWritten >= (this.#options.faults?.dropAfterBytes ?? Infinity)) return
    peer.#ended = true
    peer.push(null)
  }

  #cut(): void {
    this.#peer?.destroy(fault('ECONNRESET'))
    this.destroy(fault('ECONNRESET'))
  }

  /** Everything of one direction goes through here, so it arrives in the order it was sent. */
  #later(task: () => void): void {
    const { clock, latencyMs = 0 } = this.#options
    if (clock !== undefined && latencyMs > 0) clock.after(latencyMs, task)
    else setImmediate(task)
  }
}

function family(host: string): string {
  return host.includes(':') ? 'IPv6' : 'IPv4'
}

function fault(code: 'ECONNRESET' | 'EPIPE'): NodeJS.ErrnoException {
  const text = code === 'EPIPE' ? 'write EPIPE' : 'read ECONNRESET'
  return Object.assign(new Error(text), { code, syscall: text.slice(0, text.indexOf(' ')) })
}
