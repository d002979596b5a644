/**
 * What the scheduler remembers of those it serves. A *destination* has the window, the good and bad times; its *lines*
 * are the lanes of the store, the common one and one for each stream; a *transport* has the jobs that wait for slots.
 */
import { type Concurrency, type ConcurrencyOptions, freshConcurrency } from './concurrency.ts'
import type { JobList, Peer } from './job-list.ts'

/** How one destination is to be treated. */
export interface Manners extends ConcurrencyOptions {
  /** Pause after each attempt at the destination, ms; the limit is then 1. */
  readonly rateDelayMs?: number
  /** Pause after each attempt of the transport, ms. */
  readonly transportRateDelayMs?: number
}

export interface TransportState<C> {
  readonly name: string
  readonly jobs: JobList<Line<C>>
  readonly rateDelayMs: number
  /** Attempts under way. */
  busy: number
  /** These, entries in hand, and entries that may be claimed. */
  taken: number
  /** When the pause between two attempts is over, ms since the epoch; undefined: there is none. */
  restsUntil: number | undefined
}

export interface Destination<C> extends Concurrency {
  /** The key of its common line. */
  readonly key: string
  readonly manners: Manners
  readonly transport: TransportState<C>
  /** Attempts under way. */
  busy: number
  /** These, entries in hand, and entries that may be claimed. */
  taken: number
  /** How many of those taken have a slot, and how many are ahead of one. */
  slots: number
  ahead: number
  /** Lines that are remembered. */
  lines: number
  /** When the pause between two attempts is over, ms since the epoch; undefined: there is none. */
  restsUntil: number | undefined
  /** Left alone until then, ms since the epoch, and why: it could not be reached, or it asked for it. */
  closedUntil: number | undefined
  closedFor: 'dead' | 'paused' | undefined
  /** When its window was last full, ms since the epoch. */
  fullAt: number
}

/** Mail of one stream, in whatever line. */
export interface Stream {
  readonly name: string
  /** Attempts under way. */
  busy: number
  lines: number
}

export interface Line<C> extends Peer<Line<C>> {
  readonly key: string
  readonly destination: Destination<C>
  /** Absent for the common line. */
  readonly stream: Stream | undefined
  /** Entries in hand: claimed, and waiting for a slot. */
  readonly waiting: C[]
  /** Attempts under way. */
  busy: number
  /** Entries that may be claimed: granted with a put, or asked for. */
  promised: number
  /** Attempts the destination is done with and the store is not. */
  settling: number
  claiming: boolean
  /** Mail was stored while a claim was under way: its answer may not have seen it. */
  missed: boolean
  /** A survey left the line out: when its later mail is due is not known. */
  unseen: boolean
  /** An operator keeps it from being tried. */
  suspended: boolean
  /** When something of it last moved, or it became ready, ms since the epoch. */
  movedAt: number
}

export function freshDestination<C>(key: string, manners: Manners, transport: TransportState<C>): Destination<C> {
  const { window } = freshConcurrency(manners)
  return {
    key,
    manners,
    transport,
    window,
    success: 0,
    failure: 0,
    failedCohorts: 0,
    busy: 0,
    taken: 0,
    slots: 0,
    ahead: 0,
    lines: 0,
    restsUntil: undefined,
    closedUntil: undefined,
    closedFor: undefined,
    fullAt: 0,
  }
}

export function freshLine<C>(key: string, destination: Destination<C>, stream: Stream | undefined): Line<C> {
  return {
    key,
    destination,
    stream,
    waiting: [],
    job: undefined,
    listed: 0,
    busy: 0,
    promised: 0,
    settling: 0,
    claiming: false,
    missed: false,
    unseen: false,
    suspended: false,
    movedAt: 0,
  }
}

/** Whether nothing of the line is to be tried for now. */
export function isClosed<C>(line: Line<C>): boolean {
  return line.suspended || line.destination.closedUntil !== undefined
}

/** Whether the line has nothing under way. */
export function isIdle<C>(line: Line<C>): boolean {
  return line.busy + line.promised + line.waiting.length + line.settling === 0 && !line.claiming
}
