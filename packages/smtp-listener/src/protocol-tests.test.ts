/** Clients that mail servers are not like, caught on the live session. */
import { reply } from '@mailwright/core'
import { manualClock } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { type PassedClients, passedClients } from './passed-clients.ts'
import { ProtocolTests } from './protocol-tests.ts'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'

const FROM = '192.0.2.7'

test('half of the greeting is held back, and who waits for it is served', async () => {
  const { connect, clock, finish } = await rig({}, { protocolTests: { earlyTalker: 'drop', greetDelay: '6s' } })
  const client = await connect(FROM)
  expect(await client.heard()).toBe('220-mx.example.org\r\n')
  await clock.advance('5s')
  expect(await client.heard()).toBe('')
  await clock.advance('1s')
  expect(await client.heard()).toBe('220 mx.example.org ESMTP\r\n')
  expect(await client.says(HELLO)).toContain('250')
  expect(await (await connect('127.0.0.1')).heard()).toBe('220 mx.example.org ESMTP\r\n')
  await finish()
})

test('an early talker is sent away where that is the action', async () => {
  const { connect, intake, finish } = await rig({}, { protocolTests: { earlyTalker: 'drop', greetDelay: '6s' } })
  const client = await connect(FROM)
  expect(await client.says(HELLO)).toBe(
    '220-mx.example.org\r\n554 5.5.1 Protocol error: you spoke before the greeting\r\n',
  )
  expect(client.closed).toBe(true)
  expect(intake.calls).toEqual(['refused connect 554'])
  await finish()
})

test('an early talker is refused every recipient, and the operator sees whom the mail was for', async () => {
  const { connect, clock, intake, finish } = await rig(
    {},
    { protocolTests: { earlyTalker: 'enforce', greetDelay: '6s' } },
  )
  const client = await connect(FROM)
  expect(await client.says(HELLO)).toBe('220-mx.example.org\r\n')
  await clock.advance('6s')
  expect(await client.heard()).toMatch(/^220 mx.example.org ESMTP\r\n250-/)
  expect(await client.says(ENVELOPE)).toBe('250 2.1.0 sender ok\r\n550 5.5.1 Protocol error\r\n')
  expect(intake.calls).toEqual([
    'refused connect 550 early talker',
    'ehlo client.example',
    'mail ann@example.net',
    'refused rcpt 550 early talker',
  ])
  await finish()
})

test('an early talker that is ignored is served, and reported', async () => {
  const { connect, clock, intake, finish } = await rig(
    {},
    { protocolTests: { earlyTalker: 'ignore', greetDelay: '6s' } },
  )
  const client = await connect(FROM)
  await client.says(HELLO)
  await clock.advance('6s')
  expect(await client.says(`${ENVELOPE}DATA\r\n`)).toContain('354')
  expect(intake.calls[0]).toBe('refused connect 550 early talker')
  await finish()
})

test('a client that leaves while it waits for the greeting leaves nothing behind', async () => {
  const { connect, finish } = await rig({}, { protocolTests: { earlyTalker: 'drop', greetDelay: '6s' } })
  const client = await connect(FROM)
  await client.heard()
  client.wire.destroy()
  await finish()
})

test.each([
  ['behind EHLO', `${HELLO}MAIL FROM:<ann@example.net>\r\n`],
  ['behind HELO', 'HELO client.example\r\nMAIL FROM:<ann@example.net>\r\n'],
  ['in a session without EHLO', ['HELO client.example\r\n', ENVELOPE]],
  ['behind NOOP', [HELLO, 'NOOP\r\nMAIL FROM:<ann@example.net>\r\n']],
  ['as a message behind DATA', [HELLO, `${ENVELOPE}DATA\r\nhello\r\n.\r\n`]],
])('a client that does not wait where it has to is dropped: %s', async (_where, said) => {
  const { connect, intake, finish } = await rig({}, { protocolTests: { pipelining: 'drop' } })
  const client = await connect(FROM)
  let heard = await client.heard()
  for (const text of [said].flat()) heard = await client.says(text)
  expect(heard).toMatch(/521 5\.5\.1 Protocol error\r\n$/)
  expect(client.closed).toBe(true)
  expect(intake.calls.join()).toContain('521 command pipelining')
  expect(intake.messages).toEqual([])
  await finish()
})

test('pipelining as it is allowed is fine, also when answers take their time', async () => {
  const { connect, intake, finish } = await rig(
    { rcpt: async () => reply(250, '2.1.5', 'ok'), end: async () => [reply(250, '2.0.0', 'queued')] },
    { protocolTests: { pipelining: 'drop', bareNewline: 'drop' } },
  )
  const client = await connect(FROM)
  await client.says(HELLO)
  for (let message = 0; message < 2; message++) {
    expect(await client.says(`RSET\r\n${ENVELOPE}DATA\r\n`)).toContain('354')
    expect(await client.says(`hi\r\n.\r\n${ENVELOPE}`)).toContain('queued')
  }
  expect(await client.says('QUIT\r\n')).toBe('221 2.0.0 Bye\r\n')
  expect(intake.calls.join()).not.toContain('refused')
  await finish()
})

test('a bare newline is refused as ever, and recipients with it where that is asked for', async () => {
  const { connect, intake, finish } = await rig({}, { protocolTests: { bareNewline: 'enforce' } })
  const client = await connect(FROM)
  await client.says(HELLO)
  expect(await client.says('NOOP\n')).toBe('500 5.5.2 bare <LF> received\r\n')
  expect(await client.says(ENVELOPE)).toContain('550 5.5.1 Protocol error')
  expect(intake.calls).toContain('refused rcpt 550 bare newline')
  await finish()
})

const REQUEST = 'POST / HTTP/1.1\r\n'

test.each([[undefined], [{}], [{ otherProtocol: 'drop' }]] as const)(
  'a request in HTTP is hung up on, with the tests %j',
  async (protocolTests) => {
    const { connect, intake, finish } = await rig({}, protocolTests === undefined ? {} : { protocolTests })
    const client = await connect(FROM)
    await client.heard()
    expect(await client.says(`${REQUEST}${HELLO}`)).toBe('554 5.5.1 This is a mail server\r\n')
    expect(client.closed).toBe(true)
    expect(intake.calls).toEqual(['refused unknown 554'])
    await finish()
  },
)

test('a request in HTTP and commands in its body: every recipient is refused where that is the action', async () => {
  const { connect, intake, finish } = await rig({}, { protocolTests: { otherProtocol: 'enforce' } })
  const client = await connect(FROM)
  await client.heard()
  expect(await client.says(REQUEST)).toBe('500 5.5.1 Command not recognized\r\n')
  await client.says(HELLO)
  expect(await client.says(ENVELOPE)).toBe('250 2.1.0 sender ok\r\n550 5.5.1 Protocol error\r\n')
  expect(intake.calls[0]).toBe('refused unknown 550 other protocol')
  expect(intake.calls).toContain('refused rcpt 550 other protocol')
  await finish()
})

test('a request in HTTP that is ignored is reported, and is a command like any that is unknown', async () => {
  const { connect, intake, finish } = await rig({}, { protocolTests: { otherProtocol: 'ignore' } })
  const client = await connect(FROM)
  await client.heard()
  expect(await client.says(REQUEST)).toBe('500 5.5.1 Command not recognized\r\n')
  await client.says(HELLO)
  expect(await client.says(ENVELOPE)).toBe('250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n')
  expect(intake.calls[0]).toBe('refused unknown 550 other protocol')
  await finish()
})

test('a client that has passed neither waits nor is tested again, for as long as that is good', async () => {
  const clock = manualClock()
  const passed = passedClients(clock)
  const protocolTests = { earlyTalker: 'drop', pipelining: 'drop', greetDelay: '6s', passed } as const
  const { connect, clock: rigClock, finish } = await rig({}, { protocolTests })
  const first = await connect(FROM)
  await rigClock.advance('6s')
  await first.says(HELLO)
  await first.says(`${ENVELOPE}DATA\r\n`)
  await first.says('hi\r\n.\r\n')
  await first.says('QUIT\r\n')
  const second = await connect(FROM)
  expect(await second.heard()).toBe('220 mx.example.org ESMTP\r\n')
  expect(await second.says(`${HELLO}${ENVELOPE}`)).toContain('recipient ok')
  expect(await (await connect('192.0.2.8')).heard()).toBe('220-mx.example.org\r\n')
  await clock.advance('25h')
  expect(await (await connect(FROM)).heard()).toBe('220-mx.example.org\r\n')
  await finish()
})

test('who only says hello has not passed the tests of a whole message', async () => {
  const passed = passedClients(manualClock())
  const { connect, finish } = await rig({}, { protocolTests: { earlyTalker: 'drop', pipelining: 'drop', passed } })
  const client = await connect(FROM)
  await client.says(HELLO)
  await client.says('QUIT\r\n')
  expect([...(await passed.of(FROM))]).toEqual(['earlyTalker'])
  await finish()
})

test.each([
  [
    'throws',
    (): never => {
      throw new Error('no cache')
    },
  ],
  ['fails', async (): Promise<never> => Promise.reject(new Error('no cache'))],
  ['never answers', (): Promise<never> => new Promise(() => {})],
])('a cache that %s makes nobody pass and keeps nobody out', async (_what, of) => {
  const passed: PassedClients = { of, note: () => Promise.reject(new Error('no cache')) }
  const { connect, clock, finish } = await rig({}, { protocolTests: { earlyTalker: 'drop', greetDelay: '6s', passed } })
  const client = await connect(FROM)
  expect(await client.heard()).toBe('220-mx.example.org\r\n')
  await clock.advance('6s')
  expect(await client.heard()).toContain('220 mx.example.org ESMTP')
  await client.says(HELLO)
  await client.says('QUIT\r\n')
  await finish()
})

test('so many clients are remembered and no more', () => {
  const passed = passedClients(manualClock(), { most: 3 })
  const later = manualClock().now() + 1_000
  for (const address of ['a', 'b', 'c']) passed.note(address, 'pipelining', later)
  passed.of('a')
  passed.note('d', 'pipelining', later)
  expect(['a', 'b', 'c', 'd'].map((address) => [...(passed.of(address) as ReadonlySet<string>)])).toEqual([
    ['pipelining'],
    [],
    ['pipelining'],
    ['pipelining'],
  ])
})

test('octets behind BDAT need not wait for a reply, a message behind DATA does', () => {
  const tests = new ProtocolTests({ pipelining: 'drop' })
  tests.command('EHLO client.example', 'answered')
  tests.command('MAIL FROM:<ann@example.net>', 'answered')
  for (const line of ['RCPT TO:<bob@example.org>', 'BDAT 5']) tests.command(line, 'unanswered')
  expect(tests.data('unanswered')).toBeUndefined()
  expect(tests.command('BDAT 0 LAST', 'unanswered')).toBeUndefined()
  expect(tests.passed()).toEqual(['pipelining'])
  tests.command('DATA', 'answered')
  expect(tests.data('unanswered')).toMatchObject({ action: 'drop', reply: { code: 521 } })
  expect(tests.data('unanswered')).toBeUndefined()
  expect(tests.passed()).toEqual([])
})
