import { type BodySink, type Reply, reply } from '@mailwright/core'
import { settle } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { MemoryBudget } from './memory-budget.ts'

const QUEUED = [reply(250, '2.0.0', 'queued')]

function sink(more: Partial<BodySink> = {}): BodySink {
  return { write: () => undefined, hopeless: () => undefined, end: () => QUEUED, abort: () => undefined, ...more }
}

test('what is written is held until the message is answered', async () => {
  const budget = new MemoryBudget(1_000, () => {})
  const answer = Promise.withResolvers<readonly Reply[]>()
  const message = budget.watch(sink({ end: () => answer.promise }))
  expect(message.write(Buffer.alloc(400))).toBeUndefined()
  const ended = message.end()
  expect(budget.used).toBe(400)
  answer.resolve(QUEUED)
  expect(await ended).toBe(QUEUED)
  expect(budget.used).toBe(0)
})

test('a sink that fails at the end holds nothing any more', async () => {
  const budget = new MemoryBudget(1_000, () => {})
  const rejecting = budget.watch(sink({ end: () => Promise.reject(new Error('disk')) }))
  rejecting.write(Buffer.alloc(400))
  await expect(rejecting.end()).rejects.toThrow('disk')
  const throwing = budget.watch(
    sink({
      end: () => {
        throw new Error('disk')
      },
    }),
  )
  throwing.write(Buffer.alloc(400))
  expect(() => throwing.end()).toThrow('disk')
  expect(budget.used).toBe(0)
})

test('a sink that writes to disk holds what it says', () => {
  let held = 0
  const budget = new MemoryBudget(1_000, () => {})
  const message = budget.watch(sink({ held: () => held }))
  held = 900
  expect(message.write(Buffer.alloc(900))).toBeUndefined()
  held = 100
  expect(message.write(Buffer.alloc(900))).toBeUndefined()
  expect(budget.used).toBe(100)
})

test('over the budget the oldest goes on, the others when there is room, in turn', async () => {
  const states: string[] = []
  const order: number[] = []
  const budget = new MemoryBudget(200_000, (state) => states.push(state))
  const messages = Array.from({ length: 4 }, () => budget.watch(sink()))
  expect(messages[0]!.write(Buffer.alloc(60_000))).toBeUndefined()
  expect(messages[1]!.write(Buffer.alloc(60_000))).toBeUndefined()
  expect(messages[2]!.write(Buffer.alloc(60_000))).toBeUndefined()
  const waits = [3, 2, 1].map(async (index) => {
    await messages[index]!.write(Buffer.alloc(60_000))
    order.push(index)
  })
  await settle()
  expect(order).toEqual([])
  expect(states).toEqual(['full'])
  expect(messages[0]!.write(Buffer.alloc(60_000))).toBeUndefined()
  messages[0]!.end()
  await settle()
  expect(order).toEqual([1])
  for (const index of [1, 3, 2]) messages[index]!.end()
  await Promise.all(waits)
  expect(order).toEqual([1, 3, 2])
  expect(states).toEqual(['full', 'free'])
  expect(budget.used).toBe(0)
})

test('a message that is given up while it waits lets go', async () => {
  const budget = new MemoryBudget(1_000, () => {})
  const first = budget.watch(sink())
  first.write(Buffer.alloc(1_100))
  const second = budget.watch(sink())
  const wait = second.write(Buffer.alloc(900))
  expect(wait).toBeInstanceOf(Promise)
  second.abort()
  await wait
  expect(budget.used).toBe(1_100)
})

test('however many messages fill the memory, each comes to its end', async () => {
  const budget = new MemoryBudget(10_000, () => {})
  const done = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const message = budget.watch(sink())
      for (let chunk = 0; chunk < 5; chunk++) await message.write(Buffer.alloc(3_000))
      return message.end()
    }),
  )
  expect(done).toHaveLength(50)
  expect(budget.used).toBe(0)
})
