/**
 * Limits that several workers keep together: how many at once, and how many in a time. One owner per key, wherever it
 * is: this process, or a server that several nodes share.
 */
import type { Awaitable } from './call.ts'

/** So many in each period, evenly: 100 an hour is one every 36 s. */
export interface Rate {
  readonly count: number
  readonly perMs: number
  /** How many may go at once after a time without any. Default 1. */
  readonly burst?: number | undefined
}

/** A place under a limit of concurrency. */
export interface Place {
  readonly key: string
  readonly token: string
}

export interface Limits {
  /** Takes the next free moment of the rate and tells when it is: ms since the epoch, `now` at the earliest. */
  pace(key: string, rate: Rate, now: number): Awaitable<number>
  /** Takes one of `limit` places until it is left or `leaseMs` are over; undefined: none is free. */
  enter(key: string, limit: number, leaseMs: number, now: number): Awaitable<Place | undefined>
  /** Keeps the place for `leaseMs` more. False: it was lost. */
  renew(place: Place, leaseMs: number, now: number): Awaitable<boolean>
  /** Gives the place back. Twice is once. */
  leave(place: Place): Awaitable<void>
}
