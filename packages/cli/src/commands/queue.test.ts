import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { mailwright, type Result, type Server, server, temporaryFolder } from '../test-support/command-line.ts'
import { sendMail } from '../test-support/send-mail.ts'

interface Listed {
  readonly queue_name: string
  readonly queue_id: string
  readonly attempts: number
  readonly recipients: readonly { readonly address: string; readonly delay_reason?: string }[]
  readonly [field: string]: unknown
}

const TEXT = 'Subject: waits\r\n\r\nbody\r\n'

/** A port of loopback that nobody listens at. */
async function deadPort(): Promise<number> {
  const once = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => once.once('listening', resolve))
  const { port } = once.address() as { readonly port: number }
  await new Promise((resolve) => once.close(resolve))
  return port
}

describe.each(['while a relay runs on it', 'while nothing runs on it'])('a queue, looked at %s', (when) => {
  const folder = mkdtempSync(join(tmpdir(), 'mailwright-queue-'))
  const spool = join(folder, 'spool')
  let relay: Server
  let nextHop: string

  const queue = (...args: readonly string[]): Promise<Result> => mailwright('queue', ...args, '--spool', spool)
  const list = async (...args: readonly string[]): Promise<Listed[]> => {
    const { stdout } = await queue('list', '--json', ...args)
    return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Listed]))
  }
  const idTo = async (address: string): Promise<string> => {
    const [only, ...more] = await list('--recipient', address)
    expect(more).toEqual([])
    return only!.queue_id
  }

  beforeAll(async () => {
    nextHop = `127.0.0.1:${await deadPort()}`
    relay = await server(['relay', '--listen', '127.0.0.1:0', '--next-hop', nextHop, '--spool', spool], 1, 'kept')
    for (const address of ['bob@example.net', 'eve@example.net', 'zoe@example.com'])
      await sendMail(relay.port, TEXT, [address])
    const tried = async (): Promise<boolean> => (await list()).filter((entry) => entry.attempts === 1).length === 3
    await vi.waitUntil(tried, { timeout: 20_000, interval: 100 })
    if (when === 'while nothing runs on it') expect((await relay.stop()).code).toBe(0)
  }, 60_000)

  afterAll(async () => {
    const { code } = await relay.stop()
    rmSync(folder, { recursive: true, force: true })
    expect(code).toBe(0)
  })

  it('lists its entries for people', async () => {
    const { code, stdout, stderr } = await queue('list')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '3 entries\n' })
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      expect.stringMatching(
        /^\w+ {2}20\S+Z {2}\d+ bytes {2}from <ann@example\.org> {2}smtp:\S+ {2}attempts 1 {2}due 20/,
      ),
      expect.stringMatching(/^ {4}<bob@example\.net> {2}451 4\.4\.1 cannot connect/),
    ])
  })

  it('lists its entries for programs, as postqueue -j does', async () => {
    expect((await list())[0]).toEqual({
      queue_name: 'deferred',
      queue_id: expect.stringMatching(/^\w+$/),
      arrival_time: expect.any(Number),
      message_size: expect.any(Number),
      sender: 'ann@example.org',
      recipients: [
        {
          address: 'bob@example.net',
          orig_address: 'bob@example.net',
          delay_reason: expect.stringContaining('cannot connect'),
        },
      ],
      lane: `smtp:[127.0.0.1]:${nextHop.split(':')[1]}`,
      attempts: 1,
      next_attempt: expect.any(Number),
    })
  })

  it('lists what is selected', async () => {
    const selections = [
      ['--recipient', '@example.net'],
      ['--recipient', 'ZOE@example.com'],
      ['--sender', 'ann@example.org'],
      ['--sender', 'ann@example.org', '--recipient', '@nowhere.example'],
      ['--lane', 'smtp:example.com'],
    ]
    const counts = await Promise.all(selections.map(async (selection) => (await list(...selection)).length))
    expect(counts).toEqual([2, 1, 3, 0, 0])
  })

  it('shows one message', async () => {
    const id = await idTo('zoe@example.com')
    expect((await queue('show', id)).stdout).toMatch(new RegExp(`^${id} .*\\n {4}<zoe@example\\.com>`))
    const { stdout } = await queue('show', id, '--json')
    expect(JSON.parse(stdout)).toEqual({ queue_id: id, entries: await list(id) })
  })

  it('gives a message as it is stored', async () => {
    const { code, stdout } = await queue('cat', await idTo('bob@example.net'))
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Received: from client\.example\.org /)
    expect(stdout.endsWith(TEXT)).toBe(true)
  })

  it.each(['show', 'cat'])('says in one line that there is no message to %s', async (action) => {
    expect(await queue(action, 'nothing')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'mailwright: there is no message nothing in the queue\n',
    })
    expect((await queue(action)).code).toBe(2)
  })

  it('holds what is selected, and releases it', async () => {
    const held = await queue('hold', '--recipient', '@example.net')
    expect(held).toEqual({ code: 0, stdout: '', stderr: 'held 2 entries\n' })
    const [bob] = await list('--recipient', 'bob@example.net')
    expect(bob).toMatchObject({ queue_name: 'hold', hold_reason: 'held by the operator' })
    expect((await queue('list')).stdout).toContain('held: held by the operator')
    expect((await queue('stats', '--json')).stdout).toContain('"held":2')
    // Held once, held already.
    expect((await queue('hold', '--recipient', '@example.net', '--json')).stdout).toBe('{"held":0}\n')
    expect((await queue('release', '--all', '--json')).stdout).toBe('{"released":2}\n')
    expect(await list('--recipient', 'bob@example.net')).toMatchObject([{ queue_name: 'deferred' }])
  })

  it('removes what is selected, and nothing else', async () => {
    const id = await idTo('eve@example.net')
    expect(await queue('remove', id)).toEqual({ code: 0, stdout: '', stderr: 'removed 1 entry\n' })
    expect((await queue('remove', id, '--json')).stdout).toBe('{"removed":0}\n')
    expect((await list()).flatMap((entry) => entry.recipients.map(({ address }) => address))).toEqual([
      'bob@example.net',
      'zoe@example.com',
    ])
  })

  it('counts', async () => {
    const stats = JSON.parse((await queue('stats', '--json')).stdout) as object
    expect(stats).toMatchObject({ messages: 2, entries: 2, held: 0, lanes: 1, oldest: expect.any(Number) })
    expect((await queue('stats')).stdout).toMatch(/^messages {3}2\nentries {4}2\n[\s\S]*\noldest {5}20\S+Z\n$/)
  })
})

describe('what is flushed', () => {
  const whens = ['while a relay runs', 'before a relay starts', 'to a destination the relay had given up'] as const
  it.each(whens)(
    'is delivered when it is flushed %s',
    async (when) => {
      const spool = ['--spool', join(temporaryFolder(), 'spool')]
      const nextHop = `127.0.0.1:${await deadPort()}`
      const relaying = ['relay', '--listen', '127.0.0.1:0', '--next-hop', nextHop, ...spool]
      const queue = async (...args: readonly string[]): Promise<string> =>
        (await mailwright('queue', ...args, ...spool)).stdout
      const first = await server(relaying)
      const givenUp = when === 'to a destination the relay had given up'
      const count = givenUp ? 6 : 1
      for (let sent = 0; sent < count; sent++) await sendMail(first.port, TEXT)
      const tried = async (): Promise<boolean> => (await queue('list')).split('attempts 1').length === count + 1
      await vi.waitUntil(tried, { timeout: 20_000, interval: 100 })
      if (givenUp) {
        // All at once: a whole cohort of failures is what makes a destination dead.
        await queue('flush', '--all')
        await vi.waitUntil(() => first.said().includes('"state":"dead"'), { timeout: 20_000, interval: 100 })
      }
      if (when === 'before a relay starts') await first.stop()
      const sink = await server(['sink', '--listen', nextHop])
      expect(await queue('flush', '--all', '--json')).toBe(`{"flushed":${count}}\n`)
      const second = when === 'before a relay starts' ? await server(relaying) : first
      await vi.waitUntil(async () => (await queue('list')) === '', { timeout: 20_000, interval: 100 })
      expect(await mailwright('queue', 'list', ...spool)).toEqual({
        code: 0,
        stdout: '',
        stderr: 'The queue is empty.\n',
      })
      expect(await queue('stats')).toMatch(/^messages {3}0\n[\s\S]*lanes {6}0\n$/)
      expect([(await second.stop()).code, (await sink.stop()).code]).toEqual([0, 0])
    },
    60_000,
  )
})

describe('a folder that is no spool', () => {
  it('is told in one line, and stays as it is', async () => {
    const folder = temporaryFolder()
    const { code, stderr } = await mailwright('queue', 'list', '--spool', join(folder, 'spool'))
    expect(stderr).toMatch(/^mailwright: there is no spool in [^\n]+\n$/)
    expect(code).toBe(1)
  })
})
