/**
 * The conformance suite of `QueueStore`: every rule of the port as a sentence about mail, and random histories checked
 * against a model. A store that passes may be given to a queue.
 *
 * Needs vitest, and fast-check for the random histories.
 */
import type { QueueStore } from '@mailwright/core'
import { describe, it } from 'vitest'
import { BODY_CASES } from './store-bodies.ts'
import { CLAIM_CASES } from './store-claims.ts'
import { eventLog, type StoreBench, type StoreCase, type StoreUnderTest } from './store-fixture.ts'
import { INSTRUCTION_CASES } from './store-instructions.ts'
import { MOVE_CASES } from './store-moves.ts'
import { OPERATOR_CASES } from './store-operator.ts'
import type { Subject } from './store-property.ts'
import { PUT_CASES } from './store-put.ts'
import { REOPEN_CASES } from './store-reopen.ts'
import { SCHEDULE_CASES } from './store-schedule.ts'
import { SETTLE_CASES } from './store-settle.ts'
import { SHAPE_CASES } from './store-shape.ts'
import { SUSPENSION_CASES } from './store-suspensions.ts'

export type { StoreUnderTest } from './store-fixture.ts'

export interface StoreConformanceOptions {
  /** Names the store in the report. */
  readonly name: string
  /** A fresh, empty store. Called once for every case. */
  readonly create: () => Promise<StoreUnderTest>
  /** Cases by title that cannot hold for this store, each with the reason, which the report shows. */
  readonly skip?: Readonly<Record<string, string>>
  /** Random histories to play. Default 50. */
  readonly histories?: number
  /** Where they begin. The same seed gives the same histories. */
  readonly seed?: number
}

const GROUPS: Readonly<Record<string, readonly StoreCase[]>> = {
  'taking mail': PUT_CASES,
  'claiming it': CLAIM_CASES,
  'settling it': SETTLE_CASES,
  'what is due': SCHEDULE_CASES,
  'moving it elsewhere': MOVE_CASES,
  'the operator': OPERATOR_CASES,
  instructions: INSTRUCTION_CASES,
  suspensions: SUSPENSION_CASES,
  'its shape': SHAPE_CASES,
  bodies: BODY_CASES,
  'opening and closing': REOPEN_CASES,
}

/**
 * Declares the suite. Call it at the top of a test file.
 *
 * @example
 * storeConformance({ name: 'memoryStore', create: async () => ({ store: memoryStore(), dispose: async () => {} }) })
 */
export function storeConformance(options: StoreConformanceOptions): void {
  const { create, skip = {} } = options
  describe(`${options.name} as a queue store`, () => {
    for (const [group, cases] of Object.entries(GROUPS))
      describe(group, () => {
        for (const each of cases) {
          const reason = skip[each.title]
          if (reason !== undefined) it.skip(`${each.title} (${reason})`)
          else
            it(each.title, async (context) => {
              const subject = await create()
              try {
                if (each.needs === 'reopen' && subject.reopen === undefined) context.skip('the store forgets')
                await onBench(subject, (bench) => each.run(bench))
              } finally {
                await subject.dispose()
              }
            })
        }
      })
    it('random histories', { timeout: 120_000 }, async () => {
      // Loaded here, so that whoever runs no store suite needs no fast-check.
      const { checkHistories } = await import('./store-property.ts')
      await checkHistories((check) => onSubject(create, check), {
        runs: options.histories ?? 50,
        seed: options.seed ?? 5321,
      })
    })
  })
}

async function onBench(subject: StoreUnderTest, run: (bench: StoreBench) => Promise<void>): Promise<void> {
  const { events, log } = eventLog()
  let store = subject.store
  await store.open(events)
  const reopen = async (): Promise<QueueStore> => {
    await store.close()
    store = await subject.reopen!()
    await store.open(events)
    return store
  }
  try {
    await run({ store, events: log, reopen })
  } finally {
    await store.close()
  }
}

async function onSubject(
  create: () => Promise<StoreUnderTest>,
  check: (subject: Subject) => Promise<void>,
): Promise<void> {
  const created = await create()
  try {
    await onBench(created, ({ store, reopen }) => check({ store, ...(created.reopen === undefined ? {} : { reopen }) }))
  } finally {
    await created.dispose()
  }
}
