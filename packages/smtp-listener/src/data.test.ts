import { type DataAnswer, type Reply, reply } from '@mailwright/core'
import { settle } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'

const DIALOGUE = `${HELLO}${ENVELOPE}DATA\r\n`

test('a whole session in one packet gets one reply each, in order', async () => {
  const { connect, intake, finish } = await rig()
  const client = await connect()
  await client.heard()
  const said = await client.says(`${DIALOGUE}one\r\n.\r\n${ENVELOPE}DATA\r\ntwo\r\n.\r\nQUIT\r\n`)
  const last = said.slice(said.indexOf('250 2.1.0'))
  expect(last.match(/^\d{3}/gm)).toEqual(['250', '250', '354', '250', '250', '250', '354', '250', '221'])
  expect(intake.messages).toEqual(['one\r\n', 'two\r\n'])
  await finish()
})

test('a session that comes byte by byte is the same session', async () => {
  const { connect, intake, finish } = await rig()
  const client = await connect()
  await client.heard()
  let said = ''
  for (const character of `${DIALOGUE}..one\r\n.two\r\n.\r\nQUIT\r\n`) {
    client.wire.write(character)
    said += await client.heard()
  }
  expect(said.match(/^\d{3} /gm)).toEqual(['250 ', '250 ', '250 ', '354 ', '250 ', '221 '])
  expect(intake.messages).toEqual(['.one\r\ntwo\r\n'])
  await finish()
})

const NOT_THE_END = [
  ['LF . LF', '\n.\n'],
  ['LF . CRLF', '\n.\r\n'],
  ['CRLF . LF', '\r\n.\n'],
  ['CR . CR', '\r.\r'],
  ['CR . CRLF', '\r.\r\n'],
  ['CRLF . CR', '\r\n.\r'],
  ['LF . CR', '\n.\r'],
  ['CR . LF', '\r.\n'],
  ['CRLF NUL . CRLF', '\r\n\0.\r\n'],
  ['CRLF . NUL CRLF', '\r\n.\0\r\n'],
] as const
const THE_END = [
  ['CRLF . CRLF', '\r\n.\r\n'],
  ['CR CRLF . CRLF', '\r\r\n.\r\n'],
] as const

for (const pieces of ['at once', 'byte by byte'] as const) {
  test.each(NOT_THE_END)(
    `%s is no end of data, ${pieces}: nothing can be smuggled behind it`,
    async (_name, sequence) => {
      const { greeted, intake, finish } = await rig()
      const client = await greeted()
      await client.says(`${ENVELOPE}DATA\r\n`)
      const input = `first${sequence}MAIL FROM:<evil@example>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nsecond\r\n.\r\n`
      for (const piece of pieces === 'at once' ? [input] : input) client.wire.write(piece)
      expect(await client.heard()).toBe('250 2.0.0 queued\r\n')
      expect(intake.mails).toHaveLength(1)
      expect(intake.messages).toHaveLength(1)
      await finish()
    },
  )

  test.each(THE_END)(`%s is the end of data, ${pieces}`, async (_name, sequence) => {
    const { greeted, intake, finish } = await rig()
    const client = await greeted()
    await client.says(`${ENVELOPE}DATA\r\n`)
    const input = `first${sequence}NOOP\r\n`
    for (const piece of pieces === 'at once' ? [input] : input) client.wire.write(piece)
    expect(await client.heard()).toBe('250 2.0.0 queued\r\n250 2.0.0 OK\r\n')
    expect(intake.messages).toEqual([`first${sequence.slice(0, -3)}`])
    await finish()
  })
}

test('an empty message is a message', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('.\r\n')).toBe('250 2.0.0 queued\r\n')
  expect(intake.messages).toEqual([''])
  await finish()
})

test('commands behind the final dot wait for the reply to the message', async () => {
  const stored = Promise.withResolvers<readonly Reply[]>()
  const { greeted, intake, finish } = await rig({ end: () => stored.promise })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says(`hello\r\n.\r\n${ENVELOPE}`)).toBe('')
  expect(intake.mails).toHaveLength(1)
  stored.resolve([reply(250, '2.0.0', 'durable')])
  expect(await client.heard()).toBe('250 2.0.0 durable\r\n250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n')
  await finish()
})

test('a sink that asks to wait stops the client', async () => {
  let release = (): void => {}
  let taken = 0
  const { greeted, intake, finish } = await rig({
    write: (chunk) => {
      taken += chunk.length
      return new Promise((resolve) => {
        release = resolve
      })
    },
  })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  let sent = 0
  let stopped = false
  // The wire's own buffers fill up, and then the client cannot write any more.
  for (let block = 0; block < 200 && !stopped; block++) {
    stopped = !client.wire.write(Buffer.alloc(16_384, 'x'))
    sent += 16_384
    await client.heard()
  }
  expect(stopped).toBe(true)
  expect(taken).toBeLessThan(200_000)
  client.wire.write('\r\n.\r\n')
  while (intake.messages.length === 0) {
    release()
    await settle()
  }
  expect(intake.messages[0]).toHaveLength(sent + 2)
  expect(await client.says('NOOP\r\n')).toBe('250 2.0.0 queued\r\n250 2.0.0 OK\r\n')
  await finish()
})

test('a message of many stuffed dots reaches the sink in few pieces', async () => {
  let pieces = 0
  const { greeted, intake, finish } = await rig({
    write: () => {
      pieces++
    },
  })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  await client.says(`${'..x\r\n'.repeat(10_000)}.\r\n`)
  expect(intake.messages[0]).toBe('.x\r\n'.repeat(10_000))
  expect(pieces).toBeLessThan(20)
  await finish()
})

test('after a failure of the sink the rest of the message is not taken for commands', async () => {
  const { greeted, intake, finish } = await rig({
    write: () => {
      throw new Error('disk')
    },
  })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('Subject: x\r\n')).toBe('')
  expect(await client.says('RSET\r\n.\r\n')).toBe('451 4.3.0 Temporary failure, please try again later\r\n')
  expect(intake.calls.filter((call) => call === 'abort' || call === 'reset')).toEqual(['abort'])
  await finish()
})

test.each([
  ['at once', (): void => {}],
  ['after a wait', async (): Promise<void> => {}],
] as const)('a message that is hopeless is answered and cut off; its sink takes its bytes %s', async (_how, write) => {
  const tooLarge = reply(552, '5.3.4', 'far too large')
  const { greeted, intake, clock, finish } = await rig({
    write,
    hopeless: (size) => (size > 1_000 ? tooLarge : undefined),
  })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('x'.repeat(900))).toBe('')
  expect(await client.says('x'.repeat(900))).toBe('552 5.3.4 far too large\r\n')
  expect(client.closed).toBe(true)
  expect(intake.calls.slice(-3)).toEqual(['data', 'refused message 552', 'abort'])
  // A client that writes on is not listened to for ever.
  client.wire.write(`${'x'.repeat(900)}\r\n.\r\n${ENVELOPE}`)
  await clock.advance('10s')
  expect(intake.messages).toEqual([])
  expect(intake.mails).toHaveLength(1)
  await finish()
})

test('a client that vanishes within the data leaves nothing behind', async () => {
  const { greeted, intake, finish } = await rig()
  for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const client = await greeted()
    await client.says(`${ENVELOPE}DATA\r\nSubject: half`)
    const wire = client.wire as unknown as Record<typeof leave, () => void>
    wire[leave]()
    await client.heard()
  }
  expect(intake.calls.filter((call) => call === 'abort')).toHaveLength(3)
  expect(intake.messages).toEqual([])
  await finish()
})

test('a place for the message that is given after the client has gone is given back', async () => {
  const given = Promise.withResolvers<DataAnswer>()
  const calls: string[] = []
  const { greeted, finish } = await rig({ data: () => given.promise })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  client.wire.destroy()
  await client.heard()
  given.resolve({
    kind: 'go',
    body: { write: () => {}, hopeless: () => undefined, end: () => [], abort: () => void calls.push('abort') },
  })
  await client.heard()
  expect(calls).toEqual(['abort'])
  await finish()
})

test.each(['mail', 'rcpt', 'end'] as const)(
  'an answer at %s that comes after the client has gone harms nobody',
  async (stage) => {
    const late = Promise.withResolvers<never>()
    const { greeted, intake, events, finish } = await rig({ [stage]: () => late.promise })
    const client = await greeted()
    await client.says(`${ENVELOPE}DATA\r\n`)
    if (stage === 'end') await client.says('hi\r\n.\r\n')
    client.wire.destroy()
    await client.heard()
    expect(intake.closed).toBe(1)
    late.resolve((stage === 'end' ? [reply(250, '2.0.0', 'ok')] : reply(250, '2.0.0', 'ok')) as never)
    await client.heard()
    expect(events.of('failure')).toEqual([])
    await finish()
  },
)
