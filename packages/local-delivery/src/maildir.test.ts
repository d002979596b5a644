import * as nodeFiles from 'node:fs/promises'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Call,
  type DeliveryJob,
  type Mailbox,
  MailwrightError,
  type MessageSource,
  type Outcome,
  parseMailbox,
  reply,
  replyLine,
  type Transport,
} from '@mailwright/core'
import { messageSource } from '@mailwright/message'
import { testEnvironment, testScope } from '@mailwright/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { discardTransport } from './discard-transport.ts'
import { type MaildirOptions, maildir, maildirTransport } from './maildir.ts'
import type { Files } from './maildir-folder.ts'

const MESSAGE = 'Subject: hi\r\n\r\nHello\r\n'
const call: Call = { signal: new AbortController().signal }

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'maildir-'))
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

function box(address: string): Mailbox {
  return parseMailbox(address)!
}

function job(recipients: readonly string[], source: MessageSource = messageSource(Buffer.from(MESSAGE))): DeliveryJob {
  return {
    id: '01x',
    envelope: {
      sender: box('sue@example.net'),
      recipients: recipients.map((address, id) => ({ id, address: box(address), original: box('alias@example.org') })),
      options: {},
    },
    message: source,
    arrivedAt: 0,
    attempt: 1,
  }
}

function transport(more: Partial<MaildirOptions> = {}, files?: Partial<Files>): Transport {
  const mailboxes = { 'Ann@example.org': join(root, 'ann'), 'bob@example.org': join(root, 'bob') }
  const options = { hostname: 'mx.example.org', mailboxes, ...more }
  if (files === undefined) return maildir(options).create(testScope())
  return maildirTransport(options, testEnvironment(), { ...nodeFiles, ...files })
}

/** A message whose body is not in memory. */
function streamed(body: readonly string[], size = body.join('').length): MessageSource {
  const head = Buffer.from('Subject: hi\r\n\r\n')
  return {
    head,
    size: head.length + size,
    async *body() {
      for (const chunk of body) yield Buffer.from(chunk)
    },
  }
}

async function deliverOne(to: Transport, work = job(['ann@example.org']), with_ = call): Promise<Outcome> {
  return (await to.deliver(work, with_)).get(0)!
}

const said = (outcome: Outcome): string => `${outcome.status} ${replyLine(outcome.reply)}`

/** The messages in `new`, and how many files are in `tmp`. */
async function contents(name: string): Promise<{ messages: string[]; unfinished: number }> {
  const names = await readdir(join(root, name, 'new')).catch(() => [])
  const messages = await Promise.all(names.map((file) => readFile(join(root, name, 'new', file), 'utf8')))
  const unfinished = await readdir(join(root, name, 'tmp')).catch(() => [])
  return { messages, unfinished: unfinished.length }
}

function failure(code: string): () => Promise<never> {
  return async () => {
    throw Object.assign(new Error(`${code}: secret/path`), { code })
  }
}

/** Files whose file of the message fails at one step; folders work. */
function failingFile(step: 'write' | 'datasync' | 'close', code: string): Partial<Files> {
  return {
    open: async (...args: Parameters<Files['open']>) => {
      const file = await nodeFiles.open(...args)
      if (args[1] === 'wx') {
        const close = file.close.bind(file)
        file[step] = async () => {
          if (step === 'close') await close()
          return failure(code)()
        }
      }
      return file
    },
  }
}

describe('a delivered message', () => {
  it('is a file in new, with the trace of its delivery on top and its bytes untouched', async () => {
    const outcome = await deliverOne(transport())
    expect(outcome).toMatchObject({ status: 'ok', action: 'delivered' })
    expect(said(outcome)).toBe('ok 250 2.0.0 delivered to mailbox')
    expect(await contents('ann')).toEqual({
      messages: [
        'Return-Path: <sue@example.net>\r\nX-Original-To: alias@example.org\r\nDelivered-To: ann@example.org\r\n' +
          MESSAGE,
      ],
      unfinished: 0,
    })
  })

  it('is private to its owner, and so are folders that had to be made', async () => {
    await deliverOne(transport())
    expect(await readdir(join(root, 'ann'))).toEqual(['cur', 'new', 'tmp'])
    for (const folder of ['ann', 'ann/cur', 'ann/new', 'ann/tmp']) {
      expect((await stat(join(root, folder))).mode & 0o777).toBe(0o700)
    }
    const [file] = await readdir(join(root, 'ann/new'))
    expect((await stat(join(root, 'ann/new', file!))).mode & 0o777).toBe(0o600)
  })

  it('has a name that no other has', async () => {
    const to = transport({ hostname: 'odd/host:1' })
    for (let count = 0; count < 3; count++) await deliverOne(to)
    const names = await readdir(join(root, 'ann/new'))
    expect(new Set(names).size).toBe(3)
    for (const name of names) expect(name).toMatch(/^1767225600\.M000000P\d+Q\d+R[0-9a-f]{8}\.odd\\057host\\0721$/)
  })

  it('of the null sender says so, and an older Return-Path goes', async () => {
    const work = job(['ann@example.org'], messageSource(Buffer.from(`Return-Path: <x@y.example>\r\n${MESSAGE}`)))
    await deliverOne(transport(), { ...work, envelope: { ...work.envelope, sender: null } })
    const [message] = (await contents('ann')).messages
    expect(message).toMatch(/^Return-Path: <>\r\n/)
    expect(message!.match(/Return-Path/g)).toHaveLength(1)
  })

  it('reaches each of its recipients, with one outcome for each', async () => {
    const outcomes = await transport().deliver(
      job(['ann@example.org', 'nobody@example.org', 'bob@example.org', 'ANN@example.org']),
      call,
    )
    expect([...outcomes].sort(([a], [b]) => a - b).map(([id, outcome]) => `${id} ${said(outcome)}`)).toEqual([
      '0 ok 250 2.0.0 delivered to mailbox',
      '1 failed 550 5.1.1 No such mailbox',
      '2 ok 250 2.0.0 delivered to mailbox',
      '3 ok 250 2.0.0 delivered to mailbox',
    ])
    expect((await contents('ann')).messages).toHaveLength(2)
    expect((await contents('bob')).messages[0]).toContain('Delivered-To: bob@example.org\r\n')
  })

  it('reaches more recipients than are written at a time', async () => {
    const outcomes = await transport().deliver(job(Array.from({ length: 30 }, () => 'ann@example.org')), call)
    expect(outcomes.size).toBe(30)
    expect((await contents('ann')).messages).toHaveLength(30)
  })

  it('may be large, and is then read from its source for each recipient', async () => {
    await transport().deliver(job(['ann@example.org', 'bob@example.org'], streamed(['Hel', 'lo\r\n'])), call)
    for (const name of ['ann', 'bob']) expect((await contents(name)).messages[0]).toMatch(/\r\n\r\nHello\r\n$/)
  })
})

describe('durability', () => {
  it('has the bytes on disk before the name, and the name before the answer', async () => {
    const steps: string[] = []
    const place = (path: unknown): string =>
      String(path)
        .slice(root.length + 1)
        .replace(/\d+\.M.*/, 'message')
    const to = transport(
      {},
      {
        open: async (...args: Parameters<Files['open']>) => {
          const file = await nodeFiles.open(...args)
          for (const step of ['write', 'datasync', 'sync'] as const) {
            const real = file[step].bind(file) as (...given: unknown[]) => Promise<unknown>
            Object.assign(file, {
              [step]: async (...given: unknown[]) => {
                const result = await real(...given)
                steps.push(`${step} ${place(args[0])}`)
                return result
              },
            })
          }
          return file
        },
        link: async (from, to) => {
          steps.push(`link ${place(from)} ${place(to)}`)
          return nodeFiles.link(from, to)
        },
      },
    )
    for (let time = 0; time < 2; time++) {
      await deliverOne(to)
      steps.push('answer')
    }
    const stored = ['write ann/tmp/message', 'datasync ann/tmp/message', 'link ann/tmp/message ann/new/message']
    // The first delivery makes the folders: their names are durable too.
    expect(steps).toEqual([
      'sync ',
      'sync ann',
      ...stored,
      'sync ann/new',
      'answer',
      ...stored,
      'sync ann/new',
      'answer',
    ])
  })
})

describe('the table of mailboxes', () => {
  it('may be a Map that changes', async () => {
    const mailboxes = new Map<string, string>()
    const to = transport({ mailboxes })
    expect(said(await deliverOne(to))).toBe('failed 550 5.1.1 No such mailbox')
    mailboxes.set('ann@example.org', join(root, 'ann'))
    expect((await deliverOne(to)).status).toBe('ok')
  })

  it('never makes a path of an address', async () => {
    const work = job(['ann@example.org'])
    const address = { local: '../../etc/passwd', domain: 'example.org' }
    const envelope = { ...work.envelope, recipients: [{ id: 0, address, original: address }] }
    expect(said(await deliverOne(transport(), { ...work, envelope }))).toBe('failed 550 5.1.1 No such mailbox')
    expect(await readdir(root)).toEqual([])
  })

  it('that cannot find out defers the recipient', async () => {
    const to = transport({ mailboxes: failure('ECONNREFUSED') })
    expect(await deliverOne(to)).toMatchObject({ status: 'deferred', scope: 'recipient', reply: { code: 451 } })
  })

  it('may refuse for good by an error that says so', async () => {
    const refusal = reply(550, '5.2.1', 'Mailbox is disabled')
    const to = transport({
      mailboxes: () => {
        throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'disabled', { reply: refusal })
      },
    })
    expect(said(await deliverOne(to))).toBe('failed 550 5.2.1 Mailbox is disabled')
  })

  it.each(['relative/path', '', 'nul\0'])('must not hold the path %j', async (path) => {
    expect(() => transport({ mailboxes: { 'ann@example.org': path } })).toThrow(
      expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }),
    )
    expect(said(await deliverOne(transport({ mailboxes: () => path })))).toMatch(/^deferred 451 4\.3\.0/)
  })
})

describe('a loop', () => {
  it('is seen by the Delivered-To of the same mailbox', async () => {
    const source = messageSource(
      Buffer.from(`Delivered-To: bob@example.org\r\ndelivered-to: ANN@example.org\r\n${MESSAGE}`),
    )
    expect(said(await deliverOne(transport(), job(['ann@example.org'], source)))).toMatch(/^failed 554 5\.4\.6/)
    expect(await readdir(root)).toEqual([])
  })

  it('is not seen in the Delivered-To of another, nor in the body', async () => {
    const source = messageSource(Buffer.from('Delivered-To: bob@example.org\r\n\r\nDelivered-To: ann@example.org\r\n'))
    expect((await deliverOne(transport(), job(['ann@example.org'], source))).status).toBe('ok')
  })
})

describe('a failing disk', () => {
  it.each(['write', 'datasync', 'close'] as const)('leaves nothing behind when it fails to %s', async (step) => {
    const outcome = await deliverOne(transport({}, failingFile(step, 'EIO')))
    expect(outcome).toMatchObject({ status: 'deferred', scope: 'recipient' })
    expect(replyLine(outcome.reply)).not.toContain('secret')
    expect(await contents('ann')).toEqual({ messages: [], unfinished: 0 })
  })

  it.each([
    ['ENOSPC', 'deferred 452 4.3.1 Insufficient system storage'],
    ['EDQUOT', 'deferred 452 4.2.2 Mailbox is full'],
    ['EROFS', 'deferred 451 4.3.0 Temporary failure, please try again later'],
  ])('is told apart: %s', async (code, expected) => {
    expect(said(await deliverOne(transport({}, failingFile('write', code))))).toBe(expected)
  })

  it('does not acknowledge a message whose name may not be on disk, and takes it back', async () => {
    const open = async (...args: Parameters<Files['open']>) => {
      const file = await nodeFiles.open(...args)
      if (String(args[0]).endsWith('/new')) file.sync = failure('EIO')
      return file
    }
    expect(said(await deliverOne(transport({}, { open })))).toMatch(/^deferred 451 4\.3\.0/)
    expect(await contents('ann')).toEqual({ messages: [], unfinished: 0 })
  })

  it('does not undo a delivery because tmp cannot be cleaned', async () => {
    const outcome = await deliverOne(transport({}, { unlink: failure('EIO') }))
    expect(outcome.status).toBe('ok')
    expect(await contents('ann')).toMatchObject({ messages: [expect.stringContaining('Hello')], unfinished: 1 })
  })

  it('that does not let the message into new leaves no copy in tmp', async () => {
    expect(said(await deliverOne(transport({}, { link: failure('EACCES') })))).toMatch(/^deferred 451 4\.3\.0/)
    expect(await contents('ann')).toEqual({ messages: [], unfinished: 0 })
  })

  it('makes no folders where the folder above is missing', async () => {
    const to = transport({ mailboxes: { 'ann@example.org': join(root, 'not-mounted', 'ann') } })
    expect(said(await deliverOne(to))).toMatch(/^deferred 451 4\.3\.0/)
    expect(await readdir(root)).toEqual([])
  })

  it('may have a file where the Maildir should be', async () => {
    await writeFile(join(root, 'ann'), 'mbox?')
    expect(said(await deliverOne(transport()))).toMatch(/^deferred 451 4\.3\.0/)
    expect(await readFile(join(root, 'ann'), 'utf8')).toBe('mbox?')
  })

  it('may lack the folder new', async () => {
    await mkdir(join(root, 'ann/tmp'), { recursive: true })
    expect((await deliverOne(transport())).status).toBe('ok')
    expect((await contents('ann')).messages).toHaveLength(1)
  })

  it('may forbid writing', async () => {
    const to = transport({}, { open: failure('EACCES') })
    expect(said(await deliverOne(to))).toMatch(/^deferred 451 4\.3\.0/)
    expect(await readdir(root)).toEqual([])
  })

  it('with room for no more than part of a message delivers none of it', async () => {
    // /dev/full takes an open and refuses the write, as a full disk does.
    const open = async (...args: Parameters<Files['open']>) => {
      if (args[1] !== 'wx') return nodeFiles.open(...args)
      await (await nodeFiles.open(...args)).close()
      return nodeFiles.open('/dev/full', 'w')
    }
    expect(said(await deliverOne(transport({}, { open })))).toMatch(/^deferred 452 4\.3\.1/)
    expect(await contents('ann')).toEqual({ messages: [], unfinished: 0 })
  })
})

describe('names that are taken', () => {
  const taken = async (folder: 'tmp' | 'new', times: number): Promise<Outcome> => {
    let left = times
    const files: Partial<Files> = {
      open: async (...args: Parameters<Files['open']>) => {
        if (folder === 'tmp' && args[1] === 'wx' && left-- > 0) await failure('EEXIST')()
        return nodeFiles.open(...args)
      },
      link: async (...args: Parameters<Files['link']>) => {
        if (folder === 'new' && left-- > 0) await failure('EEXIST')()
        return nodeFiles.link(...args)
      },
    }
    return deliverOne(transport({}, files))
  }

  it.each(['tmp', 'new'] as const)('in %s are replaced by others', async (folder) => {
    expect((await taken(folder, 4)).status).toBe('ok')
    expect(await contents('ann')).toMatchObject({ messages: [expect.any(String)], unfinished: 0 })
  })

  it.each(['tmp', 'new'] as const)('in %s without end defer the recipient', async (folder) => {
    expect(said(await taken(folder, 5))).toMatch(/^deferred 451 4\.3\.0/)
    expect(await contents('ann')).toEqual({ messages: [], unfinished: 0 })
  })

  it('are not written through, even when they are links to elsewhere', async () => {
    await mkdir(join(root, 'ann/tmp'), { recursive: true })
    await mkdir(join(root, 'ann/new'))
    await symlink(
      join(root, 'target'),
      join(root, `ann/tmp/1767225600.M000000P${process.pid}Q1R00000000.mx.example.org`),
    )
    const random = { float: () => 0, bytes: (count: number) => new Uint8Array(count) }
    const options = { hostname: 'mx.example.org', mailboxes: { 'ann@example.org': join(root, 'ann') } }
    const to = maildirTransport(options, { ...testEnvironment(), random }, nodeFiles)
    expect((await deliverOne(to)).status).toBe('ok')
    expect(await readdir(root)).toEqual(['ann'])
  })
})

describe('a message that cannot be read', () => {
  it('in full is not delivered in part', async () => {
    const cut = await deliverOne(transport(), job(['ann@example.org'], streamed(['Hel'], 5)))
    expect(cut).toMatchObject({ status: 'deferred', scope: 'message', reply: { code: 451 } })
    expect(await contents('ann')).toEqual({ messages: [], unfinished: 0 })
  })

  it('is not seen in new while it is read', async () => {
    const seen: unknown[] = []
    const source: MessageSource = {
      ...streamed([], 10),
      async *body() {
        yield Buffer.from('Hello')
        seen.push(await contents('ann'))
        yield Buffer.from('World')
        seen.push(await contents('ann'))
      },
    }
    expect((await deliverOne(transport(), job(['ann@example.org'], source))).status).toBe('ok')
    expect(seen).toEqual([
      { messages: [], unfinished: 1 },
      { messages: [], unfinished: 1 },
    ])
  })

  it('since nobody waits any more is deferred, and those delivered already stay delivered', async () => {
    const shutdown = new AbortController()
    const source = streamed(['Hello'])
    let reads = 0
    const once: MessageSource = {
      ...source,
      async *body(reading) {
        reading.signal.throwIfAborted()
        reads++
        yield Buffer.from('Hello')
      },
    }
    const to = transport({
      mailboxes: async (address) => {
        if (address.local === 'ann') return join(root, 'ann')
        while ((await contents('ann')).messages.length === 0) await Promise.resolve()
        shutdown.abort(new Error('shutdown'))
        return join(root, 'bob')
      },
    })
    const outcomes = await to.deliver(job(['ann@example.org', 'bob@example.org'], once), { signal: shutdown.signal })
    expect([outcomes.get(0)?.status, outcomes.get(1)?.status]).toEqual(['ok', 'deferred'])
    expect(reads).toBe(1)
    expect(await contents('bob')).toEqual({ messages: [], unfinished: 0 })
  })
})

describe('discard', () => {
  it('takes everything and keeps nothing', async () => {
    const outcomes = await discardTransport().deliver(job(['ann@example.org', 'bob@example.org']), call)
    expect([...outcomes.values()].map(said)).toEqual(['ok 250 2.0.0 discarded', 'ok 250 2.0.0 discarded'])
    expect(outcomes.get(0)).toMatchObject({ action: 'discarded' })
    expect([discardTransport().name, discardTransport('noreply').name]).toEqual(['discard', 'noreply'])
  })
})
