import { describe, expect, it } from 'vitest'
import { type Effect, Scheduler as GenericScheduler, type SchedulerOptions } from './scheduler.ts'
import { type Handful, handful } from './testing-support/mail-in-hand.ts'

const A = 'smtp:a.example'
const B = 'smtp:b.example'
const C = 'smtp:c.example'
const DEAD_MS = 300_000

type Scheduler = GenericScheduler<Handful>

/** A scheduler that has been started and has found nothing in the store. */
function scheduler(options: Partial<SchedulerOptions> = {}): Scheduler {
  const made: Scheduler = new GenericScheduler({
    initial: 5,
    limit: 20,
    failedCohortLimit: 1,
    maxAttempts: 100,
    ahead: 0,
    aheadOfAll: 0,
    deadMs: DEAD_MS,
    surveyLimit: 100,
    ...options,
  })
  made.step({ type: 'woken', now: 0 })
  made.step({ type: 'surveyed', lanes: [], nextDue: undefined, now: 0 })
  return made
}

/** The effects as short texts. */
function told(effects: readonly Effect<Handful>[]): string[] {
  return effects.map((effect) => {
    if (effect.type === 'claim') return `claim ${effect.limit} of ${effect.lane}`
    if (effect.type === 'survey') return `survey without ${[...effect.exclude].sort().join(' ') || 'exception'}`
    if (effect.type === 'wake') return `wake at ${effect.at}`
    if (effect.type === 'turn') return `turn at ${effect.at}`
    if (effect.type === 'begin') return `begin ${effect.claim.entry.lane}`
    return `${effect.type} ${effect.lane}`
  })
}

/** The effects but for the attempts that begin. */
function asked(effects: readonly Effect<Handful>[]): string[] {
  return told(effects.filter((effect) => effect.type !== 'begin'))
}

function stored(one: Scheduler, lane: string): string[] {
  return asked(one.step({ type: 'stored', lane, now: 0 }))
}

function claimed(one: Scheduler, lane: string, limit: number, got: number): string[] {
  return asked(
    one.step({ type: 'claimed', lane, asked: limit, claims: Array.from({ length: got }, () => handful(lane)), now: 0 }),
  )
}

/** Mail that comes, and is stored and claimed at once where that is granted. */
function offered(one: Scheduler, lane: string): string[] {
  const granted = told(one.step({ type: 'offered', lane, now: 0 }))
  return granted.length === 0 ? [] : [...granted, ...asked(one.step({ type: 'placed', claim: handful(lane), now: 0 }))]
}

/** An attempt that the destination answers and the store settles at once. */
function finished(one: Scheduler, lane: string, result: 'answered' | 'unreachable' = 'answered', now = 0): string[] {
  const effects = asked(one.step({ type: 'finished', lane, result, now }))
  return [...effects, ...asked(one.step({ type: 'settled', lane, now }))]
}

/** Makes the lane dead: three attempts that reach nobody. */
function kill(one: Scheduler, lane: string, now = 0): string[] {
  for (let attempt = 0; attempt < 3; attempt++) offered(one, lane)
  finished(one, lane, 'unreachable', now)
  finished(one, lane, 'unreachable', now)
  return finished(one, lane, 'unreachable', now)
}

describe('mail about to be stored', () => {
  it('is granted a slot while its lane has one, and the lane is forgotten when nothing is left', () => {
    const one = scheduler()
    expect(offered(one, A)).toEqual([`grant ${A}`])
    expect([one.taken, one.lanes]).toEqual([1, 1])
    expect(finished(one, A)).toEqual([])
    expect([one.taken, one.lanes]).toEqual([0, 0])
  })

  it('gets no slot beyond the window of its lane', () => {
    const one = scheduler({ initial: 2 })
    expect([offered(one, A), offered(one, A), offered(one, A)]).toEqual([[`grant ${A}`], [`grant ${A}`], []])
    expect(offered(one, B)).toEqual([`grant ${B}`])
  })

  it('gets no slot beyond what all lanes may have together, and leaves no trace', () => {
    const one = scheduler({ maxAttempts: 1 })
    offered(one, A)
    expect(offered(one, B)).toEqual([])
    expect(one.lanes).toBe(1)
  })

  it('waits behind mail that came before it', () => {
    const one = scheduler()
    stored(one, A)
    expect(offered(one, A)).toEqual([])
    claimed(one, A, 5, 0)
    expect(offered(one, A)).toEqual([`grant ${A}`])
  })

  it('gives its slot back when it is not stored after all', () => {
    const one = scheduler({ initial: 1 })
    one.step({ type: 'offered', lane: A, now: 0 })
    expect(told(one.step({ type: 'withdrawn', lane: A, now: 0 }))).toEqual([])
    expect([one.taken, one.lanes]).toEqual([0, 0])
  })

  it('leaves the slot it gives back to mail that waits', () => {
    const one = scheduler({ maxAttempts: 1 })
    one.step({ type: 'offered', lane: A, now: 0 })
    expect(stored(one, B)).toEqual([])
    expect(told(one.step({ type: 'withdrawn', lane: A, now: 0 }))).toEqual([`claim 1 of ${B}`])
  })
})

describe('mail that was stored without a slot', () => {
  it('is claimed with all the slots its lane has', () => {
    const one = scheduler()
    expect(stored(one, A)).toEqual([`claim 5 of ${A}`])
    expect(one.taken).toBe(5)
    expect(claimed(one, A, 5, 1)).toEqual([])
    expect(one.taken).toBe(1)
  })

  it('is claimed with no more slots than are left for all lanes', () => {
    const one = scheduler({ maxAttempts: 7 })
    expect(stored(one, A)).toEqual([`claim 5 of ${A}`])
    expect(stored(one, B)).toEqual([`claim 2 of ${B}`])
    expect(stored(one, C)).toEqual([])
    expect(claimed(one, A, 5, 2)).toEqual([`claim 3 of ${C}`])
  })

  it('is claimed once a slot of its lane is free', () => {
    const one = scheduler({ initial: 1, limit: 1 })
    offered(one, A)
    expect(stored(one, A)).toEqual([])
    expect(finished(one, A)).toEqual([`claim 1 of ${A}`])
  })

  it('is not missed when it is stored while a claim is under way', () => {
    const one = scheduler()
    stored(one, A)
    expect(stored(one, A)).toEqual([])
    // The answer may be from before the second message.
    expect(claimed(one, A, 5, 1)).toEqual([`claim 4 of ${A}`])
    expect(claimed(one, A, 4, 1)).toEqual([])
    expect(one.taken).toBe(2)
  })

  it('is looked for again when a claim got all it asked for', () => {
    const one = scheduler({ initial: 2, limit: 2 })
    stored(one, A)
    expect(claimed(one, A, 2, 2)).toEqual([])
    expect(finished(one, A)).toEqual([`claim 1 of ${A}`])
  })

  it('is served lane by lane, in turns', () => {
    const one = scheduler({ maxAttempts: 1, initial: 1, limit: 1 })
    const turns = [...stored(one, A), ...stored(one, B), ...stored(one, C)]
    for (const lane of [A, B, C, A, B, C]) {
      turns.push(...claimed(one, lane, 1, 1), ...finished(one, lane))
    }
    expect(turns).toEqual([A, B, C, A, B, C, A].map((lane) => `claim 1 of ${lane}`))
  })

  it('is left to the next survey when more lanes wait than are remembered', () => {
    const one = scheduler({ maxAttempts: 1, initial: 1, surveyLimit: 2 })
    offered(one, 'smtp:busy.example')
    expect([...stored(one, A), ...stored(one, B), ...stored(one, C)]).toEqual([])
    expect(one.lanes).toBe(3)
    expect(finished(one, 'smtp:busy.example')).toEqual([`claim 1 of ${A}`])
    expect(claimed(one, A, 1, 0)).toEqual([`claim 1 of ${B}`])
    expect(claimed(one, B, 1, 0)).toEqual(['survey without exception'])
  })
})

describe('the survey of the store', () => {
  it('is the first thing that happens, and only once at a time', () => {
    const one: Scheduler = new GenericScheduler({
      initial: 5,
      limit: 20,
      failedCohortLimit: 1,
      maxAttempts: 100,
      ahead: 0,
      aheadOfAll: 0,
      deadMs: 1,
      surveyLimit: 9,
    })
    expect(one.step({ type: 'woken', now: 0 })).toEqual([{ type: 'survey', exclude: new Set(), limit: 9 }])
    expect(told(one.step({ type: 'woken', now: 0 }))).toEqual([])
    // What woke it may have come after the answer.
    expect(told(one.step({ type: 'surveyed', lanes: [], nextDue: 70, now: 0 }))).toEqual([
      'wake at 70',
      'survey without exception',
    ])
  })

  it('leaves out lanes with a backlog and dead ones', () => {
    const one = scheduler()
    kill(one, B)
    stored(one, A)
    expect(told(one.step({ type: 'woken', now: 1 }))).toEqual([`wake at ${DEAD_MS}`, `survey without ${A} ${B}`])
  })

  it('has every lane served that it found, the longest waiting first', () => {
    const one = scheduler()
    one.step({ type: 'woken', now: 10 })
    const lanes = [
      { lane: B, dueAt: 1 },
      { lane: A, dueAt: 5 },
    ]
    const effects = one.step({ type: 'surveyed', lanes, nextDue: undefined, now: 10 })
    expect(told(effects)).toEqual([`claim 5 of ${B}`, `claim 5 of ${A}`])
  })

  it('does not wake a lane that died meanwhile', () => {
    const one = scheduler()
    one.step({ type: 'woken', now: 10 })
    kill(one, A, 10)
    const effects = one.step({ type: 'surveyed', lanes: [{ lane: A, dueAt: 1 }], nextDue: undefined, now: 10 })
    expect(told(effects)).toEqual([])
  })

  it('is repeated when it was full, once there is room for more lanes', () => {
    const one = scheduler({ surveyLimit: 2 })
    one.step({ type: 'woken', now: 0 })
    const lanes = [A, B].map((lane) => ({ lane, dueAt: 0 }))
    const effects = one.step({ type: 'surveyed', lanes, nextDue: undefined, now: 0 })
    expect(told(effects)).toEqual([`claim 5 of ${A}`, `claim 5 of ${B}`])
    expect(claimed(one, A, 5, 1)).toEqual([`survey without ${B}`])
  })

  it('is repeated when a lane it left out has no more mail that is due: more may be due later', () => {
    const one = scheduler()
    stored(one, A)
    one.step({ type: 'woken', now: 0 })
    one.step({ type: 'surveyed', lanes: [], nextDue: undefined, now: 0 })
    expect(claimed(one, A, 5, 1)).toEqual(['survey without exception'])
  })

  it('is repeated when the lanes it found have no more mail that is due', () => {
    const one = scheduler()
    one.step({ type: 'woken', now: 0 })
    one.step({ type: 'surveyed', lanes: [{ lane: A, dueAt: 0 }], nextDue: undefined, now: 0 })
    expect(claimed(one, A, 5, 1)).toEqual(['survey without exception'])
    one.step({ type: 'surveyed', lanes: [], nextDue: undefined, now: 0 })
    stored(one, A)
    expect(claimed(one, A, 4, 1)).toEqual([])
  })

  it('waits while every slot is taken', () => {
    const one = scheduler({ maxAttempts: 1 })
    offered(one, A)
    expect(told(one.step({ type: 'woken', now: 0 }))).toEqual([])
    expect(finished(one, A)).toEqual(['survey without exception'])
  })

  it('asks for claims bit by bit when very many lanes are due', () => {
    const one = scheduler({ surveyLimit: 3, maxAttempts: 100, initial: 1 })
    one.step({ type: 'woken', now: 0 })
    const lanes = [1, 2, 3, 4, 5].map((number) => ({ lane: `smtp:${number}`, dueAt: 0 }))
    const effects = told(one.step({ type: 'surveyed', lanes, nextDue: undefined, now: 0 }))
    expect(effects).toHaveLength(4)
    expect(claimed(one, 'smtp:1', 1, 0)).toEqual(['claim 1 of smtp:5'])
  })
})

describe('mail in hand', () => {
  /** One attempt at a time, and two entries ahead of it. */
  const ONE_AT_A_TIME = { initial: 1, limit: 1, ahead: 2, aheadOfAll: 3 }

  function begun(one: Scheduler, lane: string): string[] {
    one.step({ type: 'offered', lane, now: 0 })
    return told(one.step({ type: 'placed', claim: handful(lane), now: 0 }))
  }

  it('is claimed with its put ahead of its slot, and tried when that is free', () => {
    const one = scheduler(ONE_AT_A_TIME)
    expect([begun(one, A), begun(one, A)]).toEqual([[`begin ${A}`], []])
    expect(told(one.step({ type: 'finished', lane: A, result: 'answered', now: 0 }))).toEqual([`begin ${A}`])
  })

  it('is no more than a lane may have', () => {
    const one = scheduler(ONE_AT_A_TIME)
    for (let message = 0; message < 3; message++) begun(one, A)
    expect(offered(one, A)).toEqual([])
    expect(one.taken).toBe(3)
  })

  it('is no more than all lanes together may have, and every lane still gets its slots', () => {
    const one = scheduler(ONE_AT_A_TIME)
    for (let message = 0; message < 3; message++) begun(one, A)
    for (let message = 0; message < 2; message++) begun(one, B)
    expect(offered(one, B)).toEqual([])
    expect(begun(one, C)).toEqual([`begin ${C}`])
  })

  it('is one entry of each lane where others have all the slots, and the lanes take turns', () => {
    const one = scheduler({ ...ONE_AT_A_TIME, maxAttempts: 1, aheadOfAll: 2 })
    for (let message = 0; message < 3; message++) begun(one, A)
    expect([begun(one, B), offered(one, B)]).toEqual([[], []])
    const next = (lane: string): string[] => {
      one.step({ type: 'finished', lane, result: 'answered', now: 0 })
      return told(one.step({ type: 'settled', lane, now: 0 }))
    }
    expect([next(A), next(A), next(B)]).toEqual([[`begin ${A}`], [`begin ${B}`], [`begin ${A}`]])
  })

  it('that is recalled is in hand no more, and gives its room to other mail', () => {
    const one = scheduler(ONE_AT_A_TIME)
    for (let message = 0; message < 3; message++) begun(one, A)
    const [[, [first, second]]] = [...one.inHand()] as [[string, [Handful, Handful]]]
    expect(told(one.step({ type: 'recalled', lane: A, claims: new Set([second]), now: 0 }))).toEqual([])
    expect(one.taken).toBe(2)
    one.step({ type: 'recalled', lane: A, claims: new Set([first]), now: 0 })
    expect(stored(one, A)).toEqual([`claim 2 of ${A}`])
    claimed(one, A, 2, 0)
    expect(told(one.step({ type: 'finished', lane: A, result: 'answered', now: 0 }))).not.toContain(`begin ${A}`)
    one.step({ type: 'settled', lane: A, now: 0 })
    expect([one.taken, one.lanes]).toEqual([0, 0])
  })

  it('is claimed from a backlog in batches', () => {
    const one = scheduler({ ...ONE_AT_A_TIME, ahead: 4, aheadOfAll: 4 })
    expect(stored(one, A)).toEqual([`claim 5 of ${A}`])
    expect(claimed(one, A, 5, 5)).toEqual([])
    expect([finished(one, A), finished(one, A)]).toEqual([[], [`claim 2 of ${A}`]])
  })

  it('is tried while the server stops if it has a slot, and goes back if it has none', () => {
    const one = scheduler(ONE_AT_A_TIME)
    begun(one, A)
    begun(one, A)
    one.step({ type: 'offered', lane: A, now: 0 })
    one.step({ type: 'offered', lane: B, now: 0 })
    expect(told(one.step({ type: 'draining', now: 0 }))).toEqual([`hand-back ${A}`])
    expect(told(one.step({ type: 'placed', claim: handful(A), now: 0 }))).toEqual([`hand-back ${A}`])
    expect(told(one.step({ type: 'placed', claim: handful(B), now: 0 }))).toEqual([`begin ${B}`])
    expect([offered(one, C), stored(one, C)]).toEqual([[], []])
  })

  it('goes back to the store when its destination is dead, whenever it comes', () => {
    const one = scheduler({ ...ONE_AT_A_TIME, failedCohortLimit: 1 })
    begun(one, A)
    begun(one, A)
    one.step({ type: 'offered', lane: A, now: 0 })
    expect(told(one.step({ type: 'finished', lane: A, result: 'unreachable', now: 0 }))).toEqual([
      `dead ${A}`,
      `wake at ${DEAD_MS}`,
      `hand-back ${A}`,
    ])
    expect(told(one.step({ type: 'placed', claim: handful(A), now: 0 }))).toEqual([`hand-back ${A}`])
    expect(stored(one, A)).toEqual([])
    one.step({ type: 'settled', lane: A, now: 0 })
    expect(one.taken).toBe(0)
  })
})

describe('an attempt that the destination has answered', () => {
  it('gives its slot back before it is settled', () => {
    const one = scheduler({ initial: 1, limit: 1 })
    offered(one, A)
    one.step({ type: 'finished', lane: A, result: 'answered', now: 0 })
    expect(offered(one, A)).toEqual([`grant ${A}`])
  })

  it('is remembered until it is settled, so that failures in a row are seen as such', () => {
    const one = scheduler()
    offered(one, A)
    one.step({ type: 'finished', lane: A, result: 'unreachable', now: 0 })
    expect(one.lanes).toBe(1)
    one.step({ type: 'settled', lane: A, now: 0 })
    expect(one.lanes).toBe(0)
  })

  it('lets nothing new begin while the store is behind with as many as may be under way', () => {
    const one = scheduler({ maxAttempts: 2 })
    for (let attempt = 0; attempt < 2; attempt++) {
      offered(one, A)
      one.step({ type: 'finished', lane: A, result: 'answered', now: 0 })
    }
    expect(offered(one, B)).toEqual([])
    expect(stored(one, C)).toEqual([])
    expect(told(one.step({ type: 'settled', lane: A, now: 0 }))).toEqual([`claim 2 of ${C}`])
  })

  it('brings deferred mail back when it is due again', () => {
    const one = scheduler()
    offered(one, A)
    one.step({ type: 'finished', lane: A, result: 'answered', now: 0 })
    expect(told(one.step({ type: 'settled', lane: A, retryAt: 5_000, now: 0 }))).toEqual(['wake at 5000'])
  })
})

describe('a destination that cannot be reached', () => {
  it('is dead after a cohort of failures, and gets no mail', () => {
    const one = scheduler()
    expect(kill(one, A, 7)).toEqual([`dead ${A}`, `wake at ${7 + DEAD_MS}`])
    expect(offered(one, A)).toEqual([])
    expect(stored(one, A)).toEqual([])
    expect([one.taken, one.lanes]).toEqual([0, 1])
  })

  it('does not die twice of attempts that were under way', () => {
    const one = scheduler()
    offered(one, A)
    kill(one, A)
    expect(finished(one, A, 'unreachable', 99)).toEqual([])
  })

  it('lets attempts under way end, and gives back what is claimed after that', () => {
    const one = scheduler()
    kill(one, B)
    for (let attempt = 0; attempt < 4; attempt++) offered(one, A)
    stored(one, A)
    for (let attempt = 0; attempt < 3; attempt++) finished(one, A, 'unreachable')
    expect(claimed(one, A, 1, 1)).toEqual([`hand-back ${A}`])
    expect(one.taken).toBe(1)
    finished(one, A, 'unreachable')
    expect(one.taken).toBe(0)
  })

  it('is tried again when its time is over', () => {
    const one = scheduler()
    kill(one, A)
    kill(one, B, 1_000)
    expect(told(one.step({ type: 'woken', now: DEAD_MS - 1 }))[0]).toBe(`wake at ${DEAD_MS}`)
    one.step({ type: 'surveyed', lanes: [], nextDue: undefined, now: DEAD_MS })
    expect(told(one.step({ type: 'woken', now: DEAD_MS }))).toEqual([
      `alive ${A}`,
      `wake at ${DEAD_MS + 1_000}`,
      `claim 5 of ${A}`,
      `survey without ${A} ${B}`,
    ])
  })

  it('is forgotten when it comes back to nothing', () => {
    const one = scheduler()
    kill(one, A)
    one.step({ type: 'woken', now: DEAD_MS })
    claimed(one, A, 5, 0)
    expect([one.taken, one.lanes]).toEqual([0, 0])
  })

  it('has a survey tell when its later mail is due, once it is back', () => {
    const one = scheduler()
    kill(one, A)
    one.step({ type: 'woken', now: DEAD_MS })
    one.step({ type: 'surveyed', lanes: [], nextDue: undefined, now: DEAD_MS })
    expect(claimed(one, A, 5, 1)).toEqual(['survey without exception'])
  })

  it('comes back as soon as one attempt gets through, with as many as were under way', () => {
    const one = scheduler()
    offered(one, A)
    offered(one, A)
    kill(one, A)
    expect(finished(one, A)).toEqual([`alive ${A}`, `claim 1 of ${A}`])
    expect(one.taken).toBe(2)
  })

  it('has a survey tell when its later mail is due, also when it is back before its time', () => {
    const one = scheduler()
    offered(one, A)
    kill(one, A)
    one.step({ type: 'woken', now: 1 })
    one.step({ type: 'surveyed', lanes: [], nextDue: undefined, now: 1 })
    expect(finished(one, A)).toEqual([`alive ${A}`, `claim 1 of ${A}`])
    expect(claimed(one, A, 1, 0)).toEqual(['survey without exception'])
  })

  it('gets another chance when an operator flushes it, and only that lane when one is named', () => {
    const one = scheduler()
    kill(one, A)
    kill(one, B)
    expect(told(one.step({ type: 'flushed', lane: A, now: 1 }))).toEqual([
      `alive ${A}`,
      `claim 5 of ${A}`,
      `survey without ${A} ${B}`,
    ])
    expect(told(one.step({ type: 'flushed', now: 1 }))).toEqual([`alive ${B}`, `claim 5 of ${B}`])
  })
})

describe('a store in trouble', () => {
  it('is left alone until the time given, and its lane is found again by a survey', () => {
    const one = scheduler()
    stored(one, A)
    expect(told(one.step({ type: 'stalled', lane: A, asked: 5, retryAt: 1_000, now: 0 }))).toEqual(['wake at 1000'])
    expect([one.taken, one.lanes]).toEqual([0, 0])
    expect(told(one.step({ type: 'woken', now: 1_000 }))).toEqual(['survey without exception'])
  })

  it('is surveyed again when a survey failed', () => {
    const one = scheduler()
    one.step({ type: 'woken', now: 0 })
    expect(told(one.step({ type: 'stalled', asked: 0, retryAt: 1_000, now: 0 }))).toEqual(['wake at 1000'])
    expect(told(one.step({ type: 'woken', now: 1_000 }))).toEqual(['survey without exception'])
  })
})
