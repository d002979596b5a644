/**
 * Whether there is room for more mail. Two things say no: a write that failed for want of room, and free space below
 * the minimum. Space is looked at when mail comes, at most every few seconds by the times that come with it, and while
 * refusing whenever somebody asks; there is no timer.
 */
import { statfs } from 'node:fs/promises'
import type { Reply, TransientCode } from '@mailwright/core'
import { STORAGE_FULL } from './failure.ts'

const LOOK_EVERY_MS = 5_000

export class StorageSpace {
  readonly #minFree: number
  readonly #freeBytes: () => Promise<number>
  readonly #onChange: (reply: Reply<TransientCode> | null) => void
  #lookedAt = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined
  #low = false
  #failed = false
  #told = false

  constructor(
    minFree: number,
    freeBytes: () => Promise<number>,
    onChange: (reply: Reply<TransientCode> | null) => void,
  ) {
    this.#minFree = minFree
    this.#freeBytes = freeBytes
    this.#onChange = onChange
  }

  refusing(): Reply<TransientCode> | null {
    if (!this.#low && !this.#failed) return null
    this.look()
    return STORAGE_FULL
  }

  /** Mail comes at `now`, ms since the epoch. */
  arrival(now: number): void {
    if (now - this.#lookedAt < LOOK_EVERY_MS && now >= this.#lookedAt) return
    this.#lookedAt = now
    this.look()
  }

  /** A write found no room. */
  failed(): void {
    this.#failed = true
    this.#tell()
  }

  /** A write found room. */
  succeeded(): void {
    if (!this.#failed) return
    this.#failed = false
    this.#tell()
  }

  /** Looks at the free space, unless that is being done. */
  look(): void {
    this.#looking ??= this.#measure().finally(() => {
      this.#looking = undefined
    })
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#looking
  }

  async #measure(): Promise<void> {
    try {
      this.#low = (await this.#freeBytes()) < this.#minFree
      if (!this.#low) this.#failed = false
    } catch {
      // Not knowing is no reason to refuse; the next write will tell.
    }
    this.#tell()
  }

  #tell(): void {
    const refusing = this.#low || this.#failed
    if (refusing === this.#told) return
    this.#told = refusing
    this.#onChange(refusing ? STORAGE_FULL : null)
  }
}

/** Bytes an unprivileged process may still write where `directory` is. */
export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}
