/** What the scheduler is told, and what it answers. Each event brings its time, in ms since the epoch. */
import type { Claim, LaneDue, QueueEntry } from '@mailwright/core'

/** Of a claim, what the scheduler goes by. */
export interface InHand {
  readonly entry: Pick<QueueEntry, 'message' | 'lane' | 'dueAt' | 'instruction'>
  readonly options: { readonly priority?: number }
}

export type SchedulerEvent<C extends InHand = Claim> =
  /** Mail is about to be stored. The effect `grant` lets the put claim it at once; `placed` or `withdrawn` follows. */
  | { readonly type: 'offered'; readonly lane: string; readonly now: number }
  /** Due mail was stored and not claimed. */
  | { readonly type: 'stored'; readonly lane: string; readonly now: number }
  /** Mail was stored and claimed, as granted: it is in hand. */
  | { readonly type: 'placed'; readonly claim: C; readonly now: number }
  /** A grant came to nothing. */
  | { readonly type: 'withdrawn'; readonly lane: string; readonly now: number }
  /** The answer to a `claim` effect. What was got is in hand. */
  | {
      readonly type: 'claimed'
      readonly lane: string
      readonly asked: number
      readonly claims: readonly C[]
      readonly now: number
    }
  /** These entries in hand are ours no more, or on their way back to the store; `stored` follows. */
  | { readonly type: 'recalled'; readonly lane: string; readonly claims: ReadonlySet<C>; readonly now: number }
  /** An entry that had begun was kept back before its destination heard of it: its slot is free. */
  | { readonly type: 'kept-back'; readonly lane: string; readonly now: number }
  /** An entry kept back may go now: it is in hand again, the first of its line. */
  | { readonly type: 'let-go'; readonly claim: C; readonly now: number }
  /** The destination is done with an attempt, or was not asked, and has its slot back. `settled` follows. */
  | {
      readonly type: 'finished'
      readonly lane: string
      readonly result: 'answered' | 'unreachable' | 'untried'
      readonly now: number
    }
  /** The store has taken note of an attempt. `retryAt`: something of it was deferred until then. */
  | {
      readonly type: 'settled'
      readonly lane: string
      readonly retryAt?: number | undefined
      readonly now: number
    }
  /** The answer to a `survey` effect. `nextDue`: when a lane not excluded is due next. */
  | {
      readonly type: 'surveyed'
      readonly lanes: readonly LaneDue[]
      readonly nextDue: number | undefined
      readonly now: number
    }
  /** A claim or survey failed: try it again at `retryAt`. */
  | {
      readonly type: 'stalled'
      readonly lane?: string
      readonly asked: number
      readonly retryAt: number
      readonly now: number
    }
  /** Time has come, or something may have become due by other hands. */
  | { readonly type: 'woken'; readonly now: number }
  /** The time of a `turn` effect has come. */
  | { readonly type: 'turn'; readonly now: number }
  /** The server stops: what has a slot may be tried, and nothing else is begun from now on. */
  | { readonly type: 'draining'; readonly now: number }
  /** An operator wants waiting mail tried now: a destination left alone, or every one, gets another chance. */
  | { readonly type: 'flushed'; readonly lane?: string | undefined; readonly now: number }
  /** The destination of the lane asks to be left alone until then. */
  | { readonly type: 'paused'; readonly lane: string; readonly until: number; readonly now: number }
  /** From now on the mail of these lanes and destinations, or all mail, is not to be tried; all other mail is. */
  | { readonly type: 'suspended'; readonly lanes: ReadonlySet<string> | 'all'; readonly now: number }

export type Effect<C extends InHand = Claim> =
  | { readonly type: 'grant'; readonly lane: string }
  | { readonly type: 'claim'; readonly lane: string; readonly limit: number }
  /** Begin an attempt at this entry, which was in hand. */
  | { readonly type: 'begin'; readonly claim: C }
  /** Give these entries, all that was in hand of the lane, back to the store, untried; tell `stored` when that is done. */
  | { readonly type: 'hand-back'; readonly lane: string; readonly claims: readonly C[] }
  | { readonly type: 'survey'; readonly exclude: ReadonlySet<string>; readonly limit: number }
  /** Send `woken` at this time, or earlier. */
  | { readonly type: 'wake'; readonly at: number }
  /** Send `turn` at this time, or earlier: a pause between two attempts is then over. */
  | { readonly type: 'turn'; readonly at: number }
  /** A destination, by the key of its common line, is left alone until then. */
  | { readonly type: 'dead'; readonly lane: string; readonly until: number }
  | { readonly type: 'alive'; readonly lane: string }
