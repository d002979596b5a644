import type { Mailbox, Suppression } from '@mailwright/core'
import { expect, it, onTestFinished } from 'vitest'
import { type RedisSuppressions, redisSuppressions } from './redis-suppressions.ts'
import { redisServer, withServer } from './testing-support/redis-server.ts'

const ANN: Mailbox = { local: 'Ann', domain: 'example.org' }

function suppressed(address: Mailbox, more: Partial<Suppression> = {}): Suppression {
  return { address, cause: 'bounce', reason: '550 5.1.1 No such user', since: 1, ...more }
}

withServer('suppressions on a real server', () => {
  async function twoNodes(): Promise<readonly [RedisSuppressions, RedisSuppressions]> {
    const { path } = await redisServer()
    const make = (): RedisSuppressions => {
      const list = redisSuppressions({ connection: { path } })
      onTestFinished(() => list.close())
      return list
    }
    return [make(), make()]
  }

  it('are known to all nodes, whatever the case of the address, until they are removed', async () => {
    const [one, other] = await twoNodes()
    expect(await other.find(ANN, 5)).toBeUndefined()
    await one.add(suppressed(ANN))
    expect(await other.find({ local: 'ANN', domain: 'example.org' }, 5)).toEqual(suppressed(ANN))
    expect(await other.remove(ANN)).toBe(true)
    expect(await one.remove(ANN)).toBe(false)
    expect(await one.find(ANN, 5)).toBeUndefined()
  })

  it('end by themselves, and are replaced by a newer one of the same address', async () => {
    const [one, other] = await twoNodes()
    await one.add(suppressed(ANN, { until: 10 }))
    expect(await other.find(ANN, 9)).toBeDefined()
    expect(await other.find(ANN, 10)).toBeUndefined()
    await one.add(suppressed(ANN, { cause: 'complaint' }))
    expect(await other.find(ANN, 10)).toMatchObject({ cause: 'complaint' })
    expect(await other.list({ limit: 10 })).toHaveLength(1)
  })

  it('are listed in order of address, page by page', async () => {
    const [one] = await twoNodes()
    const addresses = ['dan', 'ann', 'cleo', 'bob'].map((local) => ({ local, domain: 'example.org' }))
    for (const address of addresses) await one.add(suppressed(address))
    const first = await one.list({ limit: 3 })
    expect(first.map(({ address }) => address.local)).toEqual(['ann', 'bob', 'cleo'])
    const rest = await one.list({ limit: 3, after: first.at(-1)!.address })
    expect(rest.map(({ address }) => address.local)).toEqual(['dan'])
    expect(await one.list({ limit: 3, after: rest[0]!.address })).toEqual([])
  })
})
