import { manualClock } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { ClientRates } from './client-rates.ts'

function rates(remembered = 10): { clock: ReturnType<typeof manualClock>; rates: ClientRates } {
  const clock = manualClock(0)
  const none = Number.POSITIVE_INFINITY
  const config = { connections: 2, messages: 1, recipients: none, failedAuthentications: 1, tlsHandshakes: none }
  return { clock, rates: new ClientRates(clock, { ...config, unitMs: 60_000, remembered }) }
}

test('a client may do so much in a unit of time, each thing for itself, and again in the next', async () => {
  const { clock, rates: it } = rates()
  expect(it.count('192.0.2.1', 'connections')).toBe('within')
  await clock.advance(30_000)
  expect(it.count('192.0.2.1', 'connections')).toBe('within')
  expect(it.count('192.0.2.1', 'connections')).toBe('over')
  expect(it.count('192.0.2.1', 'messages')).toBe('within')
  expect(it.count('192.0.2.2', 'connections')).toBe('within')
  await clock.advance(29_999)
  expect(it.count('192.0.2.1', 'connections')).toBe('over')
  await clock.advance(1)
  expect(it.count('192.0.2.1', 'connections')).toBe('within')
})

test('what has no limit is not remembered', () => {
  const { rates: it } = rates()
  for (let count = 0; count < 100; count++) expect(it.count('192.0.2.1', 'recipients')).toBe('within')
  expect(it.size).toBe(0)
})

test('looking does not count', () => {
  const { rates: it } = rates()
  expect(it.next('192.0.2.1', 'failedAuthentications')).toBe('within')
  it.count('192.0.2.1', 'failedAuthentications')
  expect(it.next('192.0.2.1', 'failedAuthentications')).toBe('over')
})

test('so many networks are remembered and no more, and the oldest is forgotten first', async () => {
  const { clock, rates: it } = rates()
  for (let network = 0; network < 1_000; network++) {
    it.count(`n${network}`, 'messages')
    await clock.advance(1)
  }
  expect(it.size).toBe(10)
  expect(it.next('n999', 'messages')).toBe('over')
  expect(it.next('n989', 'messages')).toBe('within')
  expect(clock.pending).toBe(0)
})

test('networks of which nothing was heard for a unit are cleared away as others come', async () => {
  const { clock, rates: it } = rates(1_000)
  for (let network = 0; network < 100; network++) it.count(`n${network}`, 'messages')
  await clock.advance('2m')
  for (let network = 0; network < 100; network++) it.count(`m${network}`, 'messages')
  expect(it.size).toBe(100)
})
