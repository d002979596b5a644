import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { mailwright, type Result, type Server, server, temporaryFolder } from '../test-support/command-line.ts'
import { sendMail } from '../test-support/send-mail.ts'
import { queue as command } from './queue.ts'

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

  it('ends quietly when nobody reads the message any further', async () => {
    const cli = fileURLToPath(new URL('../cli.ts', import.meta.url))
    const pipe = ['-c', '"$0" "$@" | true', process.execPath, cli]
    const id = await idTo('bob@example.net')
    const { stderr } = await promisify(execFile)('sh', [...pipe, 'queue', 'cat', id, '--spool', spool])
    expect(stderr).toBe('')
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

describe.each(['while a relay runs on it', 'while nothing runs on it'])('a queue, changed %s', (when) => {
  const folder = mkdtempSync(join(tmpdir(), 'mailwright-queue-'))
  const spool = join(folder, 'spool')
  let relay: Server
  let lane: string

  const queue = (...args: readonly string[]): Promise<Result> => mailwright('queue', ...args, '--spool', spool)
  const counted = async (...args: readonly string[]): Promise<unknown> => {
    const { stdout, stderr } = await queue(...args, '--json')
    return stdout === '' ? stderr : JSON.parse(stdout)
  }
  const addresses = async (...args: readonly string[]): Promise<string[]> => {
    const { stdout, stderr } = await queue('list', '--json', ...args)
    expect(stderr).toBe('')
    const lines = stdout.split('\n').filter((line) => line !== '')
    return lines.flatMap((line) => (JSON.parse(line) as Listed).recipients.map(({ address }) => address))
  }

  beforeAll(async () => {
    const port = await deadPort()
    lane = `smtp:[127.0.0.1]:${port}`
    relay = await server(
      ['relay', '--listen', '127.0.0.1:0', '--next-hop', `127.0.0.1:${port}`, '--spool', spool],
      1,
      'kept',
    )
    await sendMail(relay.port, TEXT, ['bob@example.net'])
    await sendMail(relay.port, `Subject: large\r\n\r\n${'x'.repeat(70)}\r\n`.padEnd(5_000, 'y').concat('\r\n'), [
      'eve@example.net',
    ])
    await sendMail(relay.port, TEXT, ['zoe@example.com'])
    const tried = async (): Promise<boolean> => (await addresses('--status', 'deferred')).length === 3
    await vi.waitUntil(tried, { timeout: 20_000, interval: 100 })
    if (when === 'while nothing runs on it') expect((await relay.stop()).code).toBe(0)
  }, 60_000)

  afterAll(async () => {
    const { code } = await relay.stop()
    rmSync(folder, { recursive: true, force: true })
    expect(code).toBe(0)
  })

  it('lists by domain, age, size, status, label and answer', async () => {
    expect(await addresses('--domain', 'example.com')).toEqual(['zoe@example.com'])
    expect(await addresses('--older-than', '1h')).toEqual([])
    expect(await addresses('--newer-than', '1h')).toHaveLength(3)
    expect(await addresses('--larger-than', '4k')).toEqual(['eve@example.net'])
    expect(await addresses('--smaller-than', '4k')).toEqual(['bob@example.net', 'zoe@example.com'])
    expect(await addresses('--status', 'held')).toEqual([])
    expect(await addresses('--label', 'tenant=acme')).toEqual([])
    expect(await addresses('--reply', 'CANNOT CONNECT', '--domain', '@example.com')).toEqual(['zoe@example.com'])
  })

  it('shows its shape, as qshape does', async () => {
    const { stdout } = await queue('shape')
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((row) => row.trim().split(/ +/))
    expect(rows).toEqual([
      ['T', '5', '10', '20', '40', '80', '160', '320', '640', '1280', '1280+'],
      ['TOTAL', '3', '3', '0', '0', '0', '0', '0', '0', '0', '0', '0'],
      [lane, '3', '3', '0', '0', '0', '0', '0', '0', '0', '0', '0'],
    ])
    expect(await counted('shape', '--limit', '1')).toMatchObject({ lane, entries: 3 })
  })

  it('keeps what is held from being sent on', async () => {
    expect(await counted('hold', '--domain', 'example.com', '--reason', 'under review')).toEqual({ held: 1 })
    expect((await queue('list', '--status', 'held')).stdout).toContain('held: under review')
    expect(await counted('requeue', '--domain', 'example.com')).toEqual({ requeued: 1 })
    expect((await queue('list', '--status', 'held')).stdout).toContain('held: under review, to be routed again')
    expect(await counted('remove', '--domain', 'example.com')).toEqual({ removed: 1 })
  })

  it('suspends, tells what is suspended, and resumes', async () => {
    expect((await queue('suspensions')).stderr).toBe('Nothing is suspended.\n')
    expect(await queue('suspend', '--lane', lane, '--for', '1h', '--reason', '421 too many')).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^suspended lane:smtp:\S+ {2}until 20\S+Z {2}421 too many\n$/),
    })
    expect(await counted('suspend', '--label', 'tenant=acme')).toMatchObject({ suspension: 'label:tenant=acme' })
    expect(await counted('suspend', '--everything')).toMatchObject({ suspension: 'everything' })
    const { stdout } = await queue('suspensions')
    expect(stdout.split('\n').map((line) => line.split('  ')[0])).toEqual([
      'everything',
      'label:tenant=acme',
      `lane:${lane}`,
      '',
    ])
    if (when === 'while a relay runs on it')
      await vi.waitUntil(() => relay.said().match(/"queue\.suspended"/g)?.length === 3, {
        timeout: 20_000,
        interval: 100,
      })
    expect(await counted('resume', '--everything')).toEqual({ resumed: 1 })
    expect(await counted('resume', '--everything')).toEqual({ resumed: 0 })
    expect(await counted('resume', '--all')).toEqual({ resumed: 2 })
    expect((await queue('suspensions', '--json')).stdout).toBe('')
  })

  it('returns what is expired, and sends on what is rerouted', async () => {
    const sink = await server(['sink', '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'], 2)
    const page = sink.urls.find((url) => url.startsWith('http:'))!
    const received = async (): Promise<string[]> => {
      const messages = (await (await fetch(`${page}/messages.json`)).json()) as readonly {
        to: readonly string[]
      }[]
      return messages.flatMap((message) => message.to).toSorted()
    }
    const to = ['--to', `smtp:[127.0.0.1]:${sink.port}`]
    expect(await counted('expire', '--sender', 'ann@example.org', '--larger-than', '4k')).toEqual({ expired: 1 })
    expect(await counted('reroute', '--domain', 'example.net', '--smaller-than', '4k', ...to)).toEqual({ rerouted: 1 })
    if (when === 'while nothing runs on it') {
      expect((await queue('list')).stdout).toMatch(/to be sent by another lane[\s\S]*to be returned/)
      relay = await server(
        ['relay', '--listen', '127.0.0.1:0', '--next-hop', lane.slice('smtp:'.length), '--spool', spool],
        1,
        'kept',
      )
    }
    await vi.waitUntil(async () => (await received()).length === 1, { timeout: 20_000, interval: 100 })
    expect(await received()).toEqual(['bob@example.net'])
    // The notice for ann goes by the dead next hop like all mail, until it is rerouted, too.
    await vi.waitUntil(async () => (await addresses()).join() === 'ann@example.org', { timeout: 20_000, interval: 100 })
    expect(await counted('reroute', '--all', ...to)).toEqual({ rerouted: 1 })
    await vi.waitUntil(async () => (await received()).length === 2, { timeout: 20_000, interval: 100 })
    expect(await received()).toEqual(['ann@example.org', 'bob@example.net'])
    expect(await addresses()).toEqual([])
    expect((await sink.stop()).code).toBe(0)
  }, 60_000)
})

describe('mail that waits for a next hop that is gone', () => {
  it('goes to the new one when it is requeued', async () => {
    const spool = ['--spool', join(temporaryFolder(), 'spool')]
    const first = await server([
      'relay',
      '--listen',
      '127.0.0.1:0',
      '--next-hop',
      `127.0.0.1:${await deadPort()}`,
      ...spool,
    ])
    for (let sent = 0; sent < 3; sent++) await sendMail(first.port, TEXT)
    expect((await first.stop()).code).toBe(0)
    const sink = await server(['sink', '--listen', '127.0.0.1:0'])
    const second = await server(['relay', '--listen', '127.0.0.1:0', '--next-hop', `127.0.0.1:${sink.port}`, ...spool])
    const { stdout } = await mailwright('queue', 'requeue', '--all', '--json', ...spool)
    expect(stdout).toBe('{"requeued":3}\n')
    const left = async (): Promise<string> => (await mailwright('queue', 'list', ...spool)).stdout
    await vi.waitUntil(async () => (await left()) === '', { timeout: 20_000, interval: 100 })
    expect([(await second.stop()).code, (await sink.stop()).code]).toEqual([0, 0])
  }, 60_000)
})

describe('addresses that are suppressed', () => {
  it('are refused by a relay on the spool, until they are not', async () => {
    const folder = temporaryFolder()
    const spool = ['--spool', join(folder, 'spool')]
    const sink = await server(['sink', '--listen', '127.0.0.1:0'])
    const relay = await server(['relay', '--listen', '127.0.0.1:0', '--next-hop', `127.0.0.1:${sink.port}`, ...spool])
    const suppressing = ['--reason', 'asked for it', '--cause', 'unsubscribe', ...spool]
    expect(await mailwright('queue', 'suppress', 'Bob@example.net', 'eve@example.net', ...suppressing)).toEqual({
      code: 0,
      stdout: '',
      stderr: 'suppressed 2 addresses\n',
    })
    await expect(sendMail(relay.port, TEXT, ['bob@example.net'])).rejects.toThrow('550 5.7.1')
    const { stdout } = await mailwright('queue', 'suppressed', ...spool)
    expect(stdout).toMatch(/^Bob@example\.net {2}unsubscribe since 20\S+Z {2}asked for it\neve@example\.net {2}/)
    expect((await mailwright('queue', 'suppressed', 'BOB@example.net', '--json', ...spool)).stdout).toMatch(
      /^{"address":"Bob@example\.net","cause":"unsubscribe","reason":"asked for it","since":\d+}\n$/,
    )
    const taken = await mailwright('queue', 'unsuppress', 'bob@example.net', 'nobody@example.net', '--json', ...spool)
    expect(taken.stdout).toBe('{"unsuppressed":1}\n')
    await vi.waitUntil(
      () =>
        sendMail(relay.port, TEXT, ['bob@example.net']).then(
          () => true,
          () => false,
        ),
      {
        timeout: 20_000,
        interval: 100,
      },
    )
    expect([(await relay.stop()).code, (await sink.stop()).code]).toEqual([0, 0])
  }, 60_000)
})

describe('what a queue is told wrongly', () => {
  const spool = ['--spool', '/nonexistent/spool']
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^queue wants one of list, show, /],
    [['drop'], /^there is no queue drop; there is list, /],
    [['constructor', ...spool], /^there is no queue constructor; /],
    [['list'], /^queue list wants --spool DIR$/],
    ...['flush', 'hold', 'release', 'requeue', 'reroute', 'expire', 'remove'].map(
      (action): readonly [readonly string[], RegExp] => [[action, ...spool], /wants message ids, filters .* or --all$/],
    ),
    [['stats', '--sender', 'a@example.org', ...spool], /^queue stats does not take --sender$/],
    [['remove', '--everything', ...spool], /^queue remove does not take --everything$/],
    [['list', '--older-than', 'yesterday', ...spool], /^--older-than wants a duration .*, not "yesterday"$/],
    [['list', '--larger-than', '5X', ...spool], /^--larger-than wants a size .*, not "5X"$/],
    [['list', '--status', 'new', ...spool], /^--status wants held, claimed, deferred, waiting, not "new"$/],
    [['list', '--label', 'tenant', ...spool], /^--label wants NAME=VALUE, not "tenant"$/],
    [['list', '--domain', 'a', '--recipient', 'b@c', ...spool], /^--recipient and --domain cannot be given together$/],
    [['suppress', ...spool], /^queue suppress wants addresses$/],
    [['suppress', 'not an address', ...spool], /^not an address: "not an address"$/],
    [['suppress', 'a@example.org', '--cause', 'spite', ...spool], /^--cause wants bounce, /],
    [['suppress', 'a@example.org'], /^the suppression list wants --spool DIR or --file FILE$/],
    [['list', '--verbose', ...spool], /Unknown option '--verbose'/],
  ]
  it.each(wrong)('is answered in one line: queue %j', async (args, line) => {
    const error = await command.run(args).then(
      () => undefined,
      (reason: Error) => reason,
    )
    expect(error?.message).toMatch(line)
    expect(error?.message).not.toContain('\n')
  })

  const late: readonly (readonly [readonly string[], RegExp])[] = [
    [['suspend'], /^queue suspend wants one of --lane LANE, --label NAME=VALUE, --everything$/],
    [['suspend', '--everything', '--lane', 'smtp:a'], /^queue suspend wants one of /],
    [['suspend', '--lane', 'example.com'], /^--lane wants TRANSPORT:DESTINATION, not "example.com"$/],
    [['suspend', 'id', '--everything'], /^queue suspend takes no message ids$/],
    [['reroute', '--all'], /^queue reroute wants --to LANE/],
    [['reroute', '--all', '--to', 'error:550'], /^--to wants TRANSPORT:DESTINATION, not "error:550"$/],
    [['shape', '--limit', '0'], /^--limit wants a number, not "0"$/],
    [['show', 'a', 'b'], /^queue show wants one message id$/],
  ]
  it('is answered in one line, and leaves the spool as it is', async () => {
    const folder = ['--spool', join(temporaryFolder(), 'spool')]
    const relay = await server(['relay', '--listen', '127.0.0.1:0', '--next-hop', '127.0.0.1:9', ...folder])
    expect((await relay.stop()).code).toBe(0)
    for (const [args, line] of late) await expect(command.run([...args, ...folder])).rejects.toThrow(line)
  }, 60_000)
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
