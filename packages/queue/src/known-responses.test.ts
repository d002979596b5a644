import type { ResponseCategory } from '@mailwright/core'
import { deferred, failed } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { responseReader } from './classification.ts'
import { knownResponses } from './known-responses.ts'

const { read } = responseReader(knownResponses, {}, () => expect.unreachable())

/** What an answer like this one is taken for. */
function categoryOf(line: string): ResponseCategory {
  const [, code, enhanced, text] = /^(\d{3})(?: (\d\.\d{1,3}\.\d{1,3}))? (.*)$/.exec(line)!
  const remote = { host: 'mx', code: Number(code), lines: [enhanced === undefined ? text! : `${enhanced} ${text}`] }
  const outcome = line.startsWith('4') ? deferred('451') : failed('554')
  return read({ ...outcome, remote: enhanced === undefined ? remote : { ...remote, enhanced } }).category
}

describe('an answer', () => {
  it.each<readonly [ResponseCategory, string]>([
    ['unknown-recipient', '550 5.1.1 The email account that you tried to reach does not exist.'],
    ['unknown-recipient', '550 5.1.1 <spam@example.org>: Recipient address rejected: User unknown'],
    ['unknown-recipient', '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'],
    ['unknown-recipient', '550 5.4.1 Recipient address rejected: Access denied.'],
    ['unknown-recipient', '554 delivery error: dd This user does not have a yahoo.com account: no such user'],
    ['unknown-recipient', '550 5.2.1 The email account that you tried to reach is disabled.'],
    ['unknown-recipient', '550 mailbox unavailable: user unknown'],
    ['unknown-domain', '556 5.1.10 Domain takes no mail'],
    ['unknown-domain', '550 5.1.2 Host unknown'],
    ['unknown-domain', '550 5.4.4 Unable to route'],
    ['mailbox-full', '452 4.2.2 The recipient inbox is out of storage space.'],
    ['mailbox-full', '552 5.2.2 over quota'],
    ['mailbox-full', '550 mailbox is full'],
    ['mailbox-full', '554 5.0.0 user exceeded mailbox quota'],
    ['rate', '450 4.2.1 The user you are trying to contact is receiving mail too quickly.'],
    ['rate', '421 4.7.28 Our system has detected an unusual rate of unsolicited mail'],
    ['rate', '421 4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP address.'],
    ['rate', '451 4.7.500 Server busy. Please try again later from [192.0.2.1].'],
    ['rate', '451 4.7.651 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.'],
    ['rate', '421 4.3.2 The maximum number of concurrent connections has exceeded a limit'],
    ['rate', '432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded'],
    ['rate', '421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume'],
    ['rate', '421 4.4.5 Server busy, try again later.'],
    ['rate', '421 too many connections from your host'],
    ['rate', '550 5.2.121 Recipient’s hourly message receive limit exceeded'],
    ['greylist', '450 4.2.0 <ann@example.org>: Recipient address rejected: Greylisted, see http://postgrey.example'],
    ['greylist', '451 4.7.1 Greylisting in action, please come back later'],
    ['greylist', '550 gray-listed; try in 5 minutes'],
    ['block', '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org'],
    ['block', '550 5.7.606 Access denied, banned sending IP [192.0.2.1]'],
    ['block', '553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1'],
    ['block', '550 5.7.1 Unfortunately, messages from [192.0.2.1] were not sent (S3140).'],
    ['block', '421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred'],
    ['spam', '550 5.7.1 Our system has detected that this message is likely unsolicited mail.'],
    ['spam', '554 5.7.0 message looks like SPAM'],
    ['auth', '550 5.7.26 This mail has been blocked because the sender is unauthenticated.'],
    ['auth', '421 4.7.27 rate limited because SPF did not pass'],
    ['auth', '421 4.7.30 rate limited because DKIM did not pass'],
    ['auth', '550 5.7.515 Access denied, sending domain does not meet the required authentication level'],
    ['auth', '554 5.7.9 Message not accepted for policy reasons.'],
    ['auth', '550 5.7.23 SPF validation failed'],
    ['auth', '530 5.7.0 Authentication Required'],
    ['tls', '550 5.7.10 Encryption needed'],
    ['tls', '421 4.7.29 rate limited because this mail was not sent over a TLS connection'],
    ['tls', '550 5.7.30 REQUIRETLS support required'],
    ['tls', '451 4.7.323 tlsa-invalid'],
    ['tls', '421 4.7.0 TLS required for RCPT domain'],
    ['content', '552 5.3.4 Message too big for system'],
    ['content', '550 5.6.0 headers are not RFC 5322'],
    ['content', '552 5.7.0 This message was blocked because its content presents a malware risk'],
    ['policy', '550 5.7.1 Relaying denied'],
    ['policy', '450 4.1.8 <ann@example.net>: Sender address rejected: Domain not found'],
    ['policy', '452 4.5.3 Your message has too many recipients'],
    ['network', '451 4.4.1 cannot connect to mx.example.org[192.0.2.25]:25'],
    ['network', '421 Service not available'],
    ['other', '451 4.3.0 Mail server temporarily rejected message.'],
    ['other', '550 5.4.6 loops back to myself'],
    ['other', '554 transaction failed'],
  ])('is about %s: %s', (category, line) => {
    expect(categoryOf(line)).toBe(category)
  })

  it('is not read from numbers in its text', () => {
    expect(categoryOf('451 cannot take mail from 10.4.2.2 now')).toBe('other')
    expect(categoryOf('550 5.1.1.7 is our version')).toBe('other')
  })
})

it('no pattern takes long over an answer made to keep it busy', () => {
  const started = performance.now()
  for (const piece of ['a ', 'user ', 'domain ', 'exceed ', 'poor reputation'.slice(0, 5), '5.7.1 ', 'listed '])
    categoryOf(`550 ${piece.repeat(1_000)}`)
  expect(performance.now() - started).toBeLessThan(2_000)
})
