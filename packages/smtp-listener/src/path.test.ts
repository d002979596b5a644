import { expect, test } from 'vitest'
import { type MailTerms, parseMail, parseRcpt } from './parameters.ts'
import { parsePath } from './path.ts'

const terms: MailTerms = { offers: (it) => it === 'smtputf8', submitters: 'not offered', now: () => 0 }

test.each([
  ['<ann@example.org>', 'ann', 'example.org'],
  ['<Ann@EXAMPLE.org>', 'Ann', 'example.org'],
  ['<"a b"@example.org>', 'a b', 'example.org'],
  ['<"a>b"@example.org>', 'a>b', 'example.org'],
  ['<"a\\"@b"@example.org>', 'a"@b', 'example.org'],
  ['<ann@[192.0.2.1]>', 'ann', '[192.0.2.1]'],
  ['<@one.example,@two.example:ann@example.org>', 'ann', 'example.org'],
  ['<jürgen@münchen.example>', 'jürgen', 'münchen.example'],
  ['<ann@xn--mnchen-3ya.example>', 'ann', 'xn--mnchen-3ya.example'],
  ['<Postmaster>', 'Postmaster', ''],
])('%s is a path', (text, local, domain) => {
  expect(parsePath(text, 0)).toEqual({ mailbox: { local, domain }, parametersAt: text.length })
})

test('<> is the null sender', () => {
  expect(parsePath('<> SIZE=1', 0)).toEqual({ mailbox: null, parametersAt: 3 })
})

test.each([
  '',
  'ann@example.org',
  ' <ann@example.org>',
  '<ann@example.org',
  '<ann@example.org>SIZE=1',
  '<ann>',
  '<ann@>',
  '<@example.org>',
  '<ann@exa mple.org>',
  '<"ann@example.org>',
  '<a@b@example.org>',
  '<@one.example:>',
  '<<ann@example.org>>',
])('%s is no path', (text) => {
  expect(parsePath(text, 0)).toBeUndefined()
})

test.each([
  ['MAIL FROM: <ann@example.org>', 501, '5.5.4'],
  ['MAIL FROM:ann@example.org', 501, '5.5.4'],
  ['MAIL TO:<ann@example.org>', 501, '5.5.4'],
  ['MAIL', 501, '5.5.4'],
  ['MAIL FROM:<ann>', 501, '5.1.7'],
  ['MAIL FROM:<postmaster>', 501, '5.1.7'],
  ['MAIL FROM:<jürgen@example.org>', 553, '5.6.7'],
  ['MAIL FROM:<jürgen@example.org> SIZE=1', 553, '5.6.7'],
  ['MAIL FROM:<a@example.org> SIZE=1 SIZE=2', 501, '5.5.4'],
  ['MAIL FROM:<a@example.org> SIZE', 501, '5.5.4'],
  ['MAIL FROM:<a@example.org> SIZE=-1', 501, '5.5.4'],
  ['MAIL FROM:<a@example.org> SIZE=999999999999999999999', 501, '5.5.4'],
  ['MAIL FROM:<a@example.org> BODY=BINARYMIME', 555, '5.5.4'],
  ['MAIL FROM:<a@example.org> BODY=7BIT body=8bitmime', 501, '5.5.4'],
  ['MAIL FROM:<a@example.org> SMTPUTF8=yes', 501, '5.5.4'],
  ['MAIL FROM:<a@example.org> SMTPUTF8 SMTPUTF8', 501, '5.5.4'],
  ['MAIL FROM:<a@example.org> =1', 501, '5.5.4'],
  ['MAIL FROM:<a@example.org> AUTH=<>', 555, '5.5.4'],
  ['MAIL FROM:<a@example.org> RET=HDRS', 555, '5.5.4'],
  ['MAIL FROM:<a@example.org> REQUIRETLS', 555, '5.5.4'],
])('%s is refused', (line, code, enhanced) => {
  expect(parseMail(line, terms).refusal).toMatchObject({ code, enhanced })
})

test('parameters in any case and order, with blanks between them', () => {
  expect(parseMail('mail from:<>  smtputf8  size=007 Body=7bit', terms)).toEqual({
    command: { sender: null, options: { smtputf8: true, body: '7bit' }, declaredSize: 7 },
  })
})

test.each([
  ['RCPT TO:<>', 501, '5.1.3'],
  ['RCPT TO:<ann>', 501, '5.1.3'],
  ['RCPT TO: <ann@example.org>', 501, '5.5.4'],
  ['RCPT FROM:<ann@example.org>', 501, '5.5.4'],
  ['RCPT TO:<ann@example.org> NOTIFY=NEVER', 555, '5.5.4'],
  ['RCPT TO:<jürgen@example.org>', 553, '5.6.7'],
])('%s is refused', (line, code, enhanced) => {
  expect(parseRcpt(line, 'ascii', terms).refusal).toMatchObject({ code, enhanced })
})

test('the bare postmaster is a recipient', () => {
  expect(parseRcpt('RCPT TO:<postmaster>', 'ascii', terms)).toEqual({
    command: { recipient: { local: 'postmaster', domain: '' } },
  })
})
