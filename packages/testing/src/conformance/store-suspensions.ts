/** Suspensions: kept for whoever delivers. The store itself withholds nothing. */
import type { Suspension } from '@mailwright/core'
import { expect } from 'vitest'
import { claimDue, draft, FIRST_LANE, MINUTE, NOON, put, type StoreCase } from './store-fixture.ts'

const EVERYTHING: Suspension = { scope: { kind: 'everything' }, reason: 'maintenance', since: NOON }
const LANE: Suspension = {
  scope: { kind: 'lane', lane: FIRST_LANE },
  reason: '421 too many',
  since: NOON,
  until: NOON + MINUTE,
}
const TENANT: Suspension = {
  scope: { kind: 'label', label: 'tenant', value: 'acme' },
  reason: 'complaints',
  since: NOON,
}

export const SUSPENSION_CASES: readonly StoreCase[] = [
  {
    title: 'nothing is suspended at first',
    async run({ store }) {
      expect(await store.suspensions()).toEqual([])
      expect(await store.resume({ kind: 'everything' })).toBe(false)
    },
  },
  {
    title: 'suspensions are told in order of their keys, until they are ended',
    async run({ store }) {
      for (const each of [LANE, TENANT, EVERYTHING]) await store.suspend(each)
      expect(await store.suspensions()).toEqual([EVERYTHING, TENANT, LANE])
      expect(await store.resume(TENANT.scope)).toBe(true)
      expect(await store.resume(TENANT.scope)).toBe(false)
      expect(await store.suspensions()).toEqual([EVERYTHING, LANE])
    },
  },
  {
    title: 'a suspension of the same scope takes the place of the first',
    async run({ store }) {
      await store.suspend(LANE)
      const longer = { ...LANE, reason: 'still', until: NOON + 5 * MINUTE }
      await store.suspend(longer)
      expect(await store.suspensions()).toEqual([longer])
    },
  },
  {
    title: 'a suspension of a long name is kept like any other',
    async run({ store }) {
      const scope = { kind: 'label', label: 'campaign', value: 'x'.repeat(1_500) } as const
      await store.suspend({ ...TENANT, scope })
      expect(await store.suspensions()).toEqual([{ ...TENANT, scope }])
      expect(await store.resume(scope)).toBe(true)
    },
  },
  {
    title: 'the store gives out suspended mail all the same: who delivers asks for none',
    async run({ store }) {
      await put(store, draft('a1'))
      await store.suspend(EVERYTHING)
      expect(await store.nextDue()).toBe(NOON)
      expect(await claimDue(store)).toHaveLength(1)
    },
  },
  {
    title: 'suspensions are kept over closing and opening',
    needs: 'reopen',
    async run({ store, reopen }) {
      await store.suspend(LANE)
      await store.suspend(TENANT)
      const again = await reopen()
      expect(await again.suspensions()).toEqual([TENANT, LANE])
      expect(await again.resume(LANE.scope)).toBe(true)
    },
  },
  {
    title: 'suspending and resuming tell those who wait for arrivals, as an operator’s doing',
    async run({ store }) {
      const told: string[] = []
      store.onArrival((by) => {
        told.push(by)
      })
      await store.suspend(LANE)
      await store.resume(LANE.scope)
      await store.resume(LANE.scope)
      expect(told).toEqual(['operator', 'operator'])
    },
  },
]
