import { mailbox, testMessage } from '@mailwright/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDsn } from './delivery-report.ts'
import { buildDsn, type DsnReport } from './dsn.ts'
import { fieldValue } from './head.ts'

/** Text as it comes over the wire. */
function bytes(text: string): Buffer {
  return Buffer.from(text.replace(/\r?\n/g, '\r\n'))
}

interface Report {
  readonly status: string
  readonly statusHead?: string
  readonly returned?: string
}

/** A report in its usual three parts. */
function report({ status, statusHead = 'Content-Type: message/delivery-status', returned }: Report): Buffer {
  const last =
    returned ?? 'Content-Type: message/rfc822\n\nReturn-Path: <me@example.org>\nMessage-ID: <1@example.org>\n\nHi\n'
  return bytes(
    'From: MAILER-DAEMON@mx.example.net\n' +
      'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="b/1"\n\n' +
      `Words for people.\n--b/1\n\nIt failed.\n--b/1\n${statusHead}\n\n${status}\n--b/1\n${last}\n--b/1--\n`,
  )
}

const FAILED = 'Final-Recipient: rfc822; ann@example.com\nAction: failed\nStatus: 5.1.1\n'

describe('a delivery report', () => {
  it('tells who reports what of whom, and of which message', () => {
    const status =
      'Reporting-MTA: dns; mx.example.net\nOriginal-Envelope-Id: QQ+314\nArrival-Date: Thu, 1 Jan 2026 00:00:00 +0000 (UTC)\n\n' +
      'Final-Recipient: rfc822; ann@example.com\nOriginal-Recipient: rfc822;info@example.com\nAction: failed\n' +
      'Status: 5.1.1 (no such user)\nRemote-MTA: dns; mx.example.com\n' +
      'Diagnostic-Code: smtp; 550 5.1.1 no such\n    user here\n\n' +
      'Final-Recipient: rfc822; bob@example.com\nAction: delayed\nStatus: 4.4.1\n' +
      'Will-Retry-Until: Tue, 6 Jan 2026 00:00:00 +0000\n'
    const read = parseDsn(report({ status }))!
    expect(read).toMatchObject({
      form: 'dsn',
      reportingMta: 'mx.example.net',
      envelopeId: 'QQ+314',
      arrivedAt: Date.UTC(2026, 0, 1),
      original: { messageId: '<1@example.org>', sender: mailbox('me@example.org') },
    })
    expect(read.recipients).toEqual([
      {
        address: mailbox('ann@example.com'),
        original: mailbox('info@example.com'),
        action: 'failed',
        status: '5.1.1',
        diagnostic: '550 5.1.1 no such    user here',
        remoteMta: 'mx.example.com',
        retryUntil: undefined,
      },
      {
        address: mailbox('bob@example.com'),
        original: undefined,
        action: 'delayed',
        status: '4.4.1',
        diagnostic: undefined,
        remoteMta: undefined,
        retryUntil: Date.UTC(2026, 0, 6),
      },
    ])
  })

  it.each([
    ['with bare line feeds', report({ status: FAILED }).toString().replaceAll('\r\n', '\n')],
    ['with its status part in base64', encodedReport('base64')],
    ['with its status part in quoted-printable', encodedReport('quoted-printable')],
    [
      'of an internationalized message',
      report({ status: FAILED, statusHead: 'Content-Type: message/global-delivery-status' }),
    ],
    [
      'that lost its end',
      report({ status: FAILED })
        .toString()
        .replace(/--b\/1--[\s\S]*$/, ''),
    ],
    [
      'cut in its status part',
      report({ status: FAILED })
        .toString()
        .replace(/5\.1\.1[\s\S]*$/, '5.1.1'),
    ],
    ['without a group for the message', report({ status: FAILED })],
    ['without an empty line between its groups', report({ status: `Reporting-MTA: dns; mx\n${FAILED}` })],
    ['with empty lines of blanks', report({ status: `Reporting-MTA: dns; mx\n \t\n${FAILED}` })],
    ['wrapped by a mailing list', wrapped(report({ status: FAILED }).toString())],
    ['whose address is in angle brackets', report({ status: FAILED.replace('ann@example.com', '<ann@example.com>') })],
    ['whose address has no type', report({ status: FAILED.replace('rfc822; ', '') })],
    ['whose action is in capitals', report({ status: FAILED.replace('failed', 'FAILED (bad destination)') })],
    ['without an action', report({ status: FAILED.replace('Action: failed\n', '') })],
    [
      'whose status is in the answer only',
      report({ status: `${FAILED.replace('5.1.1', '5.0.0')}Diagnostic-Code: smtp; 550-5.1.1 no` }),
    ],
  ])('is understood %s', (_how, message) => {
    const read = parseDsn(Buffer.from(message))
    expect(read?.recipients).toMatchObject([{ address: mailbox('ann@example.com'), action: 'failed', status: '5.1.1' }])
  })

  it('is understood though its text quotes what looks like its boundary', () => {
    const message = report({ status: FAILED }).toString().replace('It failed.', 'It is after --b/1\r\n--b/1x\r\n')
    expect(parseDsn(Buffer.from(message))?.recipients).toHaveLength(1)
  })

  it('is found in a few multiparts, not in many', () => {
    const inside = (levels: number): string => {
      let part = report({ status: FAILED }).toString()
      for (let level = 0; level < levels; level++)
        part = `Content-Type: multipart/mixed; boundary=l${level}\n\n--l${level}\n${part}\n--l${level}--\n`
      return part
    }
    expect(parseDsn(bytes(inside(3)))?.recipients).toHaveLength(1)
    expect(parseDsn(bytes(inside(10)))).toBeUndefined()
  })

  it('of several recipients is understood without empty lines between them', () => {
    const two = FAILED + FAILED.replace('ann', 'bob').replace('failed', 'delayed').replace('5.1.1', '4.4.1')
    expect(parseDsn(report({ status: two }))?.recipients).toMatchObject([
      { address: mailbox('ann@example.com'), action: 'failed', status: '5.1.1' },
      { address: mailbox('bob@example.com'), action: 'delayed', status: '4.4.1' },
    ])
  })

  it('keeps an answer whose recipient is no mailbox', () => {
    const read = parseDsn(report({ status: 'Final-Recipient: x400; /G=Ann/\nAction: failed\nStatus: 5.1.1\n' }))
    expect(read?.recipients).toMatchObject([{ address: undefined, action: 'failed' }])
  })

  it('is cleaned of what could confuse a log, and cut', () => {
    const status = `${FAILED}Diagnostic-Code: smtp; \x1b[2J${'no '.repeat(2_000)}\n`
    const { diagnostic } = parseDsn(report({ status }))!.recipients[0]!
    expect(diagnostic).toMatch(/^\[2Jno no/)
    expect(diagnostic!.length).toBeLessThanOrEqual(1_000)
  })

  it('reads an address written in code points', () => {
    const status = FAILED.replace('rfc822; ann', 'utf-8; j\\x{F6}rg')
    expect(parseDsn(report({ status }))?.recipients[0]?.address).toEqual(mailbox('jörg@example.com'))
  })

  it('does not take a report that it returns for itself', () => {
    const inner = report({ status: FAILED.replace('ann', 'inner') }).toString()
    const read = parseDsn(report({ status: FAILED, returned: `Content-Type: message/rfc822\n\n${inner}` }))
    expect(read?.recipients).toMatchObject([{ address: mailbox('ann@example.com') }])
    const forwarded = `Content-Type: message/rfc822\n\n${inner}`
    expect(parseDsn(bytes(forwarded))).toBeUndefined()
  })

  it('of ours is understood', () => {
    const address = mailbox('jörg@bücher.example')
    const about: DsnReport = {
      kind: 'failed',
      hostname: 'mx.example.org',
      id: '01dsn',
      at: 0,
      to: mailbox('me@example.org'),
      original: {
        id: '01orig',
        sender: mailbox('me@example.org'),
        arrivedAt: 0,
        options: { envid: 'a+2Bb' },
        source: testMessage('Message-ID: <1@example.org>\n\nHi\n'),
      },
      recipients: [
        {
          recipient: { id: 1, address, original: mailbox('info@example.org'), orcpt: 'rfc822;i+2Bx@example.org' },
          action: 'failed',
          reply: { code: 550, enhanced: '5.1.1', text: 'no such user' },
        },
      ],
    }
    const { head, buffered } = buildDsn(about)
    const read = parseDsn(Buffer.concat([head, buffered!]))
    expect(read).toMatchObject({
      reportingMta: 'mx.example.org',
      envelopeId: 'a+b',
      arrivedAt: 0,
      recipients: [{ address, original: mailbox('i+x@example.org'), action: 'failed', status: '5.1.1' }],
      original: { messageId: '<1@example.org>', sender: mailbox('me@example.org') },
    })
  })
})

describe('an older bounce', () => {
  const qmail = bytes(
    'From: MAILER-DAEMON@mail.example.net\nSubject: failure notice\n\n' +
      'Hi. This is the qmail-send program at mail.example.net.\nIt gave up.\n\n' +
      '<ann@example.com>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 no (#5.1.1)\n\n' +
      '<bob@example.com>:\nNo luck.\n\n' +
      '--- Below this line is a copy of the message.\n\nReturn-Path: <me@example.org>\nMessage-ID: <1@example.org>\n\n<x@y.example>:\nhi\n',
  )

  it('of qmail is understood', () => {
    const read = parseDsn(qmail)
    expect(read).toMatchObject({
      form: 'qmail',
      reportingMta: 'mail.example.net',
      original: { messageId: '<1@example.org>', sender: mailbox('me@example.org') },
    })
    expect(read!.recipients).toMatchObject([
      { address: mailbox('ann@example.com'), action: 'failed', status: '5.1.1' },
      { address: mailbox('bob@example.com'), action: 'failed', status: undefined, diagnostic: 'No luck.' },
    ])
  })

  it('that names who failed in its header is understood', () => {
    const message = 'X-Failed-Recipients: ann@example.com,\n  bob@example.com\nSubject: failed\n\nSorry.\n'
    expect(parseDsn(bytes(message))).toMatchObject({
      form: 'header',
      recipients: [{ address: mailbox('ann@example.com') }, { address: mailbox('bob@example.com') }],
    })
  })
})

describe('what is no report', () => {
  it.each([
    ['a letter', 'Subject: hi\n\nHello\n'],
    ['nothing', ''],
    ['a head alone', 'Content-Type: multipart/report; boundary=b'],
    ['a report on nobody', report({ status: 'Reporting-MTA: dns; mx\n' }).toString()],
    [
      'a report that does not say what happened',
      report({ status: 'Final-Recipient: rfc822; ann@example.com\n' }).toString(),
    ],
    ['a letter about qmail', 'Subject: hi\n\nDear Ann,\nHi. This is the qmail-send program at x.\nBye\n'],
  ])('is not taken for one: %s', (_what, message) => {
    expect(parseDsn(bytes(message))).toBeUndefined()
  })
})

describe('any input', () => {
  const piece = fc.constantFrom(
    '--b/1\r\n',
    '--b/1--\r\n',
    '\r\n',
    '\r\n\r\n',
    'Content-Type: multipart/report; boundary="b/1"\r\n',
    'Content-Type: message/delivery-status\r\n',
    'Content-Transfer-Encoding: base64\r\n',
    'Final-Recipient: rfc822; a@b.example\r\n',
    'Action: failed\r\n',
    'Status: 5.0.0\r\n',
    ' =',
    'Diagnostic-Code: smtp; \0\x1b[1m\r\n',
    '\n',
    'Hi. This is the x\r\n',
    '<a@b.example>:\r\n',
    'Content-Transfer-Encoding: quoted-printable\r\n',
  )

  it('is read without an error, and what is read holds no control characters', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const read = parseDsn(Buffer.from(pieces.join('')))
        for (const { diagnostic, status } of read?.recipients ?? [])
          expect(`${diagnostic}${status}`).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f]/)
      }),
    )
  })

  it.each([
    ['endless blanks', 'Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n', ' '],
    ['endless boundaries', 'Content-Type: multipart/mixed; boundary=b\n\n', '--b\n'],
    [
      'endless multiparts in multiparts',
      'Content-Type: multipart/mixed; boundary=b\n\n',
      '--b\nContent-Type: multipart/mixed; boundary=b\n\n',
    ],
    ['endless groups', 'Content-Type: message/delivery-status\n\n', `${FAILED}\n`],
    [
      'endless recipients of one group',
      'Content-Type: message/delivery-status\n\n',
      'Final-Recipient: rfc822; a@b.example\n',
    ],
    ['one endless field', 'Content-Type: message/delivery-status\n\nFinal-Recipient: ', ' <;'],
    ['endless fields of content type', '', 'Content-Type: multipart/x; boundary \n'],
  ])('takes no more than its length to read: %s', (_what, start, more) => {
    const message = bytes(start + more.repeat(Math.ceil(2_000_000 / more.length)))
    const startedAt = process.cpuUsage().user
    expect((parseDsn(message)?.recipients ?? []).length).toBeLessThanOrEqual(1_000)
    expect(process.cpuUsage().user - startedAt).toBeLessThan(3_000_000)
  })
})

function encodedReport(encoding: 'base64' | 'quoted-printable'): Buffer {
  const status =
    encoding === 'base64'
      ? Buffer.from(FAILED)
          .toString('base64')
          .replace(/(.{60})/g, '$1\n')
      : FAILED.replace('rfc822', 'rfc8=\n22').replace('@', '=40')
  const statusHead = `Content-Type: message/delivery-status\nContent-Transfer-Encoding: ${encoding}`
  return report({ status, statusHead })
}

function wrapped(message: string): Buffer {
  const [, head, body] = /^([\s\S]*?\r\n)\r\n([\s\S]*)$/.exec(message)!
  const type = fieldValue(Buffer.from(head!), 'Content-Type')!
  return bytes(
    `Content-Type: multipart/mixed; boundary=outer\n\n--outer\nContent-Type: ${type}\n\n${body}\n--outer\n\nA footer.\n--outer--\n`,
  )
}
