/** Notices of ours before readers of others, and notices of Postfix before ours. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type Mailbox,
  type MailEvent,
  type Outcome,
  parseMailbox,
  type Recipient,
  reply,
  sameOutcome,
  type Transport,
} from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { discardTransport } from '@mailwright/local-delivery'
import {
  buildDsn,
  type DsnAction,
  type DsnReport,
  ENGLISH_NOTICES,
  GERMAN_NOTICES,
  messageSource,
  parseDsn,
  verpAddress,
} from '@mailwright/message'
import { acceptAll } from '@mailwright/policy'
import { reportReader } from '@mailwright/queue'
import { smtpListener } from '@mailwright/smtp-listener'
import { describe, expect, it, onTestFinished } from 'vitest'
import { selfSigned } from './certificate.ts'
import { sendBySmtplib } from './clients.ts'
import { startPostfix } from './postfix.ts'
import { missing, missingModule, notRoot, PYTHON, runProgram } from './programs.ts'
import { temporaryFolder } from './temporary-folder.ts'

const SCRIPT = fileURLToPath(new URL('./notice-reader.py', import.meta.url))
const AT = Date.UTC(2026, 10, 22, 17, 22, 59)
const LETTER = 'Message-ID: <1@example.org>\r\nSubject: Gr\xfc\xdfe\r\n\r\nHello\r\n.\r\n--=_01dsn.0\r\n'

interface Reading {
  readonly subject: string
  readonly from: readonly [string, string][]
  readonly date: number
  readonly reportType: string
  readonly types: readonly string[]
  readonly text: string
  readonly groups: readonly Readonly<Record<string, string>>[]
  readonly returned: string
  readonly defects: readonly string[]
  readonly temporary: readonly string[]
  readonly permanent: readonly string[]
}

function mailbox(address: string): Mailbox {
  return parseMailbox(address)!
}

function recipient(address: string, more: Partial<Recipient> = {}): Recipient {
  return { id: 1, address: mailbox(address), original: mailbox(address), ...more }
}

function report(action: DsnAction, kind: DsnReport['kind'], more: Partial<DsnReport> = {}): DsnReport {
  const code = action === 'failed' ? 550 : action === 'delayed' ? 450 : 250
  const said = {
    host: 'mx.example.com[192.0.2.1]:25',
    code,
    enhanced: `${Math.floor(code / 100)}.1.1`,
    lines: ['so be it'.repeat(60)],
  }
  return {
    kind,
    hostname: 'mx.example.org',
    id: '01dsn',
    at: AT,
    to: mailbox('me@example.org'),
    original: {
      id: '01orig',
      sender: mailbox('me@example.org'),
      arrivedAt: AT,
      options: { envid: 'QQ+2B314' },
      source: messageSource(Buffer.from(LETTER, 'latin1')),
    },
    recipients: [
      {
        recipient: recipient('ann@example.com', {
          original: mailbox('info@example.com'),
          orcpt: 'rfc822;info+2Bx@example.com',
        }),
        action,
        reply:
          code === 550
            ? reply(550, '5.1.1', 'no')
            : code === 450
              ? reply(450, '4.1.1', 'later')
              : reply(250, '2.1.5', 'ok'),
        remote: said,
        ...(action === 'delayed' ? { retryUntil: AT } : {}),
      },
    ],
    ...more,
  }
}

const utf8 = report('failed', 'failed', {
  to: mailbox('jörg@bücher.example'),
  template: GERMAN_NOTICES,
  recipients: [{ recipient: recipient('straße@bücher.example'), action: 'failed', reply: reply(550, '5.1.1', 'nein') }],
})

const NOTICES: Readonly<Record<string, DsnReport>> = {
  failed: report('failed', 'failed'),
  delayed: report('delayed', 'delayed'),
  delivered: report('delivered', 'delivered'),
  relayed: report('relayed', 'delivered'),
  expanded: report('expanded', 'delivered'),
  mixed: report('failed', 'mixed', {
    recipients: [...report('failed', 'mixed').recipients, ...report('delayed', 'mixed').recipients],
  }),
  german: report('failed', 'failed', { template: GERMAN_NOTICES }),
  named: report('failed', 'failed', { template: { ...ENGLISH_NOTICES, from: 'Ann "the" Ö, of 例え' } }),
  utf8,
}

describe("Python's email package and Mailman's bounce detector", () => {
  it.skipIf(missingModule('flufl.bounce'))('understand notices of every kind as we do', async () => {
    const readings = await read(Object.values(NOTICES))
    for (const [index, [name, about]] of Object.entries(NOTICES).entries()) {
      const reading = readings[index]!
      expect.soft(reading.defects, name).toEqual([])
      expect.soft(reading.reportType).toBe('delivery-status')
      expect.soft(reading.date).toBe(AT)
      expect.soft(reading.groups, name).toHaveLength(1 + about.recipients.length)
      expect.soft(reading.groups[0]!['Reporting-MTA']).toBe('dns; mx.example.org')
      expect.soft(reading.groups[0]!['Original-Envelope-Id']).toBe('QQ+314')
      const ours = parseDsn(whole(about))!
      expect.soft(ours.recipients.map(({ action }) => action)).toEqual(about.recipients.map(({ action }) => action))
      expect
        .soft(reading.groups.slice(1).map((group) => group.Action))
        .toEqual(ours.recipients.map(({ action }) => action))
      expect
        .soft(reading.groups.slice(1).map((group) => group.Status))
        .toEqual(ours.recipients.map(({ status }) => status))
    }
  })

  it.skipIf(missingModule('flufl.bounce'))('find who failed and who is late', async () => {
    const [failed, delayed, delivered, mixed] = await read([
      NOTICES.failed!,
      NOTICES.delayed!,
      NOTICES.delivered!,
      NOTICES.mixed!,
    ])
    expect(failed).toMatchObject({ permanent: ['info+x@example.com'], temporary: [] })
    expect(delayed).toMatchObject({ permanent: [], temporary: ['info+x@example.com'] })
    expect(delivered).toMatchObject({ permanent: [], temporary: [] })
    expect(mixed!.permanent).toEqual(['info+x@example.com'])
  })

  it.skipIf(missingModule('flufl.bounce'))('read words in any language', async () => {
    const [german, named, international] = await read([NOTICES.german!, NOTICES.named!, utf8])
    expect(german!.subject).toBe(GERMAN_NOTICES.wording.failed.subject)
    expect(german!.text).toContain('konnte nicht an alle Empfänger zugestellt werden')
    expect(named!.from).toEqual([['Ann "the" Ö, of 例え', 'MAILER-DAEMON@mx.example.org']])
    expect(international!.types).toEqual(['text/plain', 'message/global-delivery-status', 'message/global'])
    expect(international!.groups[1]!['Final-Recipient']).toBe('utf-8; straße@bücher.example')
  })

  it.skipIf(missingModule('flufl.bounce'))('get back the message, or its header', async () => {
    const [whole, header] = await read([NOTICES.failed!, NOTICES.delayed!])
    expect(whole).toMatchObject({
      types: ['text/plain', 'message/delivery-status', 'message/rfc822'],
      returned: '<1@example.org>',
    })
    expect(header!.types[2]).toBe('text/rfc822-headers')
    expect(header!.returned).toContain('Message-ID: <1@example.org>')
  })
})

describe('a notice of Postfix', () => {
  it.skipIf(missing('postfix', 'openssl', 'python3') || notRoot())(
    'about mail that we refuse comes back to us and is read',
    async () => {
      const folder = temporaryFolder()
      const certificate = await selfSigned(folder)
      const { port, received } = await refusingServer()
      const postfix = await startPostfix(folder, port)
      const bytes = Buffer.from('Message-ID: <1@example.org>\r\nSubject: hi\r\n\r\nHello\r\n')
      const path = verpAddress(mailbox('news@example.org'), mailbox('ann@example.com'))!
      const mail = { from: `${path.local}@${path.domain}`, to: 'ann@example.com', bytes, options: ['ENVID=QQ314'] }
      await sendBySmtplib([mail], { port: postfix.port, folder }, { certificate })
      expect(await received).toMatchObject({
        kind: 'bounce',
        recipient: mailbox('ann@example.com'),
        sender: mailbox('news@example.org'),
        status: '5.1.1',
        diagnostic: expect.stringContaining('550 5.1.1 no such mailbox'),
        reportingMta: 'postfix.example.org',
        envelopeId: 'QQ314',
        messageId: '<1@example.org>',
      })
    },
    60_000,
  )
})

/** A server that refuses all mail and reads what is then reported. It is ended with the test. */
async function refusingServer(): Promise<{ readonly port: number; readonly received: Promise<MailEvent> }> {
  const mta = createMta({ name: 'refusing' })
  const reader = mta.use(reportReader({ otherwise: discardTransport(), verp: {} }))
  const refused: Outcome = { status: 'failed', reply: reply(550, '5.1.1', 'no such mailbox') }
  const transport: Transport = {
    name: 'refusing',
    deliver: async (job, call) =>
      job.envelope.sender === null ? reader.deliver(job, call) : sameOutcome(job.envelope, refused),
  }
  const received = new Promise<MailEvent>((resolve) => {
    mta.events.subscribe(resolve, (type) => type === 'notice.received')
  })
  const intake = mta.use(mailIntake({ hostname: 'mx.example.org', transport, policies: [acceptAll()] }))
  const listener = mta.use(smtpListener({ intake, port: 0 }))
  await mta.start()
  onTestFinished(() => mta.stop())
  return { port: listener.address.port, received }
}

function whole(about: DsnReport): Buffer {
  const { head, buffered } = buildDsn(about)
  return Buffer.concat([head, buffered!])
}

async function read(reports: readonly DsnReport[]): Promise<readonly Reading[]> {
  const folder = temporaryFolder()
  const files = reports.map((about, index) => {
    const file = join(folder, `${index}.eml`)
    writeFileSync(file, whole(about))
    return file
  })
  return JSON.parse(await runProgram(PYTHON, [SCRIPT, ...files])) as readonly Reading[]
}
