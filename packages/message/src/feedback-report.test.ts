import { mailbox } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { parseFeedbackReport } from './feedback-report.ts'

function complaint(
  fields: string,
  returned = 'Content-Type: message/rfc822\n\nMessage-ID: <1@example.org>\n\nBuy!\n',
): Buffer {
  const text =
    'From: feedback@example.com\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n' +
    `--b\nContent-Type: text/plain\n\nA user complains.\n--b\nContent-Type: message/feedback-report\n\n${fields}\n--b\n${returned}\n--b--\n`
  return Buffer.from(text.replaceAll('\n', '\r\n'))
}

describe('a complaint', () => {
  it('tells of what, by whom, and about which message', () => {
    const fields =
      'Feedback-Type: Abuse\nUser-Agent: Someone/1.0\nVersion: 1\nOriginal-Mail-From: <news@example.org>\n' +
      'Original-Rcpt-To: <ann@example.com>\nOriginal-Rcpt-To: bob@example.com\nReporting-MTA: dns; mx.example.com\n' +
      'Original-Envelope-Id: QQ314\nSource-IP: 192.0.2.1\nArrival-Date: Thu, 1 Jan 2026 00:00:00 +0000\nIncidents: 3\n'
    expect(parseFeedbackReport(complaint(fields))).toMatchObject({
      type: 'abuse',
      userAgent: 'Someone/1.0',
      reportingMta: 'mx.example.com',
      envelopeId: 'QQ314',
      sender: mailbox('news@example.org'),
      recipients: [mailbox('ann@example.com'), mailbox('bob@example.com')],
      sourceIp: '192.0.2.1',
      arrivedAt: Date.UTC(2026, 0, 1),
      incidents: 3,
      original: { messageId: '<1@example.org>' },
    })
  })

  it('may leave out nearly everything', () => {
    const read = parseFeedbackReport(complaint('Feedback-Type: opt-out\nIncidents: many\nOriginal-Mail-From: <>\n', ''))
    expect(read).toMatchObject({ type: 'opt-out', sender: null, recipients: [], incidents: 1, original: undefined })
  })

  it.each([
    ['does not say of what', complaint('User-Agent: x\n')],
    ['is a letter', Buffer.from('Subject: I complain\r\n\r\nFeedback-Type: abuse\r\n')],
    ['is garbage', Buffer.from([0, 255, 13, 10])],
  ])('is none when it %s', (_why, message) => {
    expect(parseFeedbackReport(message)).toBeUndefined()
  })
})
