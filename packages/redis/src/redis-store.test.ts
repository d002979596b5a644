import { storeConformance } from '@mailwright/testing'
import { afterAll, beforeAll } from 'vitest'
import { type RedisStore, redisStore } from './redis-store.ts'
import { withServer } from './testing-support/redis-server.ts'
import { type LaunchedServer, launch } from './testing-support/server-process.ts'

withServer('on a real server', () => {
  let server: LaunchedServer
  let queues = 0
  beforeAll(async () => {
    server = await launch()
  })
  afterAll(() => server.dispose())

  storeConformance({
    name: 'redisStore',
    create: async () => {
      queues += 1
      const name = `conformance-${queues}`
      const open = (): RedisStore => redisStore({ connection: { path: server.path }, name, clock: 'caller' })
      return { store: open(), reopen: async () => open(), dispose: async () => {} }
    },
  })
})
