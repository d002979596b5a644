/** Addresses that are not to be written to any more. */
import { appendFile, mkdtemp, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Mailbox, MailwrightError, type Routing, type Suppression, type SuppressionList } from '@mailwright/core'
import { mailbox, testEnvironment } from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fileSuppressions } from './file-suppressions.ts'
import { memorySuppressions } from './memory-suppressions.ts'
import { retryAfter } from './retry.ts'
import { suppressing } from './suppressing-router.ts'
import { addressees, CALL, caredFor, routerOf } from './testing-support/queue-bench.ts'

const NOON = Date.UTC(2026, 0, 1, 12)
const MINUTE = 60_000
const ANN = mailbox('ann@example.org')
const started = caredFor()

function about(address: Mailbox | string, given: Partial<Suppression> = {}): Suppression {
  const known = typeof address === 'string' ? mailbox(address) : address
  return { address: known, cause: 'bounce', reason: '550 5.1.1 no such user', since: NOON, ...given }
}

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'mailwright-suppressions-'))
  onTestFinished(() => rm(made, { recursive: true, force: true }))
  return made
}

async function suppressionFile(): Promise<string> {
  return join(await folder(), 'suppressions')
}

const LISTS: readonly (readonly [string, (limit?: number) => Promise<SuppressionList>])[] = [
  ['in memory', async (limit) => memorySuppressions(limit === undefined ? {} : { limit })],
  [
    'in a file',
    async (limit) => fileSuppressions({ file: await suppressionFile(), ...(limit === undefined ? {} : { limit }) }),
  ],
]

describe.each(LISTS)('a suppression list %s', (_, make) => {
  it('knows nobody at first', async () => {
    const list = await make()
    expect(await list.find(ANN, NOON)).toBeUndefined()
    expect(await list.remove(ANN)).toBe(false)
    expect(await list.list({ limit: 10 })).toEqual([])
  })

  it('knows an address by whatever case, until it is taken off', async () => {
    const list = await make()
    await list.add(about('Ann@example.org'))
    expect(await list.find(mailbox('ANN@Example.ORG'), NOON)).toEqual(about('Ann@example.org'))
    expect(await list.find(mailbox('ann@example.com'), NOON)).toBeUndefined()
    expect(await list.remove(ANN)).toBe(true)
    expect(await list.find(ANN, NOON)).toBeUndefined()
  })

  it('keeps the last word about an address', async () => {
    const list = await make()
    await list.add(about(ANN))
    await list.add(about(ANN, { cause: 'complaint', reason: 'pressed the button' }))
    expect(await list.list({ limit: 10 })).toEqual([about(ANN, { cause: 'complaint', reason: 'pressed the button' })])
  })

  it('lets go of an address when its time is over', async () => {
    const list = await make()
    await list.add(about(ANN, { until: NOON + MINUTE }))
    expect(await list.find(ANN, NOON + MINUTE - 1)).toBeDefined()
    expect(await list.find(ANN, NOON + MINUTE)).toBeUndefined()
  })

  it('is listed in order of address, page by page, whatever left meanwhile', async () => {
    const list = await make()
    for (const name of ['dan', 'bob', 'ann', 'eve', 'cleo']) await list.add(about(`${name}@example.org`))
    const seen: string[] = []
    let after: Mailbox | undefined
    for (;;) {
      const page = await list.list({ limit: 2, after })
      if (page.length === 0) break
      seen.push(...page.map(({ address }) => address.local))
      after = page.at(-1)!.address
      await list.remove(after)
    }
    expect(seen).toEqual(['ann', 'bob', 'cleo', 'dan', 'eve'])
  })

  it('takes no more addresses than it may, and says so; known ones may change', async () => {
    const list = await make(2)
    await list.add(about('ann@example.org'))
    await list.add(about('bob@example.org'))
    await expect(list.add(about('cleo@example.org'))).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await list.add(about('bob@example.org', { cause: 'operator' }))
    await list.remove(ANN)
    await list.add(about('cleo@example.org'))
    expect((await list.list({ limit: 10 })).map(({ address }) => address.local)).toEqual(['bob', 'cleo'])
  })

  it('keeps addresses that need quoting, and those in UTF-8', async () => {
    const list = await make()
    for (const address of ['"two words"@example.org', '"a\\"b"@example.org', 'пользователь@пример.рф'])
      await list.add(about(address, { reason: 'line\nbreak "and" more' }))
    expect(await list.find(mailbox('"two words"@example.org'), NOON)).toBeDefined()
    expect(await list.find(mailbox('"a\\"b"@example.org'), NOON)).toBeDefined()
    expect(await list.find(mailbox('ПОЛЬЗОВАТЕЛЬ@пример.рф'), NOON)).toMatchObject({ reason: 'line\nbreak "and" more' })
  })

  it('takes many changes at once', async () => {
    const list = await make()
    const names = Array.from({ length: 50 }, (_each, index) => `user${index}@example.org`)
    await Promise.all(names.map((name) => list.add(about(name))))
    await Promise.all(names.slice(25).map((name) => list.remove(mailbox(name))))
    expect(await list.list({ limit: 100 })).toHaveLength(25)
  })
})

describe('a suppression file', () => {
  it('is read by the next process', async () => {
    const file = await suppressionFile()
    await fileSuppressions({ file }).add(about(ANN, { until: NOON + MINUTE }))
    expect(await fileSuppressions({ file }).find(ANN, NOON)).toEqual(about(ANN, { until: NOON + MINUTE }))
  })

  it('shows within a second what another process wrote, and answers at once meanwhile', async () => {
    const file = await suppressionFile()
    const [server, command] = [fileSuppressions({ file }), fileSuppressions({ file })]
    expect(await server.find(ANN, NOON)).toBeUndefined()
    await command.add(about(ANN))
    expect(server.find(ANN, NOON + 999)).toBeUndefined()
    expect(await server.find(ANN, NOON + 1_000)).toBeDefined()
    await command.remove(ANN)
    expect(server.find(ANN, NOON + 1_001)).toBeDefined()
    expect(await server.find(ANN, NOON + 2_000)).toBeUndefined()
    await command.add(about(ANN))
    // A clock that was set back.
    expect(await server.find(ANN, NOON - 60 * MINUTE)).toBeDefined()
  })

  it('loses only the line that a crash has cut short, and nothing that comes after', async () => {
    const file = await suppressionFile()
    await fileSuppressions({ file }).add(about(ANN))
    await appendFile(file, '{"address":"bob@exam')
    const list = fileSuppressions({ file })
    expect(await list.find(ANN, NOON)).toBeDefined()
    await list.add(about('cleo@example.org'))
    const again = await fileSuppressions({ file }).list({ limit: 10 })
    expect(again.map(({ address }) => address.local)).toEqual(['ann', 'cleo'])
  })

  it('passes over lines that say nothing it knows', async () => {
    const file = await suppressionFile()
    const lines = ['null', '[]', 'ann@example.org', '{"address":"nobody"}', '{"address":"ann@example.org","cause":"x"}']
    await writeFile(file, `${lines.join('\n')}\n${'x'.repeat(3_000_000)}\n`)
    await fileSuppressions({ file }).add(about('bob@example.org'))
    expect(await fileSuppressions({ file }).list({ limit: 10 })).toEqual([about('bob@example.org')])
  })

  it('is written anew when most of its lines are outdated, without those whose time is over', async () => {
    const file = await suppressionFile()
    const line = (index: number): string =>
      `${JSON.stringify({ ...about(ANN), address: 'ann@example.org', since: index })}\n`
    await writeFile(file, Array.from({ length: 1_100 }, (_each, index) => line(index)).join(''))
    const list = fileSuppressions({ file })
    await list.add(about('bob@example.org', { until: NOON - 1 }))
    expect(await list.find(ANN, NOON)).toEqual(about(ANN, { since: 1_099 }))
    expect(await readFile(file, 'utf8')).toBe(line(1_099))
    await list.add(about('cleo@example.org'))
    expect((await fileSuppressions({ file }).list({ limit: 10 })).map(({ address }) => address.local)).toEqual([
      'ann',
      'cleo',
    ])
  })

  it('is followed by others when it is written anew', async () => {
    const file = await suppressionFile()
    await writeFile(file, `${JSON.stringify({ ...about(ANN), address: 'ann@example.org' })}\n`.repeat(1_100))
    const [one, other] = [fileSuppressions({ file }), fileSuppressions({ file })]
    await one.list({ limit: 1 })
    await other.find(ANN, NOON)
    await one.add(about('bob@example.org'))
    expect(await one.list({ limit: 10 })).toHaveLength(2)
  })

  it('is read from its beginning when somebody put another in its place', async () => {
    const file = await suppressionFile()
    const list = fileSuppressions({ file })
    await list.add(about(ANN))
    expect(await list.find(ANN, NOON)).toBeDefined()
    for (const name of ['bob', 'cleo', 'dan'])
      await fileSuppressions({ file: `${file}.other` }).add(about(`${name}@example.org`))
    await rename(`${file}.other`, file)
    expect(await list.find(ANN, NOON + 1_000)).toBeUndefined()
    expect(await list.find(mailbox('bob@example.org'), NOON + 1_000)).toBeDefined()
  })

  it('is left to the one who is writing it anew, unless a crash has ended that', async () => {
    const file = await suppressionFile()
    const outdated = `${JSON.stringify({ ...about(ANN), address: 'ann@example.org' })}\n`.repeat(1_100)
    await writeFile(file, outdated)
    await writeFile(`${file}.new`, 'half')
    await utimes(`${file}.new`, NOON / 1_000, NOON / 1_000)
    const list = fileSuppressions({ file })
    expect(await list.find(ANN, NOON + MINUTE)).toBeDefined()
    expect(await readFile(file, 'utf8')).toBe(outdated)
    expect(await list.find(ANN, NOON + MINUTE + 1_000)).toBeDefined()
    expect(await list.find(ANN, NOON + MINUTE + 2_000)).toBeDefined()
    expect((await readFile(file, 'utf8')).split('\n')).toHaveLength(2)
  })

  it('that cannot be read or written makes every question reject', async () => {
    const list = fileSuppressions({ file: join(await folder(), 'not', 'there') })
    await expect(list.add(about(ANN))).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    const directory = fileSuppressions({ file: await folder() })
    await expect(directory.find(ANN, NOON)).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
  })
})

describe('a router behind a suppression list', () => {
  const { clock } = testEnvironment()
  const send: Routing = { kind: 'send', lane: { transport: 'smtp', destination: 'example.org' } }

  it('refuses those on it, and nobody else', async () => {
    const list = memorySuppressions()
    await list.add(about(ANN))
    const router = suppressing(routerOf(), list, clock)
    expect(router.route(ANN, mailbox('x@example.net'), CALL)).toMatchObject({
      kind: 'refuse',
      reply: { code: 550, enhanced: '5.7.1' },
    })
    expect(router.route(mailbox('bob@example.org'), mailbox('x@example.net'), CALL)).toEqual(send)
  })

  it('lets notices through: they answer mail of the address itself', async () => {
    const list = memorySuppressions()
    await list.add(about(ANN))
    expect(suppressing(routerOf(), list, clock).route(ANN, null, CALL)).toEqual(send)
  })
})

describe('a queue with a suppression list', () => {
  it('refuses mail for a suppressed recipient alone', async () => {
    const suppressions = memorySuppressions()
    await suppressions.add(about(ANN))
    const { send, smtp, entries } = await started({ suppressions })
    const outcomes = await send()
    expect([...outcomes.values()]).toMatchObject([{ status: 'failed', reply: { code: 550, enhanced: '5.7.1' } }])
    expect(smtp.jobs).toEqual([])
    expect(await entries()).toEqual([])
  })

  it('serves the others, and tells the sender of the suppressed one', async () => {
    const suppressions = memorySuppressions()
    await suppressions.add(about(ANN))
    const { send, smtp, clock, scope } = await started({ suppressions })
    await send({ to: ['ann@example.org', 'bob@example.org'] })
    await clock.settle()
    expect(smtp.delivered).toEqual(['bob@example.org', 'sender@example.net'])
    expect(scope.events.of('message.bounced')).toMatchObject([{ recipients: [{ address: ANN }] }])
  })

  it('refuses a suppressed member of an alias, and the alias when it is suppressed itself', async () => {
    const suppressions = memorySuppressions()
    await suppressions.add(about(ANN))
    await suppressions.add(about('old-list@example.com'))
    const into = [ANN, mailbox('bob@example.org')]
    const { send, smtp, clock } = await started({
      suppressions,
      routes: { 'list@example.com': { kind: 'expand', into }, 'old-list@example.com': { kind: 'expand', into } },
    })
    await send({ to: ['list@example.com'] })
    await clock.settle()
    expect(smtp.delivered).toEqual(['bob@example.org', 'sender@example.net'])
    const outcomes = await send({ to: ['old-list@example.com'] })
    expect([...outcomes.values()]).toMatchObject([{ status: 'failed' }])
  })

  it('defers everything while the list cannot be read', async () => {
    const suppressions = memorySuppressions()
    const find: SuppressionList['find'] = async () => {
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the disk is broken')
    }
    const { send } = await started({ suppressions: { ...suppressions, find } })
    expect([...(await send()).values()]).toMatchObject([{ status: 'deferred', reply: { code: 451 } }])
  })

  it('finds suppressed recipients when mail is routed again', async () => {
    const suppressions = memorySuppressions()
    const { send, queue, smtp, clock } = await started({
      suppressions,
      outcomes: { 'ann@example.org': '450 4.2.0 later', '*': 'ok' },
      retry: retryAfter('1h'),
    })
    await send()
    await clock.settle()
    await suppressions.add(about(ANN))
    await queue.requeue({})
    await clock.settle()
    expect(smtp.jobs.map(addressees)).toEqual([['ann@example.org'], ['sender@example.net']])
  })
})
