import { sleep } from '@mailwright/core'
import { expect, it } from 'vitest'
import { testEnvironment, testScope } from './test-environment.ts'

it('an environment is complete by default, and quiet', async () => {
  const world = testEnvironment()
  expect(world.clock.now()).toBe(Date.UTC(2026, 0, 1))
  world.assertQuiet()
  await world.dns.resolve('example.org', 'MX', { signal: new AbortController().signal })
  expect(() => world.assertQuiet()).toThrow('MX of example.org')
  await world.net.listen({ host: '192.0.2.1', port: 25 }, () => {})
  expect(() => world.assertQuiet()).toThrow('listener on 192.0.2.1:25')
})

it('a scope records events and tells those who listen', () => {
  const world = testEnvironment()
  const scope = testScope({ environment: world })
  const heard: unknown[] = []
  const unsubscribe = scope.events.subscribe((event, at) => heard.push([event.type, at]))
  scope.events.emit({ type: 'message.removed', message: 'a' })
  unsubscribe()
  scope.events.emit({ type: 'message.removed', message: 'b' })
  expect(heard).toEqual([['message.removed', world.clock.now()]])
  expect(scope.events.of('message.removed').map((event) => event.message)).toEqual(['a', 'b'])
  expect(scope.events.of('failure')).toEqual([])
  scope.events.clear()
  expect(scope.events.all).toEqual([])
})

it('a scope knows its tasks, and what they failed with', async () => {
  const scope = testScope()
  const bug = new Error('a bug')
  scope.task('flush', async () => {
    scope.task('nested', async () => {})
    throw bug
  })
  expect(scope.tasks).toContain('flush')
  await scope.idle()
  expect(scope.tasks).toEqual([])
  expect(scope.failures).toEqual([bug])
  expect(scope.events.of('failure')).toEqual([{ type: 'failure', where: 'flush', error: bug }])
})

it('a task that ends because the scope ended has not failed', async () => {
  const world = testEnvironment()
  const scope = testScope({ environment: world })
  scope.task('wait', () => sleep(world.clock, 1_000, scope.signal))
  scope.abort()
  await scope.idle()
  expect(scope.failures).toEqual([])
})
