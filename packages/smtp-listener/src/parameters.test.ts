import type { MailOptions, RcptCommand } from '@mailwright/core'
import { expect, test } from 'vitest'
import { type MailTerms, parseMail, parseRcpt } from './parameters.ts'

/** 2026-01-01T00:00:00Z. */
const NOW = Date.UTC(2026, 0, 1)
const everything: MailTerms = { offers: () => true, submitters: 'believed', now: () => NOW }
const nobodyKnown: MailTerms = { ...everything, submitters: 'dropped' }

function mail(parameters: string, terms = everything): ReturnType<typeof parseMail> {
  return parseMail(`MAIL FROM:<ann@example.org> ${parameters}`, terms)
}
function rcpt(parameters: string, mode: 'ascii' | 'international' = 'ascii'): ReturnType<typeof parseRcpt> {
  return parseRcpt(`RCPT TO:<bob@example.org> ${parameters}`, mode, everything)
}

test.each<[string, MailOptions]>([
  ['RET=full', { ret: 'full' }],
  ['ret=HDRS', { ret: 'hdrs' }],
  ['ENVID=QQ314159+2B', { envid: 'QQ314159+2B' }],
  [`ENVID=${'x'.repeat(100)}`, { envid: 'x'.repeat(100) }],
  ['AUTH=<>', { submitter: '' }],
  ['AUTH=eve+3Dnews@example.org', { submitter: 'eve=news@example.org' }],
  ['REQUIRETLS', { requireTls: true }],
  ['MT-PRIORITY=0', { priority: 0 }],
  ['MT-PRIORITY=9', { priority: 9 }],
  ['MT-PRIORITY=-9', { priority: -9 }],
  ['BY=120;R', { deliverBy: { at: NOW + 120_000, otherwise: 'return', trace: false } }],
  ['BY=+120;rt', { deliverBy: { at: NOW + 120_000, otherwise: 'return', trace: true } }],
  ['BY=-5;N', { deliverBy: { at: NOW - 5_000, otherwise: 'notify', trace: false } }],
  ['BY=0;NT', { deliverBy: { at: NOW, otherwise: 'notify', trace: true } }],
  ['BY=999999999;R', { deliverBy: { at: NOW + 999_999_999_000, otherwise: 'return', trace: false } }],
  ['HOLDFOR=0', { notBefore: NOW }],
  ['HOLDFOR=2592000', { notBefore: NOW + 2_592_000_000 }],
  ['HOLDUNTIL=2026-01-02T00:00:00Z', { notBefore: NOW + 86_400_000 }],
  ['HOLDUNTIL=2026-01-02t01:00:00.5+01:00', { notBefore: NOW + 86_400_500 }],
  ['HOLDUNTIL=2026-01-31T00:00:00Z', { notBefore: NOW + 2_592_000_000 }],
  ['HOLDUNTIL=1999-12-31T23:59:59Z', { notBefore: NOW }],
  ['BODY=BINARYMIME', { body: 'binarymime' }],
])('MAIL with %s', (parameters, options) => {
  expect(mail(parameters)).toEqual({
    command: { sender: { local: 'ann', domain: 'example.org' }, options, declaredSize: undefined },
  })
})

test.each([
  'RET',
  'RET=ALL',
  'RET=FULL RET=FULL',
  'ENVID',
  'ENVID=',
  'ENVID=a+2b',
  'ENVID=a+',
  'ENVID=a=b',
  'ENVID=a+0D+0A',
  'ENVID=a+7F',
  'ENVID=a+FF',
  'ENVID=jürgen',
  `ENVID=${'x'.repeat(101)}`,
  'ENVID=a ENVID=b',
  'AUTH',
  'AUTH=ann',
  'AUTH=postmaster',
  'AUTH=<ann@example.org>',
  'AUTH=ann@example.org+0D+0A',
  `AUTH=${'x'.repeat(64)}@${'y.'.repeat(240)}example`,
  'AUTH=<> AUTH=<>',
  'REQUIRETLS=yes',
  'REQUIRETLS REQUIRETLS',
  'BY',
  'BY=120',
  'BY=120;X',
  'BY=120;R;T',
  'BY=0;R',
  'BY=-1;R',
  'BY=1234567890;R',
  'BY=1;N BY=1;N',
  'HOLDFOR',
  'HOLDFOR=-1',
  'HOLDFOR=1.5',
  'HOLDFOR=2592001',
  'HOLDFOR=9999999999',
  'HOLDFOR=1 HOLDFOR=1',
  'HOLDFOR=1 HOLDUNTIL=2026-01-02T00:00:00Z',
  'HOLDUNTIL',
  'HOLDUNTIL=tomorrow',
  'HOLDUNTIL=2026-01-02',
  'HOLDUNTIL=2026-01-02T00:00:00',
  'HOLDUNTIL=2026-02-30T00:00:00Z',
  'HOLDUNTIL=2026-13-01T00:00:00Z',
  'HOLDUNTIL=2026-01-02T24:00:00Z',
  'HOLDUNTIL=2026-01-02T00:60:00Z',
  'HOLDUNTIL=2026-01-02T00:00:00+25:00',
  'HOLDUNTIL=2026-01-31T00:00:01Z',
  'BODY=9BIT',
])('MAIL with %s is refused', (parameters) => {
  expect(mail(parameters).refusal).toMatchObject({ code: 501, enhanced: '5.5.4' })
})

test('the submitter named by a client nobody knows is nobody, but its syntax is checked', () => {
  expect(mail('AUTH=eve@example.org', nobodyKnown).command?.options).toEqual({ submitter: '' })
  expect(mail('AUTH=eve', nobodyKnown).refusal).toMatchObject({ code: 501 })
  expect(mail('AUTH=eve@example.org', { ...everything, submitters: 'not offered' }).refusal).toMatchObject({
    code: 555,
  })
})

test.each([
  'MT-PRIORITY',
  'MT-PRIORITY=10',
  'MT-PRIORITY=+3',
  'MT-PRIORITY=-0',
  'MT-PRIORITY=03',
  'MT-PRIORITY=3 MT-PRIORITY=3',
])('MAIL with %s is refused with the code of RFC 6710 §4.1', (parameters) => {
  expect(mail(parameters).refusal).toMatchObject({ code: 501, enhanced: '5.5.2' })
})

test('an unknown parameter is refused, and one that is there in every object of JavaScript too', () => {
  for (const name of ['XSECRET=1', 'constructor=1', 'toString', 'NOTIFY=NEVER']) {
    expect(mail(name).refusal).toMatchObject({ code: 555, enhanced: '5.5.4' })
  }
})

test.each<[string, Partial<RcptCommand>]>([
  ['NOTIFY=never', { notify: ['never'] }],
  ['NOTIFY=SUCCESS,FAILURE,DELAY', { notify: ['success', 'failure', 'delay'] }],
  ['ORCPT=rfc822;Bob+20Smith@example.org', { orcpt: 'rfc822;Bob+20Smith@example.org' }],
  ['ORCPT=X400;whatever NOTIFY=FAILURE', { orcpt: 'X400;whatever', notify: ['failure'] }],
  ['ORCPT=rfc822;j+C3+BCrgen@example.org', { orcpt: 'rfc822;j+C3+BCrgen@example.org' }],
  ['ORCPT=utf-8;j\\x{FC}rgen@example.org', { orcpt: 'utf-8;j\\x{FC}rgen@example.org' }],
])('RCPT with %s', (parameters, command) => {
  expect(rcpt(parameters).command).toEqual({ recipient: { local: 'bob', domain: 'example.org' }, ...command })
})

test.each([
  'NOTIFY',
  'NOTIFY=NEVER,FAILURE',
  'NOTIFY=FAILURE,FAILURE',
  'NOTIFY=FAILURE,',
  'NOTIFY=SOMETIMES',
  'NOTIFY=DELAY NOTIFY=DELAY',
  'ORCPT',
  'ORCPT=bob@example.org',
  'ORCPT=rfc822;',
  'ORCPT=;bob',
  'ORCPT=rfc822;bob+0Ax@example.org',
  'ORCPT=rfc822;bob+2bx@example.org',
  'ORCPT=rfc822;bob+7Fx@example.org',
  'ORCPT=rfc822;bob+C3@example.org',
  'ORCPT=rfc822;bob+C2+85@example.org',
  'ORCPT=rfc822;bob+E2+80+A8@example.org',
  'ORCPT=utf-8;jürgen@example.org',
  `ORCPT=rfc822;${'x'.repeat(494)}`,
  'ORCPT=rfc822;a ORCPT=rfc822;a',
])('RCPT with %s is refused', (parameters) => {
  expect(rcpt(parameters).refusal).toMatchObject({ code: 501, enhanced: '5.5.4' })
})

test('an original recipient as it is written needs SMTPUTF8 and its own address type', () => {
  expect(rcpt('ORCPT=utf-8;jürgen@example.org', 'international').command?.orcpt).toBe('utf-8;jürgen@example.org')
  expect(rcpt('ORCPT=rfc822;jürgen@example.org', 'international').refusal).toMatchObject({ code: 501 })
  expect(rcpt('ORCPT=utf-8;j\u0085@example.org', 'international').refusal).toMatchObject({ code: 501 })
})

test('RCPT has no parameter but these', () => {
  expect(rcpt('SIZE=1').refusal).toMatchObject({ code: 555, enhanced: '5.5.4' })
})
