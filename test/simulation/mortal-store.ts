/**
 * A queue store as one life of a server sees it. It notes every effect in the order in which they happen, fails where
 * the weather says so, and kills the life before or after an operation where the plan says so. After that it answers
 * nothing any more; what was under way inside takes effect or not, as on a disk.
 */
import {
  type Arrival,
  type Claim,
  type ClaimQuery,
  type EntriesQuery,
  type Events,
  type Instruction,
  type LaneDue,
  type LaneQuery,
  type LaneShape,
  MailwrightError,
  type MessageSource,
  type NewMessage,
  type PutClaim,
  type QueueEntry,
  type QueueStats,
  type QueueStore,
  type Remainder,
  type Selection,
  type Settlement,
  type ShapeQuery,
  type Suspension,
  type SuspensionScope,
} from '@mailwright/core'
import { type Life, never } from './life.ts'
import type { Crash } from './scenario.ts'

/** What happens in the store, told right after it did. */
export interface StoreWitness {
  put(message: NewMessage, source: MessageSource): void
  settled(claim: Claim, settlement: Settlement): void
}

/** On which side of an effect. */
export type Side = 'before' | 'after'

export interface MortalStoreOptions {
  readonly inner: QueueStore
  readonly life: Life
  readonly witness: StoreWitness
  readonly crash: Crash | undefined
  /** Asked at each operation: whether it fails, with nothing done. */
  readonly fails: (operation: string) => 'yes' | 'no'
  /** How long it takes, before and again after the effect. */
  readonly lag: (operation: string, side: Side) => Promise<void> | undefined
  /** Told when an operation begins, and when it has taken effect: the life may end of it. */
  readonly passing?: ((operation: string, side: Side) => void) | undefined
  /** Ends the life. */
  readonly die: (why: string, crash: Crash) => void
}

export interface MortalStore extends QueueStore {
  /** Resolves when nothing is under way inside. */
  quiet(): Promise<void>
}

/** A store for one life. */
export function mortalStore(options: MortalStoreOptions): MortalStore {
  const { inner, life, witness, crash } = options
  const underway = new Set<Promise<unknown>>()
  let count = 0

  async function run<T>(operation: string, work: () => Promise<T>, effect?: (result: T) => void): Promise<T> {
    if (!life.alive) return never()
    const fatal =
      crash !== undefined && (crash.operation === 'any' || crash.operation === operation) && ++count === crash.nth
    if (fatal && crash.when === 'before') {
      options.die(`before ${operation}`, crash)
      return never()
    }
    if (!fatal && options.fails(operation) === 'yes')
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', `the disk failed at ${operation}`)
    options.passing?.(operation, 'before')
    if (!life.alive) return never()
    await options.lag(operation, 'before')
    if (!life.alive) return never()
    const working = work()
    underway.add(working)
    try {
      const result = await working
      effect?.(result)
      if (life.alive) options.passing?.(operation, 'after')
      await options.lag(operation, 'after')
      if (fatal && life.alive) options.die(`after ${operation}`, crash)
      return life.alive ? result : never()
    } catch (error) {
      if (life.alive) throw error
      return never()
    } finally {
      underway.delete(working)
    }
  }

  return {
    open: (events: Events): Promise<void> => inner.open(events),
    close: (): Promise<void> => (life.alive ? inner.close() : never()),
    spool: () => inner.spool(),
    refusing: () => inner.refusing(),
    onArrival: (listener: (by: Arrival) => void): (() => void) =>
      inner.onArrival((by) => {
        if (life.alive) listener(by)
      }),
    put: (message: NewMessage, source: MessageSource, claim: PutClaim | undefined, call): Promise<readonly Claim[]> =>
      run(
        'put',
        () => inner.put(message, source, claim, call),
        () => witness.put(message, source),
      ),
    lanes: (query: LaneQuery): Promise<readonly LaneDue[]> => run('lanes', () => inner.lanes(query)),
    claim: (query: ClaimQuery): Promise<readonly Claim[]> => run('claim', () => inner.claim(query)),
    renew: (claim: Claim, until: number): Promise<void> => run('renew', () => inner.renew(claim, until)),
    settle: (claim: Claim, settlement: Settlement): Promise<Remainder> =>
      run(
        'settle',
        () => inner.settle(claim, settlement),
        () => witness.settled(claim, settlement),
      ),
    nextDue: (exclude?: ReadonlySet<string>): Promise<number | undefined> =>
      run('nextDue', () => inner.nextDue(exclude)),
    entries: (query: EntriesQuery): Promise<readonly QueueEntry[]> => run('entries', () => inner.entries(query)),
    read: (message: string): Promise<MessageSource | undefined> => run('read', () => inner.read(message)),
    hold: (selection: Selection, reason: string): Promise<number> => run('hold', () => inner.hold(selection, reason)),
    release: (selection: Selection, now: number): Promise<number> =>
      run('release', () => inner.release(selection, now)),
    reschedule: (selection: Selection, dueAt: number): Promise<number> =>
      run('reschedule', () => inner.reschedule(selection, dueAt)),
    instruct: (selection: Selection, instruction: Instruction, now: number): Promise<number> =>
      run('instruct', () => inner.instruct(selection, instruction, now)),
    remove: (selection: Selection): Promise<number> => run('remove', () => inner.remove(selection)),
    stats: (): Promise<QueueStats> => run('stats', () => inner.stats()),
    shape: (query: ShapeQuery): Promise<readonly LaneShape[]> => run('shape', () => inner.shape(query)),
    suspend: (suspension: Suspension): Promise<void> => run('suspend', () => inner.suspend(suspension)),
    resume: (scope: SuspensionScope): Promise<boolean> => run('resume', () => inner.resume(scope)),
    suspensions: (): Promise<readonly Suspension[]> => run('suspensions', () => inner.suspensions()),
    async quiet(): Promise<void> {
      await Promise.allSettled(underway)
    },
  }
}
