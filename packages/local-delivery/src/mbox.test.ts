import * as nodeFiles from 'node:fs/promises'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Call,
  type DeliveryJob,
  type MessageSource,
  type Outcome,
  parseMailbox,
  replyLine,
  type Transport,
} from '@mailwright/core'
import { messageSource } from '@mailwright/message'
import { type ManualClock, manualClock, testEnvironment, testScope } from '@mailwright/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LockFiles } from './dot-lock.ts'
import { mbox, mboxTransport } from './mbox.ts'

const call: Call = { signal: new AbortController().signal }
const ARRIVAL = Date.UTC(2026, 10, 2, 3, 4, 5)

let root: string
let path: string
let clock: ManualClock
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'mbox-'))
  path = join(root, 'ann')
  clock = manualClock(ARRIVAL)
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

function job(text: string | MessageSource, sender = 'sue@example.net', recipients = ['ann@example.org']): DeliveryJob {
  return {
    id: '01x',
    envelope: {
      sender: sender === '' ? null : parseMailbox(sender)!,
      recipients: recipients.map((address, id) => {
        const mailbox = parseMailbox(address)!
        return { id, address: mailbox, original: mailbox }
      }),
      options: {},
    },
    message: typeof text === 'string' ? messageSource(Buffer.from(text)) : text,
    arrivedAt: 0,
    attempt: 1,
  }
}

function transport(files: Partial<LockFiles> = {}): Transport {
  const mailboxes = { 'ann@example.org': path, 'bob@example.org': join(root, 'bob') }
  const options = { hostname: 'mx.example.org', mailboxes }
  return mboxTransport(options, testEnvironment({ clock }), { ...nodeFiles, ...files })
}

async function deliver(work: DeliveryJob, files: Partial<LockFiles> = {}, by = call): Promise<Outcome> {
  return (await transport(files).deliver(work, by)).get(0)!
}

const said = (outcome: Outcome): string => `${outcome.status} ${replyLine(outcome.reply)}`
const mailbox = (): Promise<string> => readFile(path, 'utf8')
const LETTER = 'Subject: hi\r\n\r\nHello\r\n'

describe('a message', () => {
  it('stands behind a From line and before an empty line, with the fields of a delivery', async () => {
    expect(said(await deliver(job(LETTER)))).toBe('ok 250 2.0.0 delivered to mailbox')
    expect(await mailbox()).toBe(
      [
        'From sue@example.net Mon Nov  2 03:04:05 2026',
        'Return-Path: <sue@example.net>',
        'X-Original-To: ann@example.org',
        'Delivered-To: ann@example.org',
        'Subject: hi',
        '',
        'Hello',
        '',
        '',
      ].join('\n'),
    )
    expect((await nodeFiles.stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(root)).toEqual(['ann'])
  })

  it('stands behind what was there', async () => {
    await writeFile(path, 'From x\n\nold\n\n')
    await deliver(job(LETTER, ''))
    expect(await mailbox()).toMatch(/^From x\n\nold\n\nFrom MAILER-DAEMON Mon Nov /)
  })

  it('has its lines quoted that begin with From, and its last line ended', async () => {
    await deliver(job('Subject: hi\r\n\r\nFrom here\r\nfrom there\r\nFrom the end'))
    expect(await mailbox()).toMatch(/\n\n>From here\nfrom there\n>From the end\n\n$/)
  })

  it('whose sender has a blank in it keeps its separator in order', async () => {
    await deliver(job(LETTER, '"a b"@example.net'))
    expect(await mailbox()).toMatch(/^From "a_b"@example\.net Mon/)
  })

  it('for several goes to each, and to nobody unknown', async () => {
    const transport = mbox({
      hostname: 'mx.example.org',
      mailboxes: { 'ann@example.org': path, 'bob@example.org': join(root, 'bob') },
    })
    const outcomes = await transport
      .create(testScope())
      .deliver(job(LETTER, 'sue@example.net', ['ann@example.org', 'eve@example.org', 'bob@example.org']), call)
    expect([...outcomes.values()].map(said).sort()).toEqual([
      'failed 550 5.1.1 No such mailbox',
      'ok 250 2.0.0 delivered to mailbox',
      'ok 250 2.0.0 delivered to mailbox',
    ])
  })

  it('that was delivered to the mailbox before fails', async () => {
    expect(said(await deliver(job(`Delivered-To: ann@example.org\r\n${LETTER}`)))).toMatch(/^failed 554 5\.4\.6/)
  })
})

describe('the lock', () => {
  it('lets many deliveries at the same time stand one behind the other', async () => {
    const to = transport()
    const works = Array.from({ length: 6 }, (_, index) => job(`Subject: ${index}\r\n\r\n${'x'.repeat(10_000)}\r\n`))
    const outcomes = (await Promise.all(works.map((work) => to.deliver(work, call)))).map((each) => each.get(0)!)
    expect(outcomes.map((each) => each.status)).toEqual(Array(6).fill('ok'))
    expect((await mailbox()).match(/^From /gm)).toHaveLength(6)
    expect(await mailbox()).toMatch(/^(?:From .*\n(?:.+\n){4}\nx{10000}\n\n){6}$/)
    expect(await readdir(root)).toEqual(['ann'])
  })

  it('of somebody else is waited for, and then deferred to', async () => {
    await writeFile(`${path}.lock`, '')
    expect(said(await clock.until(deliver(job(LETTER))))).toBe('deferred 452 4.2.0 The mailbox is in use')
    expect(clock.now() - ARRIVAL).toBe(20_000)
    expect(await readdir(root)).toEqual(['ann.lock'])
  })

  it('of somebody else is waited for only as long as we run', async () => {
    await writeFile(`${path}.lock`, '')
    const controller = new AbortController()
    const delivering = deliver(job(LETTER), {}, controller)
    controller.abort(new Error('stopping'))
    expect((await clock.until(delivering)).status).toBe('deferred')
    expect(await readdir(root)).toEqual(['ann.lock'])
  })

  it('that a crash left behind is taken away', async () => {
    await writeFile(`${path}.lock`, '')
    const long = ARRIVAL / 1_000 - 601
    await utimes(`${path}.lock`, long, long)
    expect(said(await clock.until(deliver(job(LETTER))))).toMatch(/^ok/)
    expect(await readdir(root)).toEqual(['ann'])
  })
})

describe('what goes wrong', () => {
  it('while writing leaves the mailbox as it was, and no lock', async () => {
    await writeFile(path, 'From x\n\nold\n\n')
    const broken: MessageSource = {
      head: Buffer.from('Subject: hi\r\n\r\n'),
      size: 100,
      async *body() {
        yield Buffer.from('Hello\r\n')
      },
    }
    expect((await deliver(job(broken))).status).toBe('deferred')
    expect(await mailbox()).toBe('From x\n\nold\n\n')
    expect(await readdir(root)).toEqual(['ann'])
  })

  it.each([
    ['ENOSPC', 'deferred 452 4.3.1 Insufficient system storage'],
    ['EDQUOT', 'deferred 452 4.2.2 Mailbox is full'],
    ['EIO', 'deferred 451 4.3.0 Temporary failure, please try again later'],
  ])('with the disk (%s) leaves the mailbox as it was', async (code, expected) => {
    await writeFile(path, 'From x\n\nold\n\n')
    const files: Partial<LockFiles> = {
      open: async (...given) => {
        const file = await nodeFiles.open(...given)
        file.sync = async () => Promise.reject(Object.assign(new Error(code), { code }))
        return file
      },
    }
    expect(said(await deliver(job(LETTER), files))).toBe(expected)
    expect(await mailbox()).toBe('From x\n\nold\n\n')
  })

  it.each(['a link', 'a folder', 'a second name'])(
    'with %s in place of the mailbox: nothing is written through it',
    async (kind) => {
      const precious = join(root, 'precious')
      await writeFile(precious, 'precious')
      if (kind === 'a link') await symlink(precious, path)
      else if (kind === 'a folder') await mkdir(path)
      else await nodeFiles.link(precious, path)
      expect((await deliver(job(LETTER))).status).toBe('deferred')
      expect(await readFile(precious, 'utf8')).toBe('precious')
    },
  )

  it('with no folder above the mailbox: it is deferred', async () => {
    path = join(root, 'missing', 'ann')
    expect((await deliver(job(LETTER))).status).toBe('deferred')
  })
})
