import {
  type Block,
  type Mailbox,
  MailwrightError,
  mailboxKey,
  reply,
  type Suppression,
  type SuppressionList,
  type Transport,
} from '@mailwright/core'
import { verpAddress } from '@mailwright/message'
import { mailbox, scriptedTransport, type TestScope, testJob, testMessage, testScope } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { type ReportReaderOptions, reportReader } from './report-reader.ts'
import { CALL } from './testing-support/queue-bench.ts'

const SECRET = { secret: 'a secret of some length' }
const BOUNCES = mailbox('bounces@example.org')
const ANN = mailbox('ann@example.com')

/** A list in memory, which fails while it is told to. */
function suppressionList(): SuppressionList & { readonly kept: Suppression[]; failing: boolean } {
  const kept: Suppression[] = []
  return {
    kept,
    failing: false,
    find: (address) => kept.find((each) => mailboxKey(each.address) === mailboxKey(address)),
    async add(suppression): Promise<void> {
      if (this.failing) throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the disk is broken')
      kept.push(suppression)
    },
    remove: async () => false,
    list: async () => kept,
  }
}

function bounce(status: string, action = 'failed', original = ''): string {
  return (
    'From: MAILER-DAEMON@mx.example.com\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n' +
    '--b\n\nSorry.\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n' +
    `Final-Recipient: rfc822; ann@example.com\n${original}Action: ${action}\nStatus: ${status}\n` +
    'Diagnostic-Code: smtp; 550 no such user\n\n' +
    '--b\nContent-Type: text/rfc822-headers\n\nReturn-Path: <news@example.org>\nMessage-ID: <1@example.org>\n\n--b--\n'
  )
}

function complaint(from: string, type = 'abuse'): string {
  return (
    'Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n' +
    `--b\nContent-Type: message/feedback-report\n\nFeedback-Type: ${type}\nOriginal-Mail-From: <${from}>\n\n--b--\n`
  )
}

interface Reading {
  readonly scope: TestScope
  readonly inbox: ReturnType<typeof scriptedTransport>
  read(message: string, to?: Mailbox): Promise<string>
}

function reading(options: Partial<ReportReaderOptions> = {}): Reading {
  const scope = testScope()
  const inbox = scriptedTransport({ name: 'inbox', outcomes: { '*': 'ok' } })
  const reader = reportReader({ otherwise: inbox, ...options }).create(scope)
  return {
    scope,
    inbox,
    async read(message, to = BOUNCES): Promise<string> {
      const job = testJob({ sender: null, message: testMessage(message) })
      const recipients = [{ id: 1, address: to, original: to }]
      const outcomes = await reader.deliver({ ...job, envelope: { ...job.envelope, recipients } }, CALL)
      expect(outcomes.size).toBe(1)
      return outcomes.get(1)!.status
    },
  }
}

describe('a report that comes back', () => {
  it('is told about, and delivered nowhere', async () => {
    const { scope, inbox, read } = reading()
    expect(await read(bounce('5.1.1', 'failed', 'Original-Recipient: rfc822; info@example.com\n'))).toBe('ok')
    expect(scope.events.of('notice.received')).toEqual([
      {
        type: 'notice.received',
        kind: 'bounce',
        message: '01test0000000001',
        recipient: mailbox('info@example.com'),
        sender: mailbox('news@example.org'),
        signed: false,
        status: '5.1.1',
        diagnostic: '550 no such user',
        reportingMta: 'mx.example.com',
        messageId: '<1@example.org>',
      },
    ])
    expect(inbox.jobs).toEqual([])
  })

  it.each([
    ['delayed', '4.4.1', 'delay'],
    ['relayed', '2.0.0', 'success'],
  ])('of mail that was %s is told as that', async (action, status, kind) => {
    const { scope, read } = reading()
    await read(bounce(status, action))
    expect(scope.events.of('notice.received')).toMatchObject([{ kind, status }])
  })

  it('is about whom its return path names, whatever it says', async () => {
    const { scope, read } = reading({ verp: {} })
    await read(bounce('5.1.1'), verpAddress(BOUNCES, mailbox('list@example.net')))
    expect(scope.events.of('notice.received')).toMatchObject([
      { recipient: mailbox('list@example.net'), sender: BOUNCES, signed: false },
    ])
  })

  it('is believed as signed only at a return path of our making', async () => {
    const { scope, inbox, read } = reading({ verp: SECRET })
    await read(bounce('5.1.1'))
    await read(bounce('5.1.1'), verpAddress(BOUNCES, ANN))
    await read(complaint('news@example.org'))
    expect(scope.events.of('notice.received')).toEqual([])
    expect(inbox.jobs).toHaveLength(3)
    await read(bounce('5.1.1'), verpAddress(BOUNCES, ANN, SECRET))
    expect(scope.events.of('notice.received')).toMatchObject([{ recipient: ANN, signed: true }])
    expect(inbox.jobs).toHaveLength(3)
  })

  it('that is a complaint tells of whom by the return path it quotes', async () => {
    const { scope, read } = reading({ verp: SECRET })
    const path = verpAddress(BOUNCES, ANN, SECRET)!
    await read(complaint(`${path.local}@${path.domain}`), mailbox('abuse@example.org'))
    expect(scope.events.of('notice.received')).toMatchObject([
      { kind: 'complaint', recipient: ANN, sender: BOUNCES, signed: true, feedback: 'abuse' },
    ])
  })

  it('is a letter after all, and goes where letters go', async () => {
    const { scope, inbox, read } = reading()
    expect(await read('Subject: hi\n\nAre you there?\n')).toBe('ok')
    expect(inbox.jobs).toHaveLength(1)
    expect(scope.events.of('notice.received')).toEqual([])
  })

  it('is about one recipient where its return path says so, by the worst it tells', async () => {
    const { scope, read } = reading({ verp: {} })
    const others = 'Action: delivered\nStatus: 2.0.0\n\nFinal-Recipient: rfc822; list@example.com\n'
    await read(bounce('5.1.1', 'failed', others), verpAddress(BOUNCES, ANN))
    expect(scope.events.of('notice.received')).toMatchObject([{ recipient: ANN, kind: 'bounce', status: '5.1.1' }])
  })

  it('is left alone by who has given up waiting', async () => {
    const { scope, inbox } = reading()
    const reader = reportReader({ otherwise: inbox }).create(scope)
    const message = { ...testMessage(), buffered: undefined }
    const call = { signal: AbortSignal.abort(new Error('the server stops')) }
    await expect(reader.deliver(testJob({ message }), call)).rejects.toThrow('the server stops')
    expect(scope.events.of('failure')).toEqual([])
  })

  it('cannot be read now, and is read later', async () => {
    const { scope, inbox } = reading()
    const reader = reportReader({ otherwise: inbox }).create(scope)
    const broken = {
      head: Buffer.from('Subject: x\r\n\r\n'),
      size: 99,
      body: () => {
        throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the disk is broken')
      },
    }
    const outcomes = await reader.deliver(testJob({ message: broken }), CALL)
    expect(outcomes.get(1)).toMatchObject({ status: 'deferred', reply: { code: 451 } })
    expect(scope.events.of('failure')).toHaveLength(1)
  })
})

describe('a reader with a block behind it', () => {
  it('starts, drains and stops it, and refuses when it does', async () => {
    const steps: string[] = []
    const inbox = scriptedTransport({ name: 'inbox', outcomes: { '*': 'ok' }, capabilities: ['dsn'] })
    const step = async (name: string): Promise<void> => void steps.push(name)
    const otherwise: Block<Transport> = {
      name: 'inbox',
      create: () =>
        Object.assign(inbox, { start: () => step('start'), drain: () => step('drain'), stop: () => step('stop') }),
    }
    const reader = reportReader({ otherwise }).create(testScope())
    await reader.start?.(CALL)
    await reader.drain?.(CALL)
    await reader.stop?.()
    expect(steps).toEqual(['start', 'drain', 'stop'])
    expect(reader.capabilities).toEqual(new Set(['dsn']))
    inbox.refuse(reply(452, '4.3.1', 'full'))
    expect(reader.refusing?.()?.code).toBe(452)
  })
})

describe('an address that bounced', () => {
  it.each(['5.1.1', '5.1.2', '5.1.10', '5.2.1'])('is not written to any more after %s', async (status) => {
    const suppressions = suppressionList()
    const { scope, read } = reading({ suppressions })
    await read(bounce(status))
    expect(suppressions.kept).toEqual([
      { address: ANN, cause: 'bounce', reason: '550 no such user', since: scope.environment.clock.now() },
    ])
    expect(scope.events.of('notice.received')).toMatchObject([{ suppressed: true }])
  })

  it.each(['5.2.2', '5.7.1', '5.0.0', '5.1.0'])('is written to again after %s', async (status) => {
    const suppressions = suppressionList()
    const { scope, read } = reading({ suppressions })
    await read(bounce(status))
    await read(bounce('4.1.1', 'delayed'))
    expect(suppressions.kept).toEqual([])
    expect(scope.events.of('notice.received')[0]!.suppressed).toBeUndefined()
  })

  it('is not written to any more after a complaint', async () => {
    const suppressions = suppressionList()
    const { read } = reading({ suppressions, verp: {} })
    await read(complaint('news+ann=example.com@example.org', 'not-spam'))
    expect(suppressions.kept).toEqual([])
    await read(complaint('news+ann=example.com@example.org'))
    expect(suppressions.kept).toMatchObject([{ address: ANN, cause: 'complaint', reason: 'abuse' }])
  })

  it('is kept or dropped as the host decides', async () => {
    const suppressions = suppressionList()
    const { read } = reading({ suppressions, suppressWhen: ({ status }) => status === '5.2.2' })
    await read(bounce('5.1.1'))
    await read(bounce('5.2.2'))
    expect(suppressions.kept).toHaveLength(1)
  })

  it('is reported again while the list cannot be written, and told of once', async () => {
    const suppressions = suppressionList()
    const { scope, read } = reading({ suppressions })
    suppressions.failing = true
    expect(await read(bounce('5.1.1'))).toBe('deferred')
    expect(scope.events.of('notice.received')).toEqual([])
    suppressions.failing = false
    expect(await read(bounce('5.1.1'))).toBe('ok')
    expect(scope.events.of('notice.received')).toHaveLength(1)
  })
})
