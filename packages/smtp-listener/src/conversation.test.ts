import { type Reply, reply } from '@mailwright/core'
import { expect, test } from 'vitest'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'

test('a message is taken and answered', async () => {
  const { connect, intake, finish } = await rig()
  const client = await connect()
  await client.transcript(`
    S: 220 mx.example.org ESMTP
    C: EHLO client.example
    S: 250-mx.example.org greets client.example
    S: 250-PIPELINING
    S: 250-SIZE 10000000
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=100
    S: 250 ENHANCEDSTATUSCODES
    C: MAIL FROM:<ann@example.net> SIZE=42 BODY=8BITMIME
    S: 250 2.1.0 sender ok
    C: RCPT TO:<bob@example.org>
    S: 250 2.1.5 recipient ok
    C: DATA
    S: 354 End data with <CR><LF>.<CR><LF>
    C: Subject: hello
    C:
    C: ..dot
    C: .
    S: 250 2.0.0 queued
    C: QUIT
    S: 221 2.0.0 Bye
    S: <closed>
  `)
  expect(intake.messages).toEqual(['Subject: hello\r\n\r\n.dot\r\n'])
  expect(intake.mails).toEqual([
    { sender: { local: 'ann', domain: 'example.net' }, options: { body: '8bitmime' }, declaredSize: 42 },
  ])
  await finish()
})

test('replies of the intake are sent as they stand, several lines and all, and without line breaks of their own', async () => {
  const { greeted, finish } = await rig({
    mail: () => reply(550, '5.7.1', ['no mail', 'from you']),
    helo: () => reply(250, '2.0.0', ['mx.example.org', 'hello\r\n250 there']),
  })
  const client = await greeted()
  expect(await client.says('MAIL FROM:<ann@example.net>\r\n')).toBe('550-5.7.1 no mail\r\n550 5.7.1 from you\r\n')
  expect(await client.says(HELLO)).toContain('250-mx.example.org\r\n250-hello 250 there\r\n250-PIPELINING')
  await finish()
})

test('a reply that was not made by reply() cannot split a line either', async () => {
  const { greeted, finish } = await rig({ mail: (): Reply => ({ code: 550, enhanced: '5.7.1', text: 'a\r\n250 b' }) })
  const client = await greeted()
  expect(await client.says('MAIL FROM:<ann@example.net>\r\n')).toBe('550 5.7.1 a 250 b\r\n')
  await finish()
})

test.each([
  ['x', 494],
  ['ü', 247],
] as const)('a reply that is too long for a line is cut, between characters: %s', async (character, count) => {
  const text = character.repeat(1_000)
  const { greeted, finish } = await rig({ mail: (): Reply => reply(550, '5.7.1', text) })
  const client = await greeted()
  expect(await client.says('MAIL FROM:<ann@example.net>\r\n')).toBe(`550 5.7.1 ${character.repeat(count)}\r\n`)
  await finish()
})

test('commands out of order, unknown, unoffered or badly formed are refused with the right codes', async () => {
  const { connect, intake, finish } = await rig({}, { softErrorLimit: 1_000, hardErrorLimit: 1_000 })
  const client = await connect()
  await client.transcript(`
    S: 220 mx.example.org ESMTP
    C: MAIL FROM:<ann@example.net>
    S: 503 5.5.1 Send EHLO first
    C: EHLO
    S: 501 5.5.4 One host name or address literal is needed
    C: EHLO one two
    S: 501 5.5.4 One host name or address literal is needed
    C: LHLO client.example
    S: 500 5.5.1 This is SMTP: send EHLO
    C: HELO client.example
    S: 250 mx.example.org greets client.example
    C: MAIL FROM:<ann@example.net> SIZE=1
    S: 555 5.5.4 Unsupported parameter
    C: RCPT TO:<bob@example.org>
    S: 503 5.5.1 Send MAIL first
    C: DATA
    S: 503 5.5.1 Send MAIL first
    C: mail from:<>
    S: 250 2.1.0 sender ok
    C: MAIL FROM:<ann@example.net>
    S: 503 5.5.1 A mail transaction is open already
    C: DATA
    S: 554 5.5.1 No valid recipients
    C: DATA now
    S: 501 5.5.4 The command takes no argument
    C: RSET
    S: 250 2.0.0 OK
    C: RCPT TO:<bob@example.org>
    S: 503 5.5.1 Send MAIL first
    C: NOOP whatever
    S: 250 2.0.0 OK
    C: HELP
    S: 214 2.0.0 See RFC 5321
    C: VRFY bob
    S: 252 2.0.0 try it
    C: VRFY
    S: 501 5.5.4 An address is needed
    C: AUTH PLAIN
    S: 502 5.5.1 Command not implemented
    C: STARTTLS
    S: 502 5.5.1 Command not implemented
    C: WIZ
    S: 500 5.5.1 Command not recognized
    C: QUIT now
    S: 501 5.5.4 The command takes no argument
  `)
  expect(intake.calls).toContain('refused starttls 502')
  expect(intake.calls.filter((call) => call === 'reset')).toHaveLength(1)
  await finish()
})

test('nothing of a refused MAIL leaks into the next', async () => {
  let attempts = 0
  const { greeted, intake, finish } = await rig({
    mail: () => (++attempts === 1 ? reply(550, '5.7.1', 'no') : reply(250, '2.1.0', 'ok')),
  })
  const client = await greeted()
  await client.says('MAIL FROM:<ann@example.net> SMTPUTF8 BODY=8BITMIME SIZE=9\r\n')
  await client.says('MAIL FROM:<ann@example.net>\r\n')
  expect(intake.mails[1]).toEqual({ sender: { local: 'ann', domain: 'example.net' }, options: {} })
  expect(await client.says('RCPT TO:<jürgen@example.org>\r\n')).toContain('553 5.6.7')
  await finish()
})

test('an international recipient is for transactions with SMTPUTF8', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  await client.says('MAIL FROM:<ann@example.net> SMTPUTF8\r\n')
  expect(await client.says('RCPT TO:<jürgen@münchen.example>\r\n')).toContain('250 2.1.5')
  expect(intake.calls).toContain('rcpt jürgen@münchen.example')
  await finish()
})

test('a refused recipient does not count, and too many are asked to come in another message', async () => {
  const { greeted, intake, finish } = await rig({
    maxRecipients: 1,
    rcpt: ({ recipient }) =>
      recipient.local === 'nobody' ? reply(550, '5.1.1', 'no such mailbox') : reply(250, '2.1.5', 'ok'),
  })
  const client = await greeted()
  await client.says('MAIL FROM:<ann@example.net>\r\n')
  expect(await client.says('RCPT TO:<nobody@example.org>\r\nDATA\r\n')).toBe(
    '550 5.1.1 no such mailbox\r\n554 5.5.1 No valid recipients\r\n',
  )
  expect(await client.says('RCPT TO:<bob@example.org>\r\nRCPT TO:<bob@example.org>\r\n')).toBe(
    '250 2.1.5 ok\r\n452 4.5.3 Too many recipients\r\n',
  )
  expect(intake.calls).toContain('refused rcpt 452')
  await finish()
})

test('LMTP answers once per accepted recipient, the same address twice included', async () => {
  const { connect, finish } = await rig(
    {
      rcpt: ({ recipient }) =>
        recipient.local === 'nobody' ? reply(550, '5.1.1', 'no such mailbox') : reply(250, '2.1.5', 'ok'),
      end: () => [reply(250, '2.0.0', 'one'), reply(452, '4.2.2', 'full')],
    },
    { protocol: 'lmtp' },
  )
  const client = await connect()
  await client.transcript(`
    S: 220 mx.example.org ESMTP
    C: EHLO client.example
    S: 500 5.5.1 This is LMTP: send LHLO
    C: LHLO client.example
    S: 250-mx.example.org greets client.example
    S: 250-PIPELINING
    S: 250-SIZE 10000000
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=100
    S: 250 ENHANCEDSTATUSCODES
    C: MAIL FROM:<>
    C: RCPT TO:<bob@example.org>
    C: RCPT TO:<nobody@example.org>
    C: RCPT TO:<bob@example.org>
    C: RCPT TO:<eve@example.org>
    C: DATA
    S: 250 2.1.0 sender ok
    S: 250 2.1.5 ok
    S: 550 5.1.1 no such mailbox
    S: 250 2.1.5 ok
    S: 250 2.1.5 ok
    S: 354 End data with <CR><LF>.<CR><LF>
    C: .
    S: 250 2.0.0 one
    S: 452 4.2.2 full
    S: 451 4.3.0 Temporary failure, please try again later
  `)
  await finish()
})

test('SMTP answers once after the dot, however many replies the intake gives', async () => {
  const { greeted, finish } = await rig({ end: () => [reply(250, '2.0.0', 'one'), reply(250, '2.0.0', 'two')] })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('.\r\nNOOP\r\n')).toBe('250 2.0.0 one\r\n250 2.0.0 OK\r\n')
  await finish()
})

test('DATA refused is answered instead of 354, and what was pipelined behind it are commands', async () => {
  const { greeted, intake, finish } = await rig({
    data: () => ({ kind: 'refuse', reply: reply(452, '4.3.1', 'no space') }),
  })
  const client = await greeted()
  expect(await client.says(`${ENVELOPE}DATA\r\nNOOP\r\nRSET\r\n`)).toBe(
    '250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n452 4.3.1 no space\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n',
  )
  expect(intake.messages).toEqual([])
  await finish()
})

test.each([
  [421, '4.7.0'],
  [521, '5.3.2'],
] as const)('a %i of the intake ends the connection', async (code, enhanced) => {
  const { greeted, finish } = await rig({ mail: () => ({ code, enhanced, text: 'go away' }) as Reply })
  const client = await greeted()
  expect(await client.says('MAIL FROM:<ann@example.net>\r\nNOOP\r\n')).toBe(`${code} ${enhanced} go away\r\n`)
  expect(client.closed).toBe(true)
  await finish()
})

test('a greeting that refuses ends the connection', async () => {
  const { connect, finish } = await rig({ greet: () => reply(554, '5.7.1', 'mx.example.org no service for you') })
  const client = await connect()
  expect(await client.heard()).toBe('554 5.7.1 mx.example.org no service for you\r\n')
  expect(client.closed).toBe(true)
  await finish()
})

test('a refused EHLO leaves the client without mail', async () => {
  const { connect, finish } = await rig({ helo: () => reply(550, '5.7.1', 'that is my name') })
  const client = await connect()
  await client.transcript(`
    S: 220 mx.example.org ESMTP
    C: EHLO mx.example.org
    S: 550 5.7.1 that is my name
    C: MAIL FROM:<ann@example.net>
    S: 503 5.5.1 Send EHLO first
  `)
  await finish()
})

test('EHLO ends a transaction', async () => {
  const { greeted, finish } = await rig()
  const client = await greeted()
  await client.says(ENVELOPE)
  await client.says(HELLO)
  expect(await client.says('DATA\r\n')).toBe('503 5.5.1 Send MAIL first\r\n')
  await finish()
})

const boom = (): never => {
  throw new Error('secret path /var/spool')
}
const boomLater = async (): Promise<never> => boom()

test.each([
  ['helo', HELLO],
  ['mail', 'MAIL FROM:<ann@example.net>\r\n'],
  ['rcpt', ENVELOPE],
  ['data', `${ENVELOPE}DATA\r\n`],
  ['write', `${ENVELOPE}DATA\r\nSubject: x\r\n.\r\n`],
  ['end', `${ENVELOPE}DATA\r\nSubject: x\r\n.\r\n`],
] as const)(
  'an intake that throws at %s is a temporary failure without a word about the cause',
  async (stage, input) => {
    for (const failure of [boom, boomLater]) {
      const { connect, events, finish } = await rig({ [stage]: failure })
      const client = await connect()
      const said = await client.says(stage === 'helo' ? input : HELLO + input)
      expect(said).toContain('451 4.3.0 Temporary failure, please try again later\r\n')
      expect(said).not.toContain('secret')
      expect(events.of('failure')).toHaveLength(1)
      expect(await client.says('NOOP\r\n')).toBe('250 2.0.0 OK\r\n')
      await finish()
    }
  },
)

test.each(['greet', 'open'] as const)('an intake that throws at %s turns the client away for now', async (stage) => {
  const { connect, listener, events } = await rig({ [stage]: boom })
  const client = await connect()
  expect(await client.heard()).toBe('421 4.3.0 Temporary failure, please try again later\r\n')
  expect(client.closed).toBe(true)
  expect(events.of('failure')).toHaveLength(1)
  await listener.stop()
})

test('nineteen mistakes are borne, one more is not, and a finished message makes up for all', async () => {
  const { greeted, finish } = await rig({}, { errorSleep: 0 })
  const client = await greeted()
  await client.says('BOGUS\r\n'.repeat(19))
  await client.says(`${ENVELOPE}DATA\r\n`)
  await client.says('.\r\n')
  const said = await client.says(`${'BOGUS\r\n'.repeat(21)}NOOP\r\n`)
  expect(said.match(/^500/gm)).toHaveLength(20)
  expect(said).toMatch(/421 4\.7\.0 Too many errors, closing transmission channel\r\n$/)
  expect(client.closed).toBe(true)
  await finish()
})

test('a client that only makes conversation is sent away', async () => {
  const { greeted, finish } = await rig()
  const client = await greeted()
  const said = await client.says('NOOP\r\nRSET\r\n'.repeat(60))
  expect(said.match(/^250/gm)).toHaveLength(99)
  expect(said).toMatch(/421 4\.7\.0 Too many errors/)
  await finish()
})

test.each(['GET / HTTP/1.1', 'post /mail HTTP/1.0', 'CONNECT mx:25 HTTP/1.1'])(
  'a web browser is sent away at once: %s',
  async (line) => {
    const { connect, intake, finish } = await rig()
    const client = await connect()
    expect(await client.says(`${line}\r\nHost: x\r\n\r\n`)).toContain('\r\n554 5.5.1 This is a mail server\r\n')
    expect(client.closed).toBe(true)
    expect(intake.calls).toEqual(['refused unknown 554'])
    await finish()
  },
)

test('nothing is read after QUIT', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  expect(await client.says(`QUIT\r\n${ENVELOPE}`)).toBe('221 2.0.0 Bye\r\n')
  expect(intake.mails).toEqual([])
  await finish()
})

test('answers that take their time come in order, and the next command waits', async () => {
  const first = Promise.withResolvers<Reply>()
  const { greeted, intake, finish } = await rig({ mail: () => first.promise })
  const client = await greeted()
  expect(await client.says(`${ENVELOPE}NOOP\r\n`)).toBe('')
  expect(intake.calls).not.toContain('rcpt bob@example.org')
  first.resolve(reply(250, '2.1.0', 'at last'))
  expect(await client.heard()).toBe('250 2.1.0 at last\r\n250 2.1.5 recipient ok\r\n250 2.0.0 OK\r\n')
  await finish()
})
