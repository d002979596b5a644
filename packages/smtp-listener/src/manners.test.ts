/** Errors of a client: slowed down, then sent away. */
import { reply } from '@mailwright/core'
import { expect, test } from 'vitest'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'

const unknown = { rcpt: () => reply(550, '5.1.1', 'no such user') }

test('from the tenth error on each reply takes a second, and other clients wait for nothing', async () => {
  const { greeted, clock, finish } = await rig()
  const client = await greeted()
  const other = await greeted()
  expect((await client.says('BOGUS\r\n'.repeat(12))).match(/^500/gm)).toHaveLength(10)
  expect(await client.heard()).toBe('')
  expect(await other.says('NOOP\r\n')).toBe('250 2.0.0 OK\r\n')
  await clock.advance(999)
  expect(await client.heard()).toBe('')
  await clock.advance(1)
  expect(await client.heard()).toBe('500 5.5.1 Command not recognized\r\n')
  await clock.advance('1s')
  expect(await client.heard()).toBe('500 5.5.1 Command not recognized\r\n')
  expect(await client.says('NOOP\r\n')).toBe('')
  await clock.advance('1s')
  expect(await client.heard()).toBe('250 2.0.0 OK\r\n')
  await finish()
})

test.each([
  ['at once', unknown],
  ['later', { rcpt: async () => unknown.rcpt() }],
])('one connection cannot try unknown users without end, refused %s', async (_when, script) => {
  const { greeted, clock, intake, finish } = await rig(script)
  const client = await greeted()
  client.wire.write(`MAIL FROM:<ann@example.net>\r\n${'RCPT TO:<guess@example.org>\r\n'.repeat(50)}`)
  await clock.advance('15s')
  const said = await client.heard()
  expect(said.match(/^550/gm)).toHaveLength(20)
  expect(said).toMatch(/\r\n421 4\.7\.0 Too many errors, closing transmission channel\r\n$/)
  expect(client.closed).toBe(true)
  expect(intake.calls.filter((call) => call.startsWith('rcpt'))).toHaveLength(20)
  expect(intake.calls.at(-1)).toBe('refused rcpt 421')
  await finish()
})

test('refusals of the intake do not count where that is asked for', async () => {
  const { greeted, finish } = await rig(unknown, { errors: 'own' })
  const client = await greeted()
  const said = await client.says(`MAIL FROM:<ann@example.net>\r\n${'RCPT TO:<guess@example.org>\r\n'.repeat(50)}`)
  expect(said.match(/^550/gm)).toHaveLength(50)
  await finish()
})

test('a message that comes through makes up for errors, and ends the slowness; a refused one is an error more', async () => {
  let verdict = reply(550, '5.7.1', 'spam') as ReturnType<typeof reply>
  const { greeted, clock, finish } = await rig({ end: () => [verdict] }, { softErrorLimit: 2, hardErrorLimit: 4 })
  const client = await greeted()
  expect(await client.says('BOGUS\r\n')).toContain('500')
  expect(await client.says(`${ENVELOPE}DATA\r\n`)).toContain('354')
  expect(await client.says('x\r\n.\r\n')).toBe('550 5.7.1 spam\r\n')
  expect(await client.says('NOOP\r\n')).toBe('')
  await clock.advance('1s')
  expect(await client.heard()).toContain('250')
  verdict = reply(250, '2.0.0', 'queued')
  client.wire.write(`${ENVELOPE}DATA\r\n`)
  await clock.advance('4s')
  expect(await client.heard()).toContain('354')
  expect(await client.says('x\r\n.\r\n')).toBe('250 2.0.0 queued\r\n')
  expect(await client.says('BOGUS\r\n')).toContain('500')
  expect(await client.says('NOOP\r\n')).toContain('250')
  await finish()
})

test('a client that vanishes while its reply is held back leaves nothing behind', async () => {
  const { greeted, finish } = await rig({}, { softErrorLimit: 1 })
  const client = await greeted()
  client.wire.write('BOGUS\r\nBOGUS\r\nBOGUS\r\n')
  await client.heard()
  client.wire.destroy()
  await finish()
})

test('QUIT is answered at once even then', async () => {
  const { greeted, finish } = await rig({}, { softErrorLimit: 1 })
  const client = await greeted()
  await client.says('BOGUS\r\n')
  expect(await client.says('QUIT\r\n')).toBe('221 2.0.0 Bye\r\n')
  await finish()
})

test('many recipients over the limit are no error until there are a thousand', async () => {
  const { connect, finish } = await rig({ maxRecipients: 1 }, { errorSleep: 0 })
  const client = await connect()
  await client.says(HELLO)
  const said = await client.says(`${ENVELOPE}${'RCPT TO:<eve@example.org>\r\n'.repeat(1_030)}`)
  expect(said.match(/^452/gm)).toHaveLength(1_020)
  expect(said).toMatch(/421 4\.7\.0/)
  await finish()
})
