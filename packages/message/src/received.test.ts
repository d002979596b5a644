import type { MailOptions, Session } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { mailDate } from './date.ts'
import { receivedField, type Trace, transmissionType } from './received.ts'

const SESSION: Session = {
  id: 's1',
  protocol: 'smtp',
  profile: 'mx',
  client: { address: '192.0.2.7', port: 40_000 },
  server: { address: '192.0.2.1', port: 25 },
  openedAt: 0,
  helo: 'mx.example.net',
  extended: true,
}
const TLS = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }
const AT = Date.UTC(2026, 10, 22, 17, 22, 59)

function trace(session: Partial<Session>, more: Partial<Trace> = {}): Trace {
  return { session: { ...SESSION, ...session }, hostname: 'mail.example.org', id: '01x', options: {}, at: AT, ...more }
}

describe('the date', () => {
  it('is written in UTC', () => {
    expect(mailDate(AT)).toBe('Sun, 22 Nov 2026 17:22:59 +0000')
    expect(mailDate(0)).toBe('Thu, 01 Jan 1970 00:00:00 +0000')
  })
})

describe('the Received field', () => {
  it('tells who gave the message to whom, how and when', () => {
    expect(receivedField(trace({}))).toBe(
      'Received: from mx.example.net ([192.0.2.7])\r\n' +
        '\tby mail.example.org with ESMTP id 01x;\r\n' +
        '\tSun, 22 Nov 2026 17:22:59 +0000\r\n',
    )
  })

  it('tells the recipient and the encryption where they are given', () => {
    const recipient = { local: 'ann', domain: 'example.org' }
    expect(receivedField(trace({ tls: TLS }, { recipient }))).toBe(
      'Received: from mx.example.net ([192.0.2.7])\r\n' +
        '\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n' +
        '\tby mail.example.org with ESMTPS id 01x\r\n' +
        '\tfor <ann@example.org>;\r\n' +
        '\tSun, 22 Nov 2026 17:22:59 +0000\r\n',
    )
  })

  it('writes IPv6 addresses as literals', () => {
    expect(receivedField(trace({ client: { address: '2001:db8::7', port: 1 } }))).toContain('([IPv6:2001:db8::7])')
  })

  it.each(['evil (comment', 'a\r\nb', 'x y', '', 'ünicode.example', 'h'.repeat(256)])(
    'does not repeat the HELO name %j',
    (helo) => {
      expect(receivedField(trace({ helo }))).toMatch(/^Received: from \[192\.0\.2\.7\] \(\[192/)
    },
  )

  it('repeats an internationalized HELO name in an internationalized message', () => {
    expect(receivedField(trace({ helo: 'ünicode.example' }, { options: { smtputf8: true } }))).toContain(
      'from ünicode.example (',
    )
  })

  it.each<[string, Partial<Session>, MailOptions]>([
    ['SMTP', { extended: false }, {}],
    ['ESMTP', {}, {}],
    ['ESMTPS', { tls: TLS }, {}],
    ['ESMTPA', { user: 'ann' }, {}],
    ['ESMTPSA', { tls: TLS, user: 'ann' }, {}],
    ['UTF8SMTPSA', { tls: TLS, user: 'ann' }, { smtputf8: true }],
    ['LMTP', { protocol: 'lmtp' }, {}],
    ['LMTPS', { protocol: 'lmtp', tls: TLS }, {}],
    ['UTF8LMTP', { protocol: 'lmtp' }, { smtputf8: true }],
  ])('names the protocol %s', (name, session, options) => {
    expect(transmissionType({ ...SESSION, ...session }, options)).toBe(name)
  })
})
