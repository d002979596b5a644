import { type MailEvent, reply } from '@mailwright/core'
import { mailbox, manualClock, recipients, recordedEvents } from '@mailwright/testing'
import { describe, expect, test } from 'vitest'
import { logPostfixLines } from './log-postfix-lines.ts'
import { postfixLines } from './postfix-line.ts'
import { accepted, ID, refused, session, settled } from './testing-support/sample-events.ts'

const AT = Date.UTC(2026, 10, 2, 17, 0, 9)
const ORIGIN = { hostname: 'mx', process: 'mailwright', pid: 42 }

function lines(event: MailEvent): readonly string[] {
  return postfixLines(event, AT, ORIGIN).map((line) => line.replace(/^Nov {2}2 17:00:09 mx mailwright\//, ''))
}

test('an accepted message is client, message-id and queue line, in this order', () => {
  expect(postfixLines(accepted(), AT, ORIGIN)).toEqual([
    `Nov  2 17:00:09 mx mailwright/smtpd[42]: ${ID}: client=unknown[192.0.2.7]`,
    `Nov  2 17:00:09 mx mailwright/cleanup[42]: ${ID}: message-id=<1@example.net>`,
    `Nov  2 17:00:09 mx mailwright/qmgr[42]: ${ID}: from=<sender@example.net>, size=4096, nrcpt=1 (queue active)`,
  ])
})

test('the user who authenticated stands beside the client', () => {
  expect(lines(accepted({ session: session({ user: 'ann' }) }))[0]).toBe(
    `smtpd[42]: ${ID}: client=unknown[192.0.2.7], sasl_username=ann`,
  )
})

test('a message without Message-ID and sender has empty ones', () => {
  const [, messageId, queued] = lines(accepted({ messageId: undefined, sender: null }))
  expect(messageId).toMatch(/message-id=<>$/)
  expect(queued).toContain('from=<>,')
})

test('a delivery names relay, delays, code and answer', () => {
  expect(lines(settled())).toEqual([
    `smtp[42]: ${ID}: to=<ann@example.org>, relay=mx.example.org[192.0.2.9]:25, delay=0.35, ` +
      'delays=0/0.01/0/0.34, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4X)',
  ])
})

test('a local delivery names its transport as the relay', () => {
  const event = settled({
    lane: { transport: 'local', destination: '' },
    outcome: { status: 'ok', action: 'delivered', reply: reply(250, '2.0.0', 'delivered to mailbox') },
    recipient: { id: 1, address: mailbox('ann@example.org'), original: mailbox('info@example.org') },
    delays: { queued: 432_100, attempt: 4 },
  })
  expect(lines(event)[0]).toBe(
    `local[42]: ${ID}: to=<ann@example.org>, orig_to=<info@example.org>, relay=local, delay=432, ` +
      'delays=0/432/0/0, dsn=2.0.0, status=sent (delivered to mailbox)',
  )
})

test('a deferral by a host says so, and one of our own has no relay', () => {
  const remote = { host: 'mx.example.org[192.0.2.9]:25', code: 450, lines: ['4.2.0 greylisted'] }
  const theirs = settled({
    outcome: { status: 'deferred', scope: 'recipient', reply: reply(450, '4.2.0', 'x'), remote },
  })
  expect(lines(theirs)[0]).toMatch(
    /dsn=4\.2\.0, status=deferred \(host mx\.example\.org\[192\.0\.2\.9\]:25 said: 450 4\.2\.0 greylisted\)$/,
  )
  const ours = settled({ outcome: { status: 'failed', reply: reply(550, '5.4.4', 'no host for example.org') } })
  expect(lines(ours)[0]).toMatch(/relay=none, .* dsn=5\.4\.4, status=bounced \(no host for example\.org\)$/)
})

test('a refused recipient is a NOQUEUE reject with the whole envelope', () => {
  expect(lines(refused())).toEqual([
    'smtpd[42]: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.7.1 <bob@example.com>: Relay access denied; ' +
      'from=<sender@example.net> to=<bob@example.com> proto=ESMTP helo=<mx.example.net>',
  ])
})

test.each([
  ['connect', {}, 'CONNECT', '<unknown[192.0.2.7]>'],
  ['helo', {}, 'HELO', '<mx.example.net>'],
  ['mail', { sender: mailbox('sender@example.net') }, 'MAIL', '<sender@example.net>'],
  ['data', { sender: null }, 'DATA', '<DATA>'],
  ['message', { sender: null }, 'END-OF-MESSAGE', '<END-OF-MESSAGE>'],
])('a refusal at %s names what was refused', (stage, given, verb, subject) => {
  const event = refused({ stage, sender: undefined, recipient: undefined, ...given })
  expect(lines(event)[0]).toContain(
    `NOQUEUE: reject: ${verb} from unknown[192.0.2.7]: 550 5.7.1 ${subject}: Relay access denied;`,
  )
})

test('the other lines of a mail log', () => {
  const busy = reply(421, '4.3.2', 'busy')
  const told = (event: MailEvent): readonly string[] => lines(event)
  expect(told({ type: 'message.removed', message: ID })).toEqual([`qmgr[42]: ${ID}: removed`])
  expect(told({ type: 'message.bounced', message: ID, dsn: 'd1', sender: mailbox('a@b.c'), recipients: [] })).toEqual([
    `bounce[42]: ${ID}: sender non-delivery notification: d1`,
  ])
  expect(
    told({ type: 'message.bounced', about: 'delay', message: ID, dsn: 'd1', sender: mailbox('a@b.c'), recipients: [] }),
  ).toEqual([`bounce[42]: ${ID}: sender delay notification: d1`])
  expect(told({ type: 'message.undeliverable', message: ID, recipients: [] })).toHaveLength(1)
  expect(told({ type: 'message.discarded', session: session(), message: ID, policy: 'spam' })).toEqual([
    `cleanup[42]: ${ID}: discard: END-OF-MESSAGE from unknown[192.0.2.7]: spam; proto=ESMTP helo=<mx.example.net>`,
  ])
  expect(
    told({ type: 'connection.refused', client: { address: '192.0.2.7', port: 1 }, reply: busy, reason: 'x' }),
  ).toEqual([
    'smtpd[42]: NOQUEUE: reject: CONNECT from unknown[192.0.2.7]: 421 4.3.2 <unknown[192.0.2.7]>: busy; proto=SMTP',
  ])
  expect(told({ type: 'store.corrupt', message: ID, problem: 'cut' })).toEqual([`qmgr[42]: warning: ${ID}: cut`])
  expect(told({ type: 'store.refusing', reply: busy })).toEqual(['qmgr[42]: warning: 421 4.3.2 busy'])
  expect(told({ type: 'store.refusing', reply: null })).toEqual([])
  expect(told({ type: 'failure', where: 'settling', error: new Error('disk\nfull') })).toEqual([
    'master[42]: warning: settling: disk?full',
  ])
  expect(told({ type: 'session.opened', session: session() })).toEqual([])
})

describe('nothing from outside can split a line', () => {
  const evil = 'x\r\nNov  2 17:00:09 mx mailwright/smtpd[1]: forged\u2028\u0085\u001b[31m\0'
  const everywhere = session({ helo: evil, user: evil, client: { address: evil, port: 1 } })
  const address = { local: evil, domain: evil }
  const remote = { host: evil, code: 550, lines: [evil, evil] }
  // Made without `reply()`, which would clean the text itself.
  const answer = { code: 550, enhanced: '5.0.0', text: [evil, evil] } as const
  const recipient = { id: 1, address, original: { local: `y${evil}`, domain: evil } }
  const lane = { transport: evil, destination: evil }
  const outcomes = [
    { status: 'failed', reply: answer, remote },
    { status: 'failed', reply: answer },
    { status: 'ok', action: 'delivered', reply: { code: 250, enhanced: '2.0.0', text: evil } },
  ] as const
  const attacks: readonly MailEvent[] = [
    accepted({ session: everywhere, sender: address, messageId: evil }),
    ...outcomes.map((outcome) => settled({ recipient, lane, outcome })),
    ...['connect', 'helo', 'mail', 'rcpt', evil].map((stage) =>
      refused({ stage, session: everywhere, sender: address, recipient: address, reply: answer }),
    ),
    refused({ stage: 'mail', session: everywhere, sender: address, recipient: undefined, reply: answer }),
    refused({ stage: 'helo', session: everywhere, sender: undefined, recipient: undefined, reply: answer }),
    { type: 'message.discarded', session: everywhere, message: ID, policy: evil },
    { type: 'connection.refused', client: { address: evil, port: 1 }, reply: answer, reason: evil },
    { type: 'store.corrupt', message: ID, problem: evil },
    { type: 'store.refusing', reply: answer },
    { type: 'failure', where: evil, error: new Error(evil) },
  ]
  test.each(attacks.map((event) => [event.type, event] as const))('in %s', (_type, event) => {
    const written = postfixLines(event, AT, ORIGIN)
    expect(written.length).toBeGreaterThan(0)
    for (const line of written) {
      expect(line).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/)
      expect(line.length).toBeLessThan(10_000)
    }
  })
})

test('a log gives each line to its writer, and stops when told', () => {
  const clock = manualClock('2026-11-22T17:00:00Z')
  const events = recordedEvents(clock)
  const written: string[] = []
  const stop = logPostfixLines(events, (line) => void written.push(line), { hostname: 'my\nhost', pid: 7 })
  events.emit(accepted({ recipients: recipients('a@example.org', 'b@example.org') }))
  stop()
  events.emit(accepted())
  expect(written).toHaveLength(3)
  expect(written[2]).toBe(
    `Nov 22 17:00:00 my?host mailwright/qmgr[7]: ${ID}: from=<sender@example.net>, size=4096, nrcpt=2 (queue active)`,
  )
})
