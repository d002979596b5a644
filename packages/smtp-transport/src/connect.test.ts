import { expect, it } from 'vitest'
import { HEAD_START_MS } from './connect.ts'
import { job, summary, world } from './testing-support/world.ts'

const V4 = '192.0.2.25'
const V6 = '2001:db8::25'
const ZONES = {
  'example.org': { MX: [[10, 'mx.example.org']] as const },
  'mx.example.org': { A: [V4], AAAA: [V6] },
}

/** Connects where these addresses do not answer at all; tells how long it took, and which were tried. */
async function attempt(dead: readonly string[], host: string) {
  const { deliver, environment, end } = await world(
    {},
    { host },
    { zones: ZONES, network: { faults: ({ to }) => ({ blackhole: dead.includes(to.host) }) } },
  )
  const start = environment.clock.now()
  const [line = ''] = summary(await deliver(job()))
  const tookMs = environment.clock.now() - start
  const tried = environment.net.attempts.map(({ to }) => to.host)
  await end()
  return { line, tookMs, tried }
}

it('A host that does not answer by IPv4 is reached by IPv6 after a moment', async () => {
  const { line, tookMs, tried } = await attempt([V4], V6)
  expect(line).toMatch(/^ok .*\[2001:db8::25\]/)
  expect(tookMs).toBe(HEAD_START_MS)
  expect(tried).toEqual([V4, V6])
})

it('A host that answers is not tried by the other family', async () => {
  expect((await attempt([V6], V4)).tried).toEqual([V4])
})

it('A host that refuses by IPv4 is tried by IPv6 at once', async () => {
  const { tookMs, tried } = await attempt([], V6)
  expect(tried).toEqual([V4, V6])
  expect(tookMs).toBe(0)
})

it('A host that answers by neither is given up, once', async () => {
  const { line, tookMs, tried } = await attempt([V4, V6], '192.0.2.99')
  expect(line).toMatch(/^deferred destination 451 4\.4\.1 cannot connect/)
  expect(tried).toEqual([V4, V6])
  expect(tookMs).toBe(30_000 + HEAD_START_MS)
})
