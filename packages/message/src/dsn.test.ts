import { type Mailbox, type Recipient, reply } from '@mailwright/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildDsn, type DsnOriginal, type DsnReport, dsnOptions } from './dsn.ts'
import { fields, fieldValue, headLength } from './head.ts'
import { ENGLISH_NOTICES, GERMAN_NOTICES, POSTMASTER_NOTICES, UNRETURNABLE_NOTICES } from './notice-words.ts'
import { memorySource, messageSource } from './source.ts'

const ANN: Mailbox = { local: 'ann', domain: 'example.org' }
const BOB: Mailbox = { local: 'bob', domain: 'example.net' }
const bob: Recipient = { id: 1, address: BOB, original: BOB }
const AT = Date.UTC(2026, 10, 22, 17, 22, 59)
const MESSAGE = 'Message-ID: <m1@example.org>\r\nSubject: hi\r\n\r\nHello Bob\r\n'

function original(message: string, more: Partial<DsnOriginal> = {}): DsnOriginal {
  const source = messageSource(Buffer.from(message, 'latin1'))
  return { id: '01orig', sender: ANN, arrivedAt: AT - 60_000, options: {}, source, ...more }
}

function report(more: Partial<DsnReport> = {}): DsnReport {
  return {
    kind: 'failed',
    hostname: 'mx.example.com',
    id: '01dsn',
    at: AT,
    to: ANN,
    original: original(MESSAGE),
    recipients: [{ recipient: bob, action: 'failed', reply: reply(550, '5.1.1', 'no such mailbox') }],
    ...more,
  }
}

interface ParsedPart {
  readonly type: string
  readonly encoding: string
  readonly head: Uint8Array
  readonly content: string
}

/** Reads a notice as any MIME reader would, and checks what every notice must keep to. */
function parse(about: DsnReport): { head: Uint8Array; parts: ParsedPart[] } {
  const notice = buildDsn(about)
  const whole = Buffer.concat([notice.head, notice.buffered!]).toString('latin1')
  expect(whole).not.toMatch(/\0|\r(?!\n)|(?<!\r)\n/)
  expect(notice.size).toBe(whole.length)
  expect(headLength(notice.head)).toBe(notice.head.length)
  const type = fieldValue(notice.head, 'Content-Type')!
  const boundary = /^multipart\/report; report-type=delivery-status;\s+boundary="([^"]+)"$/.exec(type)![1]!
  const body = Buffer.from(notice.buffered!).toString('latin1')
  const sections = body.split(`\r\n--${boundary}`)
  expect(sections).toHaveLength(5)
  expect(sections[4]).toBe('--\r\n')
  const parts = sections.slice(1, 4).map((section) => {
    const bytes = Buffer.from(section.slice(2), 'latin1')
    const head = bytes.subarray(0, headLength(bytes))
    const content = bytes.subarray(head.length).toString('latin1')
    const encoding = fieldValue(head, 'Content-Transfer-Encoding')!
    expect(encoding).toBe(/[\x80-\xff]/.test(content) ? '8bit' : '7bit')
    return { type: fieldValue(head, 'Content-Type')!, encoding, head, content }
  })
  if (parts.some((part) => part.encoding === '8bit'))
    expect(fieldValue(notice.head, 'Content-Transfer-Encoding')).toBe('8bit')
  return { head: notice.head, parts }
}

/** The fields of the delivery-status part: about the message, then about each recipient. */
function status(about: DsnReport): ReadonlyMap<string, string>[] {
  const groups = Buffer.from(parse(about).parts[1]!.content, 'latin1').toString().split('\r\n\r\n')
  return groups.map((group) => new Map(fields(Buffer.from(group)).map(({ name, value }) => [name, value])))
}

describe('a notice of failure', () => {
  it('is addressed to the sender, says it is automatic, and joins the thread', () => {
    const { head } = parse(report())
    expect(Buffer.from(head).toString()).toBe(
      'Date: Sun, 22 Nov 2026 17:22:59 +0000\r\n' +
        'From: Mail Delivery System <MAILER-DAEMON@mx.example.com>\r\n' +
        'To: <ann@example.org>\r\n' +
        'Subject: Undelivered Mail Returned to Sender\r\n' +
        'Message-ID: <01dsn@mx.example.com>\r\n' +
        'In-Reply-To: <m1@example.org>\r\n' +
        'References: <m1@example.org>\r\n' +
        'Auto-Submitted: auto-replied\r\n' +
        'MIME-Version: 1.0\r\n' +
        'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="=_01dsn.0"\r\n' +
        'Content-Transfer-Encoding: 7bit\r\n\r\n',
    )
  })

  it('explains in words', () => {
    const [notice] = parse(report()).parts
    expect(notice!.type).toBe('text/plain; charset=us-ascii')
    expect(notice!.content).toContain('This is the mail system at host mx.example.com.\r\n')
    expect(notice!.content).toContain('<bob@example.net>: 550 5.1.1 no such mailbox\r\n')
  })

  it('tells programs what we refused', () => {
    const [message, recipient, ...more] = status(report())
    expect(more).toEqual([])
    expect(Object.fromEntries(message!)).toEqual({
      'Reporting-MTA': 'dns; mx.example.com',
      'X-Mailwright-Queue-ID': '01orig',
      'X-Mailwright-Sender': 'rfc822; ann@example.org',
      'Arrival-Date': 'Sun, 22 Nov 2026 17:21:59 +0000',
    })
    expect(Object.fromEntries(recipient!)).toEqual({
      'Final-Recipient': 'rfc822; bob@example.net',
      'Original-Recipient': 'rfc822; bob@example.net',
      Action: 'failed',
      Status: '5.1.1',
      'Diagnostic-Code': 'X-Mailwright; 550 5.1.1 no such mailbox',
    })
  })

  it('quotes what the next server said', () => {
    const remote = {
      host: 'mx1.example.net[192.0.2.9]:25',
      code: 550,
      enhanced: '5.2.1',
      lines: ['5.2.1 closed', 'see\x1b[31m https://example.net'],
    }
    const failed = report({
      recipients: [{ recipient: bob, action: 'failed', reply: reply(550, '5.0.0', 'remote refused'), remote }],
    })
    const [, recipient] = status(failed)
    expect(recipient!.get('Remote-MTA')).toBe('dns; mx1.example.net')
    expect(recipient!.get('Diagnostic-Code')).toBe('smtp; 550 5.2.1 closed see [31m https://example.net')
    expect(recipient!.get('Status')).toBe('5.2.1')
    expect(parse(failed).parts[0]!.content.replace(/\r\n +/g, ' ')).toContain(
      'host mx1.example.net[192.0.2.9]:25 said: 550 5.2.1 closed',
    )
  })

  it('does not believe a status of another class than the outcome', () => {
    const remote = { host: 'mx1', code: 450, enhanced: '4.2.0', lines: ['later'] }
    const expired = report({
      recipients: [{ recipient: bob, action: 'failed', reply: reply(554, '5.4.7', 'expired'), remote }],
    })
    expect(status(expired)[1]!.get('Status')).toBe('5.4.7')
    expect(status(expired)[1]!.get('Diagnostic-Code')).toBe('smtp; 450 4.2.0 later')
  })

  it('repeats what the sender gave to recognise the message by', () => {
    const recipient = { ...bob, orcpt: 'rfc822;bob@old.example', original: { local: 'robert', domain: 'example.net' } }
    const about = report({
      original: original(MESSAGE, { options: { envid: 'QQ+2B314+3Dx' } }),
      recipients: [{ recipient, action: 'failed', reply: reply(550, '5.1.1', 'no') }],
    })
    expect(status(about)[0]!.get('Original-Envelope-Id')).toBe('QQ+314=x')
    expect(status(about)[1]!.get('Original-Recipient')).toBe('rfc822;bob@old.example')
    expect(parse(about).parts[0]!.content).toContain('<bob@example.net> (expanded from <robert@example.net>)')
  })

  it('returns the whole message', () => {
    const [, , returned] = parse(report()).parts
    expect(returned!.type).toBe('message/rfc822')
    expect(returned!.content).toBe(`Return-Path: <ann@example.org>\r\n${MESSAGE}`)
  })

  it.each<[string, Partial<DsnReport>]>([
    ['the sender wants only that', { original: original(MESSAGE, { options: { ret: 'hdrs' } }) }],
    ['the message is large', { bodyLimit: 20 }],
    ['the message is binary', { original: original(MESSAGE, { options: { body: 'binarymime' } }) }],
    [
      'the body is not in memory',
      { original: original(MESSAGE, { source: { ...original(MESSAGE).source, buffered: undefined } }) },
    ],
    [
      'nothing failed',
      { kind: 'delayed', recipients: [{ recipient: bob, action: 'delayed', reply: reply(451, '4.4.1', 'no route') }] },
    ],
  ])('returns the header alone when %s', (_, more) => {
    const [, , returned] = parse(report(more)).parts
    expect(returned!.type).toBe('text/rfc822-headers')
    expect(returned!.content).toBe(
      'Return-Path: <ann@example.org>\r\nMessage-ID: <m1@example.org>\r\nSubject: hi\r\n\r\n',
    )
  })

  it('says that an 8-bit original is one', () => {
    const about = report({ original: original(`${MESSAGE}Gr\xfc\xdfe\r\n`) })
    expect(parse(about).parts[2]!.encoding).toBe('8bit')
    expect(dsnOptions(about, buildDsn(about))).toEqual({ body: '8bitmime' })
    expect(dsnOptions(report(), buildDsn(report()))).toEqual({})
  })

  it('gives the address that the sender named decoded', () => {
    const given = (orcpt: string): string => {
      const recipients = [{ recipient: { ...bob, orcpt }, action: 'failed', reply: reply(550, '5.1.1', 'no') } as const]
      return status(report({ recipients }))[1]!.get('Original-Recipient')!
    }
    expect(given('rfc822;b+2Bob@example.net')).toBe('rfc822;b+ob@example.net')
    expect(given('utf-8;j\\x{F6}rg@example.net')).toBe('utf-8;j\\x{F6}rg@example.net')
    expect(given('utf-8;x\\x{D800}@example.net')).toBe('utf-8;x\\x{5C}x{D800}@example.net')
    expect(given('no address')).toBe('rfc822; bob@example.net')
  })

  it('can be written for who reads no UTF-8, about an address in UTF-8', () => {
    const address = { local: 'jörg', domain: 'bücher.example' }
    const about = report({
      recipients: [{ recipient: { ...bob, address }, action: 'failed', reply: reply(550, '5.1.1', 'no') }],
    })
    expect(parse(about).parts[1]!.type).toBe('message/delivery-status')
    expect(status(about)[1]!.get('Final-Recipient')).toBe('utf-8; j\\x{F6}rg@b\\x{FC}cher.example')
    expect(dsnOptions(about, buildDsn(about)).smtputf8).toBeUndefined()
  })

  it('uses another boundary than a notice inside it', () => {
    const inner = buildDsn(report())
    const about = report({ original: original(MESSAGE, { source: memorySource(inner.head, inner.buffered!) }) })
    expect(fieldValue(parse(about).head, 'Content-Type')).toContain('boundary="=_01dsn.1"')
  })

  it('leaves an unusable Message-ID out', () => {
    const { head } = parse(report({ original: original('Message-ID: <a b>, <c>\r\n\r\n') }))
    expect(fieldValue(head, 'In-Reply-To')).toBeUndefined()
  })
})

describe('other notices', () => {
  it.each([
    ['delayed', 'Delayed Mail (still being retried)'],
    ['delivered', 'Successful Mail Delivery Report'],
    ['mixed', 'Mail Delivery Status Report'],
  ] as const)('have a subject of their own: %s', (kind, subject) => {
    expect(fieldValue(parse(report({ kind })).head, 'Subject')).toBe(subject)
  })

  it('tell until when we try', () => {
    const about = { recipient: bob, action: 'delayed', reply: reply(451, '4.4.1', 'no'), retryUntil: AT } as const
    const [, recipient] = status(report({ kind: 'delayed', recipients: [about] }))
    expect(recipient!.get('Will-Retry-Until')).toBe('Sun, 22 Nov 2026 17:22:59 +0000')
    expect(recipient!.get('Action')).toBe('delayed')
  })
})

describe('an internationalized notice', () => {
  const address = { local: 'jörg', domain: 'bücher.example' }
  const about = report({
    original: original(MESSAGE, { options: { smtputf8: true } }),
    recipients: [
      { recipient: { id: 1, address, original: address }, action: 'failed', reply: reply(550, '5.1.1', 'no') },
    ],
  })

  it('uses the media types and address type of RFC 6533', () => {
    expect(parse(about).parts.map((part) => part.type)).toEqual([
      'text/plain; charset=utf-8',
      'message/global-delivery-status',
      'message/global',
    ])
    expect(status(about)[1]!.get('Final-Recipient')).toBe('utf-8; jörg@bücher.example')
    expect(dsnOptions(about, buildDsn(about))).toEqual({ body: '8bitmime', smtputf8: true })
  })

  it('is not made of foreign words of a remote server', () => {
    const remote = { host: 'mx1', code: 550, lines: ['Adresse ungültig'] }
    const plain = report({
      recipients: [{ recipient: bob, action: 'failed', reply: reply(550, '5.1.1', 'no'), remote }],
    })
    expect(status(plain)[1]!.get('Diagnostic-Code')).toBe('smtp; 550 Adresse ung?ltig')
    expect(parse(plain).parts[0]!.type).toBe('text/plain; charset=utf-8')
  })
})

describe('the wording of a notice', () => {
  it('is German where that is asked for', () => {
    const { head, parts } = parse(report({ template: GERMAN_NOTICES }))
    expect(fieldValue(head, 'From')).toBe('Mailzustellung <MAILER-DAEMON@mx.example.com>')
    expect(fieldValue(parts[0]!.head, 'Content-Language')).toBe('de')
    expect(parts[0]!.type).toBe('text/plain; charset=utf-8')
  })

  it.each([ENGLISH_NOTICES, GERMAN_NOTICES, POSTMASTER_NOTICES, UNRETURNABLE_NOTICES])(
    'names recipient, cause and host in every kind: $language, $wording.failed.subject',
    (template) => {
      const remote = { host: 'mx1.example.net', code: 550, lines: ['closed'] }
      for (const kind of ['failed', 'delayed', 'delivered', 'mixed'] as const) {
        const recipients = [
          { recipient: bob, action: 'failed', reply: reply(550, '5.1.1', 'no'), remote },
          { recipient: { ...bob, original: ANN }, action: 'relayed', reply: reply(250, '2.0.0', 'Ok') },
        ] as const
        const { head, parts } = parse(report({ kind, template, recipients }))
        const text = Buffer.from(parts[0]!.content, 'latin1')
          .toString()
          .replace(/\r\n {4}/g, ' ')
        expect(text).toMatch(/<bob@example\.net>: .*mx1\.example\.net.*: 550 closed/)
        expect(text).toMatch(/<bob@example\.net> \(.*<ann@example\.org>\)/)
        expect(fieldValue(head, 'Subject')).not.toBe('')
      }
    },
  )

  it('cannot add a header field or a part, whatever it says', () => {
    const evil = 'x\r\nBcc: all@example.org\r\n\r\n--=_01dsn.0\r\n\r\nboo'
    const words = { subject: () => evil, text: () => `${evil}\0\x1b[1m ${'y'.repeat(5_000)}` }
    const wording = { failed: words, delayed: words, delivered: words, mixed: words }
    const about = report({ template: { language: evil, from: evil, wording } })
    const { head, parts } = parse(about)
    expect(fields(head).map(({ name }) => name)).toEqual(fields(parse(report()).head).map(({ name }) => name))
    expect(fieldValue(head, 'Bcc')).toBeUndefined()
    expect(fieldValue(parts[0]!.head, 'Bcc')).toBeUndefined()
    for (const line of parts[0]!.content.split('\r\n')) expect(line.length).toBeLessThanOrEqual(998)
  })

  it('of a copy for somebody else has the header of the original alone, and no reply to anybody', () => {
    const { head, parts } = parse(report({ purpose: 'copy', template: POSTMASTER_NOTICES }))
    expect(fieldValue(head, 'Auto-Submitted')).toBe('auto-generated')
    expect(parts[2]!.type).toBe('text/rfc822-headers')
  })
})

describe('any notice', () => {
  const line = fc.string({ unit: 'binary', maxLength: 200 })
  const original8bit = fc
    .array(fc.constantFrom('\r\n', '\r', '\n', '\0', '--=_01dsn.0', 'Subject: x', '.', 'text', '\xfc'), {
      maxLength: 30,
    })
    .map((pieces) => pieces.join(''))

  it('has three parts and CRLF line ends, whatever was sent and whatever was said', () => {
    fc.assert(
      fc.property(original8bit, fc.array(line, { maxLength: 3 }), line, fc.boolean(), (message, lines, host, ret) => {
        const options = ret ? ({ ret: 'hdrs' } as const) : {}
        const remote = { host, code: 550, lines }
        const about = report({
          original: original(message, { options }),
          recipients: [
            {
              recipient: { ...bob, orcpt: lines[0] ?? 'rfc822;x' },
              action: 'failed',
              reply: reply(550, '5.0.0', host),
            },
            { recipient: bob, action: 'failed', reply: reply(550, '5.1.1', 'no'), remote },
          ],
        })
        expect(status(about)).toHaveLength(3)
        for (const text of parse(about)
          .parts.slice(0, 2)
          .flatMap((part) => part.content.split('\r\n')))
          expect(text.length).toBeLessThanOrEqual(998)
      }),
    )
  })
})
