import { type DataAnswer, type Reply, reply } from '@mailwright/core'
import { settle } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'

const ACCEPTED = '250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n'

/** A chunk whose octets look like commands and ends of data. */
const NASTY = 'RSET\r\n.\r\nQUIT\r\nMAIL FROM:<evil@example>\r\n\n.\n\0\r..dot'

test('a message in chunks reaches the sink octet for octet, and each chunk is answered', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  await client.says(ENVELOPE)
  expect(await client.says(`BDAT ${NASTY.length}\r\n${NASTY}`)).toBe(`250 2.0.0 ${NASTY.length} octets received\r\n`)
  expect(await client.says('bdat 3 last\r\n..x')).toBe('250 2.0.0 queued\r\n')
  expect(intake.messages).toEqual([`${NASTY}..x`])
  expect(intake.calls).toEqual(['ehlo client.example', 'mail ann@example.net', 'rcpt bob@example.org', 'bdat', 'end'])
  expect(await client.says('NOOP\r\n')).toBe('250 2.0.0 OK\r\n')
  await finish()
})

const SESSION = `${ENVELOPE}BDAT 5\r\nhelloBDAT 0\r\nBDAT 7\r\n\r\nRSET\rBDAT 0 LAST\r\n${ENVELOPE}BDAT 2 LAST\r\nhiNOOP\r\n`
const ANSWERS = `${ACCEPTED}250 2.0.0 5 octets received
250 2.0.0 0 octets received
250 2.0.0 7 octets received
250 2.0.0 queued
${ACCEPTED}250 2.0.0 queued
250 2.0.0 OK
`.replace(/\r?\n/g, '\r\n')

test.each(['at once', 'byte by byte'])('pipelined chunks are answered in order; they come %s', async (how) => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  let said = ''
  for (const piece of how === 'at once' ? [SESSION] : SESSION) {
    client.wire.write(piece)
    said += await client.heard()
  }
  expect(said).toBe(ANSWERS)
  expect(intake.messages).toEqual(['hello\r\nRSET\r', 'hi'])
  await finish()
})

test('an empty message of one empty chunk is a message', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  expect(await client.says(`${ENVELOPE}BDAT 0 LAST\r\n`)).toBe(`${ACCEPTED}250 2.0.0 queued\r\n`)
  expect(intake.messages).toEqual([''])
  await finish()
})

test('answers that take their time: no octet is read as a command meanwhile', async () => {
  const place = Promise.withResolvers<undefined>()
  const stored = Promise.withResolvers<readonly Reply[]>()
  const taken: string[] = []
  const { greeted, intake, finish } = await rig({
    data: () =>
      place.promise.then(
        (): DataAnswer => ({
          kind: 'go',
          body: {
            write: async (chunk) => void taken.push(Buffer.from(chunk).toString()),
            hopeless: () => undefined,
            end: () => stored.promise,
            abort: () => {},
          },
        }),
      ),
  })
  const client = await greeted()
  expect(await client.says(`${ENVELOPE}BDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n`)).toBe('')
  place.resolve(undefined)
  expect(await client.heard()).toBe('')
  stored.resolve([reply(250, '2.0.0', 'durable')])
  expect(await client.heard()).toBe(`${ACCEPTED}250 2.0.0 6 octets received\r\n250 2.0.0 durable\r\n250 2.0.0 OK\r\n`)
  expect(taken).toEqual(['RSET\r\n', 'QUIT\r\n'])
  expect(intake.calls).not.toContain('reset')
  await finish()
})

test('a sink that asks to wait stops a client that sends a chunk', async () => {
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
  const size = 200 * 16_384
  await client.says(`${ENVELOPE}BDAT ${size} LAST\r\n`)
  let sent = 0
  while (sent < size) {
    const more = client.wire.write(Buffer.alloc(16_384, 'x'))
    sent += 16_384
    await client.heard()
    if (!more) break
  }
  expect(sent).toBeLessThan(size)
  expect(taken).toBeLessThan(200_000)
  client.wire.write(Buffer.alloc(size - sent, 'x'))
  while (intake.messages.length === 0) {
    release()
    await settle()
  }
  expect(intake.messages[0]).toHaveLength(size)
  expect(await client.says('NOOP\r\n')).toBe('250 2.0.0 queued\r\n250 2.0.0 OK\r\n')
  await finish()
})

test.each([
  ['before EHLO', '', 'BDAT', '503 5.5.1 Send EHLO first'],
  ['after HELO', 'HELO client.example\r\nMAIL FROM:<a@b.example>\r\n', 'BDAT', '503 5.5.1 Send EHLO first'],
  ['without MAIL', HELLO, 'BDAT', '503 5.5.1 Send MAIL first'],
  ['without a recipient', `${HELLO}MAIL FROM:<a@b.example>\r\n`, 'BDAT', '554 5.5.1 No valid recipients'],
])('BDAT %s is refused after its octets', async (_when, before, verb, said) => {
  for (const last of ['', ' LAST']) {
    const { connect, intake, finish } = await rig()
    const client = await connect()
    await client.says(before || 'NOOP\r\n')
    expect(await client.says(`${verb} ${NASTY.length}${last}\r\n${NASTY.slice(0, 9)}`)).toBe('')
    expect(await client.says(`${NASTY.slice(9)}NOOP\r\n`)).toBe(`${said}\r\n250 2.0.0 OK\r\n`)
    expect(intake.calls).not.toContain('bdat')
    expect(intake.calls).toContain(`refused bdat ${said.slice(0, 3)}`)
    await finish()
  }
})

test('an intake that refuses the message is heard after the octets; later chunks are 503 until the last', async () => {
  const { greeted, intake, finish } = await rig({
    data: () => ({ kind: 'refuse', reply: reply(452, '4.3.1', 'no space') }),
  })
  const client = await greeted()
  expect(await client.says(`${ENVELOPE}BDAT 6\r\nRSET\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n`)).toBe(
    `${ACCEPTED}452 4.3.1 no space\r\n${'503 5.5.1 An earlier chunk failed: send RSET\r\n'.repeat(2)}`,
  )
  expect(intake.messages).toEqual([])
  expect(intake.calls.filter((call) => call === 'bdat')).toHaveLength(1)
  // The last chunk has ended the transaction, here and in the intake.
  expect(intake.calls.filter((call) => call === 'reset')).toHaveLength(1)
  expect(await client.says('MAIL FROM:<ann@example.net>\r\n')).toBe('250 2.1.0 sender ok\r\n')
  await finish()
})

const boom = (): never => {
  throw new Error('disk')
}

test.each([
  ['data', boom],
  ['data', async (): Promise<never> => boom()],
  ['write', boom],
  ['write', async (): Promise<never> => boom()],
] as const)(
  'an intake that breaks at %s: 451 after the octets, and nothing is taken for commands',
  async (stage, how) => {
    const { greeted, intake, events, finish } = await rig({ [stage]: how })
    const client = await greeted()
    expect(await client.says(`${ENVELOPE}BDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n`)).toBe(
      `${ACCEPTED}451 4.3.0 Temporary failure, please try again later\r\n503 5.5.1 An earlier chunk failed: send RSET\r\n250 2.0.0 OK\r\n`,
    )
    expect(events.of('failure')).toHaveLength(1)
    expect(intake.messages).toEqual([])
    await finish()
  },
)

test('a sink that breaks in the last chunk: 451', async () => {
  const { greeted, finish } = await rig({ write: boom })
  const client = await greeted()
  expect(await client.says(`${ENVELOPE}BDAT 6 LAST\r\nQUIT\r\n${ENVELOPE}`)).toBe(
    `${ACCEPTED}451 4.3.0 Temporary failure, please try again later\r\n${ACCEPTED}`,
  )
  await finish()
})

test('DATA and BDAT do not mix, and no recipient comes behind a chunk', async () => {
  const { greeted, finish } = await rig()
  const client = await greeted()
  await client.says(`${ENVELOPE}BDAT 2\r\nhi`)
  await client.transcript(`
    C: DATA
    S: 503 5.5.1 The message has begun with BDAT
    C: RCPT TO:<eve@example.org>
    S: 503 5.5.1 The message has begun with BDAT
    C: MAIL FROM:<eve@example.org>
    S: 503 5.5.1 A mail transaction is open already
    C: BDAT 0 LAST
    S: 250 2.0.0 queued
  `)
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('BDAT 2 LAST\r\n.\r\n')).toBe('250 2.0.0 queued\r\n')
  await finish()
})

test.each(['RSET\r\n', HELLO])('%j gives up a message in chunks, and the next begins anew', async (command) => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  await client.says(`${ENVELOPE}BDAT 3\r\none`)
  expect(await client.says(command)).toContain('250')
  expect(intake.calls).toContain('abort')
  expect(await client.says('BDAT 3 LAST\r\ntwo')).toBe('503 5.5.1 Send MAIL first\r\n')
  await client.says(`${ENVELOPE}BDAT 5 LAST\r\nthree`)
  expect(intake.messages).toEqual(['three'])
  await finish()
})

test('a failed message may be given up with RSET before its last chunk', async () => {
  let first = true
  const { greeted, intake, finish } = await rig({
    data: () => {
      if (!first) return undefined
      first = false
      return { kind: 'refuse', reply: reply(452, '4.3.1', 'no space') }
    },
  })
  const client = await greeted()
  await client.says(`${ENVELOPE}BDAT 3\r\none`)
  expect(await client.says(`RSET\r\n${ENVELOPE}BDAT 3 LAST\r\ntwo`)).toBe(
    `250 2.0.0 OK\r\n${ACCEPTED}250 2.0.0 queued\r\n`,
  )
  expect(intake.messages).toEqual(['two'])
  await finish()
})

test('more than the largest message is refused, read, and bearable', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  await client.says(`${ENVELOPE}BDAT 6\r\nhello `)
  expect(await client.says('BDAT 9999995 LAST\r\n')).toBe('')
  const rest = Buffer.alloc(9_999_995, 'RSET\r\n')
  let said = ''
  for (let at = 0; at < rest.length; at += 1_000_000) said += await client.says(rest.subarray(at, at + 1_000_000))
  expect(said + (await client.says('NOOP\r\n'))).toBe(
    '552 5.3.4 Message size exceeds fixed maximum message size\r\n250 2.0.0 OK\r\n',
  )
  expect(intake.calls).toContain('abort')
  expect(intake.calls).toContain('refused bdat 552')
  expect(intake.messages).toEqual([])
  await finish()
})

test('far more than the largest message is read as far as one would go, and then cut off', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  await client.says(`${ENVELOPE}BDAT 999999999999999 LAST\r\n`)
  const block = Buffer.alloc(1_000_000, 'RSET\r\n')
  for (let sent = 0; sent < 11; sent++) expect(await client.says(block)).toBe('')
  expect(await client.says(block)).toBe('552 5.3.4 Message size exceeds fixed maximum message size\r\n')
  expect(client.closed).toBe(true)
  expect(intake.messages).toEqual([])
  client.wire.destroy()
  await finish()
})

test.each(['BDAT', 'BDAT LAST', 'BDAT -1', 'BDAT 1e3', 'BDAT 5 FIRST', 'BDAT 9999999999999999', 'BDAT 5 LAST now'])(
  '%s ends the connection: nobody knows what follows it',
  async (command) => {
    const { greeted, intake, finish } = await rig()
    const client = await greeted()
    expect(await client.says(`${ENVELOPE}${command}\r\nRSET\r\n`)).toBe(
      `${ACCEPTED}501 5.5.4 Syntax: BDAT size [LAST]\r\n`,
    )
    expect(client.closed).toBe(true)
    expect(intake.calls).not.toContain('reset')
    await finish()
  },
)

test('a message that its sink calls hopeless is answered and cut off', async () => {
  const { greeted, intake, finish } = await rig({
    hopeless: (size) => (size > 3 ? reply(552, '5.3.4', 'far too large') : undefined),
  })
  const client = await greeted()
  expect(await client.says(`${ENVELOPE}BDAT 10\r\nhello`)).toBe(`${ACCEPTED}552 5.3.4 far too large\r\n`)
  expect(client.closed).toBe(true)
  expect(intake.calls.at(-1)).toBe('abort')
  await finish()
})

test.each(['within a chunk', 'between chunks'])('a client that vanishes %s leaves nothing behind', async (when) => {
  const { greeted, intake, finish } = await rig()
  for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const client = await greeted()
    await client.says(`${ENVELOPE}BDAT ${when === 'within a chunk' ? 9 : 5}\r\nhello`)
    const wire = client.wire as unknown as Record<typeof leave, () => void>
    wire[leave]()
    await client.heard()
  }
  expect(intake.calls.filter((call) => call === 'abort')).toHaveLength(3)
  expect(intake.messages).toEqual([])
  await finish()
})

test('a client that is slow within a chunk, or between two, gets 421', async () => {
  for (const [sent, patience] of [
    ['BDAT 9\r\nhello', '3m'],
    ['BDAT 5\r\nhello', '5m'],
  ] as const) {
    const { greeted, clock, intake, finish } = await rig()
    const client = await greeted()
    await client.says(ENVELOPE + sent)
    await clock.advance(patience)
    expect(await client.heard()).toContain('421 4.4.2')
    client.wire.destroy()
    await client.heard()
    expect(intake.calls).toContain('abort')
    await finish()
  }
})

test('chunks that drip in have the time of one transaction together', async () => {
  const { greeted, clock, finish } = await rig()
  const client = await greeted()
  await client.says(ENVELOPE)
  for (let minute = 0; minute < 28; minute += 4) {
    await client.says('BDAT 1\r\nx')
    await clock.advance('4m')
  }
  await client.says('BDAT 9\r\nx')
  await clock.advance('2m')
  expect(await client.heard()).toContain('421 4.4.2')
  await finish()
})

test('a place for a message in chunks that is given after the client has gone is given back', async () => {
  const given = Promise.withResolvers<DataAnswer>()
  const calls: string[] = []
  const { greeted, finish } = await rig({ data: () => given.promise })
  const client = await greeted()
  await client.says(`${ENVELOPE}BDAT 5 LAST\r\nhello`)
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

test('LMTP answers the last chunk once per accepted recipient, refused or not', async () => {
  const { connect, finish } = await rig({}, { protocol: 'lmtp' })
  const client = await connect()
  await client.says('LHLO client.example\r\n')
  await client.says(`${ENVELOPE}RCPT TO:<eve@example.org>\r\nBDAT 2\r\nhi`)
  expect(await client.says('BDAT 0 LAST\r\n')).toBe('250 2.0.0 queued\r\n250 2.0.0 queued\r\n')
  await client.says(`${ENVELOPE}RCPT TO:<eve@example.org>\r\nBDAT 10000001 LAST\r\n`)
  for (let sent = 0; sent < 10; sent++) await client.says(Buffer.alloc(1_000_000))
  expect(await client.says('xNOOP\r\n')).toMatch(/^552 .*\r\n552 .*\r\n250 2\.0\.0 OK\r\n$/)
  await finish()
})

test('a BINARYMIME message comes with BDAT and not with DATA', async () => {
  const { greeted, intake, finish } = await rig({ capabilities: ['binarymime'] })
  const client = await greeted()
  expect(await client.says(HELLO)).toContain('250-CHUNKING\r\n250-BINARYMIME\r\n')
  await client.says('MAIL FROM:<ann@example.net> BODY=BINARYMIME\r\nRCPT TO:<bob@example.org>\r\n')
  expect(await client.says('DATA\r\n')).toBe('503 5.5.1 A BINARYMIME message needs BDAT\r\n')
  expect(await client.says('BDAT 3 LAST\r\n\0\n\r')).toBe('250 2.0.0 queued\r\n')
  expect(intake.mails[0]?.options).toEqual({ body: 'binarymime' })
  expect(intake.messages).toEqual(['\0\n\r'])
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('.\r\n')).toBe('250 2.0.0 queued\r\n')
  await finish()
})

test('the server stops: a message in chunks may be finished', async () => {
  const { greeted, listener, intake, finish } = await rig()
  const client = await greeted()
  await client.says(`${ENVELOPE}BDAT 2\r\nhi`)
  const drained = listener.drain({ signal: new AbortController().signal })
  expect(await client.says('BDAT 1 LAST\r\n!')).toBe(
    '250 2.0.0 queued\r\n421 4.3.2 Service not available, closing transmission channel\r\n',
  )
  await drained
  expect(intake.messages).toEqual(['hi!'])
  await finish()
})
