import type { Zones } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import type { SmtpTransportOptions } from './options.ts'
import { type Answer, type ScriptedServer, scriptedServer } from './testing-support/scripted-server.ts'
import { call, job, summary, type World, world } from './testing-support/world.ts'

const ZONES: Zones = {
  'example.org': {
    MX: [
      [10, 'mx.example.org'],
      [20, 'backup.example.org'],
    ],
  },
  'mx.example.org': { A: ['192.0.2.25'] },
  'backup.example.org': { A: ['192.0.2.26'] },
}

interface Pair extends World {
  readonly backup: ScriptedServer
}

/** Two exchangers: what the first answers to commands that begin so, and what the second does. */
async function pair(
  first: readonly [string, Answer],
  second?: readonly [string, Answer],
  options: Partial<SmtpTransportOptions> = {},
): Promise<Pair> {
  const scripted = (script: readonly [string, Answer] | undefined) => (command: string) =>
    script !== undefined && command.startsWith(script[0]) ? script[1] : undefined
  const made = await world(options, { answer: scripted(first) }, { zones: ZONES })
  const backup = await scriptedServer(made.environment.net, { host: '192.0.2.26', answer: scripted(second) })
  return {
    ...made,
    backup,
    async end() {
      await made.transport.stop?.()
      await backup.close()
      await made.end()
    },
  }
}

const TO = ['ann@example.org', 'bob@example.org']

describe('who is put off by one exchanger is tried at the next:', () => {
  it.each<readonly [string, readonly [string, Answer], number]>([
    ['4xx to MAIL', ['MAIL', '451 4.7.1 later'], 2],
    ['4xx to one RCPT', ['RCPT TO:<bob@', '450 4.2.0 greylisted'], 1],
    ['4xx to DATA', ['DATA', '452 4.3.1 full'], 2],
    ['421 at RCPT', ['RCPT', { say: '421 4.3.2 closing\r\n', and: 'close' }], 2],
    ['no answer to MAIL', ['MAIL', { and: 'silence' }], 2],
    ['the end at DATA', ['DATA', { and: 'close' }], 2],
    ['rubbish at RCPT', ['RCPT', { say: 'what?\r\n', and: 'silence' }], 2],
  ])('%s', async (_, script, moved) => {
    const { deliver, backup, server, end } = await pair(script)
    const outcomes = await deliver(job({ to: TO }))
    expect(summary(outcomes).map((line) => line.slice(0, 2))).toEqual(['ok', 'ok'])
    expect(backup.visits).toHaveLength(1)
    expect(backup.visits[0]!.commands.filter((command) => command.startsWith('RCPT'))).toHaveLength(moved)
    expect(server.messages.filter((text) => text !== '').length + backup.messages.length).toBe(moved === 1 ? 2 : 1)
    await end()
  })

  it('and what that one says for good, counts', async () => {
    const { deliver, end } = await pair(['RCPT TO:<bob@', '450 4.2.0 later'], ['RCPT', '550 5.1.1 nobody'])
    expect(summary(await deliver(job({ to: TO }))).map((line) => line.slice(0, 16))).toEqual([
      'ok 250 2.0.0 hos',
      'failed 550 5.1.1',
    ])
    await end()
  })

  it('and as often as that puts them off, its word is the last', async () => {
    const { deliver, end } = await pair(['RCPT', '450 4.2.0 later'], ['RCPT', '451 4.7.1 not yet'])
    expect(summary(await deliver())[0]).toMatch(/^deferred recipient 451 4\.7\.1/)
    await end()
  })

  it('and where that cannot be had, the first word counts', async () => {
    const { deliver, end } = await pair(['RCPT', '450 4.2.0 later'], ['<greeting>', { and: 'close' }])
    expect(summary(await deliver())[0]).toMatch(/^deferred recipient 450 4\.2\.0/)
    await end()
  })
})

describe('the next exchanger is left alone', () => {
  it.each<readonly [string, readonly [string, Answer], RegExp]>([
    ['where the first says no for good', ['RCPT', '550 5.1.1 nobody'], /^failed 550/],
    ['once the message is sent', ['<message>', '451 4.6.0 scanner away'], /^deferred message 451 4\.6\.0/],
    [
      'where it is not known whether the message was taken',
      ['<message>', { and: 'close' }],
      /^deferred message 451 4\.4\.2/,
    ],
  ])('%s', async (_, script, line) => {
    const { deliver, backup, end } = await pair(script)
    expect(summary(await deliver())[0]).toMatch(line)
    expect(backup.visits).toEqual([])
    await end()
  })

  it('beyond the limit of sessions', async () => {
    const { deliver, backup, end } = await pair(['RCPT', '450 4.2.0 later'], undefined, { maxSessions: 1 })
    expect(summary(await deliver())[0]).toMatch(/^deferred recipient 450/)
    expect(backup.visits).toEqual([])
    await end()
  })

  it('when the caller gives up meanwhile', async () => {
    const { environment, transport, backup, end } = await pair(
      ['RCPT', '450 4.2.0 later'],
      ['MAIL', { and: 'silence' }],
    )
    const caller = new AbortController()
    const delivery = transport.deliver(job(), { signal: caller.signal })
    delivery.catch(() => undefined)
    await environment.clock.settle()
    expect(backup.visits).toHaveLength(1)
    caller.abort(new Error('enough'))
    await expect(environment.clock.until(delivery)).rejects.toThrow('enough')
    await end()
  })
})

it('A shutdown settles who waits for the next exchanger', async () => {
  const { environment, transport, end } = await pair(['RCPT', '450 4.2.0 later'], ['MAIL', { and: 'silence' }])
  const delivery = transport.deliver(job(), call)
  await environment.clock.settle()
  await transport.stop?.()
  expect(summary(await environment.clock.until(delivery))[0]).toMatch(/^deferred recipient 450/)
  await end()
})

describe('next hops in a list are tried in order', () => {
  const zones: Zones = {
    'a.example': { A: ['192.0.2.1'] },
    'b.example': { A: ['192.0.2.25'] },
    'gone.example': 'no-name',
    'null.example': { MX: [[0, '']] },
  }

  it.each<readonly [string, Partial<SmtpTransportOptions>, string, RegExp]>([
    ['until one is there', {}, '[a.example]:26, [b.example]', /^ok .*b\.example/],
    ['as the operator wrote them', { nextHop: '[a.example],b.example' }, 'example.org', /^ok .*b\.example/],
    ['and then the fallback', { fallback: ['[a.example]', '[b.example]'] }, 'a.example', /^ok .*b\.example/],
    [
      'and the fallback for a domain that is not found',
      { fallback: ['[b.example]'] },
      'gone.example',
      /^ok .*b\.example/,
    ],
    ['but not for one that takes no mail', { fallback: ['[b.example]'] }, 'null.example', /^failed 556 5\.1\.10/],
    ['and the last one tells why not', {}, 'gone.example, [a.example]', /^deferred destination 451 4\.4\.1/],
  ])('%s', async (_, options, destination, line) => {
    const { deliver, end } = await world(options, {}, { zones })
    expect(summary(await deliver(job({ destination })))[0]).toMatch(line)
    await end()
  })

  it('and the fallback is not told who we are', async () => {
    const auth = { user: 'ann', password: 'pencil' }
    const options = { auth, authWithoutTls: 'allowed', fallback: ['[b.example]'] } as const
    const { deliver, server, end } = await world(options, { capabilities: ['AUTH PLAIN'] }, { zones })
    expect(summary(await deliver(job({ destination: 'a.example' })))[0]).toMatch(/^ok/)
    expect(server.visits[0]!.commands.join()).not.toContain('AUTH')
    await end()
  })
})
