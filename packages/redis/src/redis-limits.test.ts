import { limitsConformance } from '@mailwright/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type RedisLimits, type RedisLimitsOptions, redisLimits } from './redis-limits.ts'
import { withServer } from './testing-support/redis-server.ts'
import { type LaunchedServer, launch } from './testing-support/server-process.ts'

withServer('on a real server', () => {
  let server: LaunchedServer
  let count = 0
  beforeAll(async () => {
    server = await launch()
  })
  afterAll(() => server.dispose())

  const pair = (options: Partial<RedisLimitsOptions> = {}): readonly [RedisLimits, RedisLimits] => {
    const given = { connection: { path: server.path }, name: `limits-${++count}`, ...options }
    return [redisLimits(given), redisLimits(given)]
  }
  const closed = async (workers: readonly RedisLimits[]): Promise<void> => {
    for (const worker of workers) await worker.close()
  }

  limitsConformance({
    name: 'redisLimits of two nodes',
    create: async () => {
      const workers = pair()
      // The first question pays for the connection.
      for (const worker of workers) await worker.renew({ key: 'nobody', token: 'none' }, 1, 0)
      return {
        workers,
        now: () => Date.now(),
        pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
        inexactMs: 20,
        dispose: () => closed(workers),
      }
    },
  })

  limitsConformance({
    name: 'redisLimits on a manual clock',
    create: async () => {
      const workers = pair({ clock: 'caller' })
      let now = Date.UTC(2026, 0, 1, 12)
      return {
        workers,
        now: () => now,
        pass: async (ms) => {
          now += ms
        },
        dispose: () => closed(workers),
      }
    },
  })

  it('tells a node whose clock is wrong its moments by its own clock', async () => {
    const [one, other] = pair()
    const wrong = Date.now() - 3_600_000
    const rate = { count: 1, perMs: 60_000 }
    await other.pace('tenant', rate, Date.now())
    const moment = await one.pace('tenant', rate, wrong)
    expect(moment).toBeGreaterThan(wrong + 59_000)
    expect(moment).toBeLessThanOrEqual(wrong + 60_000)
    await closed([one, other])
  })

  it('rejects in bounded time while the server is away, and goes on when it is back', async () => {
    const away = await launch()
    const limits = redisLimits({ connection: { path: away.path } })
    await limits.pace('tenant', { count: 1, perMs: 1 }, 0)
    await away.kill()
    await expect(limits.pace('tenant', { count: 1, perMs: 1 }, 0)).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_STORE',
    })
    await away.start()
    await expect
      .poll(() => limits.enter('site', 1, 1_000, 0).catch(() => undefined), { timeout: 10_000 })
      .toMatchObject({ key: 'site' })
    await limits.close()
    await away.dispose()
  })
})
