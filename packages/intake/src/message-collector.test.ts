import { type Call, MailwrightError, type MessageSource, type Refusal, reply, replyLine } from '@mailwright/core'
import { describe, expect, test } from 'vitest'
import { type CollectorOptions, MessageCollector } from './message-collector.ts'
import { type FakeSpool, fakeSpool, type SpoolScript } from './testing-support/fake-spool.ts'

const call: Call = { signal: new AbortController().signal }

function collector(given: Partial<CollectorOptions> = {}): MessageCollector {
  return new MessageCollector({
    maxSize: 10_000,
    maxHeadSize: 100,
    inlineLimit: 200,
    lineEnds: 'reject',
    spool: undefined,
    ...given,
  })
}

/** A collector with a spool, and the spool once it is opened. */
function spooling(
  script: SpoolScript = {},
  given: Partial<CollectorOptions> = {},
): { into: MessageCollector; spools: FakeSpool[] } {
  const spools: FakeSpool[] = []
  const spool = (): FakeSpool => {
    const opened = fakeSpool(script)
    spools.push(opened)
    return opened
  }
  return { into: collector({ spool, ...given }), spools }
}

async function collect(
  into: MessageCollector,
  ...pieces: readonly (string | Uint8Array)[]
): Promise<MessageSource | string> {
  for (const piece of pieces) await into.write(Buffer.from(piece))
  const collected = await into.finish()
  return 'code' in collected ? replyLine(collected) : collected
}

async function message(
  into: MessageCollector,
  ...pieces: readonly string[]
): Promise<[head: string, body: string, size: number]> {
  const source = await collect(into, ...pieces)
  if (typeof source === 'string') throw new Error(source)
  const chunks: Uint8Array[] = []
  for await (const chunk of source.body(call)) chunks.push(chunk)
  return [Buffer.from(source.head).toString(), Buffer.concat(chunks).toString(), source.size]
}

function lines(count: number): string {
  return '0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOP\r\n'.repeat(count)
}

describe('a small message', () => {
  test('is head and body, however it was cut', async () => {
    const text = 'Subject: hi\r\n\r\nHello\r\n'
    const whole = ['Subject: hi\r\n\r\n', 'Hello\r\n', text.length] as const
    expect(await message(collector(), text)).toEqual(whole)
    expect(await message(collector(), ...text)).toEqual(whole)
  })

  test('is not copied when it came in one piece', async () => {
    const bytes = Buffer.from('Subject: hi\r\n\r\nHello\r\n')
    const into = collector()
    await into.write(bytes)
    const source = (await into.finish()) as MessageSource
    expect(source.buffered?.buffer).toBe(bytes.buffer)
  })

  test('answers without a promise', () => {
    const into = collector()
    expect(into.write(Buffer.from('a\r\n'))).toBeUndefined()
    expect(into.finish()).not.toBeInstanceOf(Promise)
  })

  test.each([
    ['is empty', '', '', ''],
    ['has a header only', 'Subject: hi\r\n', 'Subject: hi\r\n', ''],
    ['has an empty body', 'Subject: hi\r\n\r\n', 'Subject: hi\r\n\r\n', ''],
    ['has no header', 'Hello there\r\n\r\nAnn\r\n', '', 'Hello there\r\n\r\nAnn\r\n'],
    ['begins with its body', '\r\nHello\r\n', '\r\n', 'Hello\r\n'],
  ])('may be one that %s', async (_what, text, head, body) => {
    expect(await message(collector(), text)).toEqual([head, body, text.length])
  })

  test('stays in memory although there is a spool', async () => {
    const { into, spools } = spooling()
    await message(into, 'Subject: hi\r\n\r\nHello\r\n')
    expect(spools).toEqual([])
  })
})

describe('line ends', () => {
  test.each([
    ['a bare LF', ['Subject: hi\r\n\r\none\ntwo\r\n'], '550 5.5.2 bare <LF> received'],
    ['a bare CR', ['Subject: hi\r\n\r\none\rtwo\r\n'], '550 5.5.2 bare <CR> received'],
    ['a NUL', ['Subject: hi\r\n\r\none\0two\r\n'], '550 5.5.2 NUL octet received'],
    ['a CR that ends a piece', ['Subject: hi\r\n\r\none\r', 'two\r\n'], '550 5.5.2 bare <CR> received'],
    ['a CR at the very end', ['Subject: hi\r\n\r\none\r'], '550 5.5.2 bare <CR> received'],
    ['the first of two faults', ['a\nb\0\r\n', 'c\r\r\n'], '550 5.5.2 bare <LF> received'],
  ])('%s is refused', async (_what, pieces, answer) => {
    expect(await collect(collector(), ...pieces)).toBe(answer)
  })

  test('a CRLF between two pieces is one', async () => {
    expect(await message(collector(), 'Subject: hi\r\n\r\none\r', '\ntwo\r\n')).toMatchObject({ 1: 'one\r\ntwo\r\n' })
  })

  test('are made clean where asked for', async () => {
    const into = collector({ lineEnds: 'normalize' })
    expect(await message(into, 'Subject: hi\n\none\rtw\0o\r', '\nthree\n')).toEqual([
      'Subject: hi\r\n\r\n',
      'one\r\ntwo\r\nthree\r\n',
      32,
    ])
  })

  test('made clean count for the size as they become', async () => {
    const into = collector({ lineEnds: 'normalize', maxSize: 10, maxHeadSize: 10 })
    expect(await collect(into, '\n'.repeat(6))).toMatch(/^552 5\.3\.4/)
  })

  test('a fault found at the end discards the spool before the answer', async () => {
    const { into, spools } = spooling()
    expect(await collect(into, `S: 1\r\n\r\n${lines(10)}\r`)).toBe('550 5.5.2 bare <CR> received')
    expect(spools[0]!.state).toBe('aborted')
  })
})

describe('sizes', () => {
  test('a message as large as allowed is taken, one byte more is refused', async () => {
    expect(await collect(collector({ maxSize: 20 }), 'a: b\r\n\r\n', '0123456789\r\n')).toMatchObject({ size: 20 })
    expect(await collect(collector({ maxSize: 19 }), 'a: b\r\n\r\n', '0123456789\r\n')).toBe(
      '552 5.3.4 Message size exceeds fixed maximum message size',
    )
  })

  test('a message that grows too large is read to its end, and nothing of it is kept', async () => {
    const { into, spools } = spooling({}, { maxSize: 1_000 })
    await into.write(Buffer.from('a: b\r\n\r\n'))
    for (let piece = 0; piece < 50; piece++) await into.write(Buffer.from(lines(1)))
    expect(spools).toHaveLength(1)
    expect(spools[0]!.state).toBe('aborted')
    expect(spools[0]!.text.length).toBeLessThanOrEqual(1_000)
    expect(replyLine((await into.finish()) as Refusal)).toMatch(/^552 5\.3\.4/)
  })

  test('a header that is too large is refused, in memory and on its way to the spool', async () => {
    const long = `a: ${'x'.repeat(100)}\r\n\r\n`
    const refused = '552 5.3.4 Message header size exceeds fixed maximum'
    expect(await collect(collector(), long)).toBe(refused)
    expect(await collect(collector({ maxHeadSize: long.length }), long)).toMatchObject({ size: long.length })
    const ends = spooling()
    expect(await collect(ends.into, long, lines(10))).toBe(refused)
    const endless = spooling()
    expect(await collect(endless.into, ...Array.from({ length: 30 }, () => 'a: b\r\nc: d\r\n'))).toBe(refused)
    expect([...ends.spools, ...endless.spools]).toEqual([])
  })

  test('a header larger than the memory limit is still found whole', async () => {
    const { into, spools } = spooling({}, { inlineLimit: 10 })
    const head = `a: ${'x'.repeat(80)}\r\n\r\n`
    expect(await message(into, head, lines(2))).toEqual([head, lines(2), head.length + lines(2).length])
    expect(spools).toHaveLength(1)
  })
})

describe('a client that does not stop', () => {
  const MIB = 1_048_576
  const chunk = Buffer.alloc(MIB / 4, 'x')

  test('is hopeless after a further 1 MiB at least', async () => {
    const into = collector({ maxSize: 100 })
    for (let piece = 0; piece < 4; piece++) await into.write(chunk)
    await into.write(Buffer.alloc(100, 'x'))
    expect(into.hopeless()).toBeUndefined()
    await into.write(Buffer.from('x'))
    expect(replyLine(into.hopeless()!)).toBe('552 5.3.4 Message size exceeds fixed maximum message size')
  })

  test('is hopeless after twice the largest message, where that is more', async () => {
    const into = collector({ maxSize: 2 * MIB })
    for (let piece = 0; piece < 16; piece++) await into.write(chunk)
    expect(into.hopeless()).toBeUndefined()
    await into.write(Buffer.from('x'))
    expect(into.hopeless()?.code).toBe(552)
  })

  test('is hopeless also when it was refused for something else', async () => {
    const into = collector({ maxSize: 100 })
    await into.write(Buffer.from('\n'))
    for (let piece = 0; piece < 5; piece++) await into.write(chunk)
    expect(into.hopeless()?.code).toBe(552)
    expect(replyLine((await into.finish()) as Refusal)).toBe('550 5.5.2 bare <LF> received')
  })

  test('is hopeless though all it sends is thrown away', async () => {
    const into = collector({ maxSize: 100, lineEnds: 'normalize' })
    for (let piece = 0; piece < 5; piece++) await into.write(Buffer.alloc(MIB / 4))
    expect(into.hopeless()?.code).toBe(552)
    expect((await into.finish()) as Refusal).toMatchObject({ code: 552 })
  })

  test('a message within the limit is not hopeless', async () => {
    const into = collector()
    await into.write(Buffer.from(lines(10)))
    expect(into.hopeless()).toBeUndefined()
  })
})

describe('a large body', () => {
  test('goes to the spool, its head stays in memory', async () => {
    const { into, spools } = spooling()
    const head = 'Subject: large\r\n\r\n'
    expect(await message(into, head, lines(2), lines(3), lines(4))).toEqual([
      head,
      lines(9),
      head.length + lines(9).length,
    ])
    expect(spools).toHaveLength(1)
    expect(spools[0]).toMatchObject({ state: 'finished', text: lines(9) })
  })

  test('is offered to the transport in place', async () => {
    const { into } = spooling()
    const source = (await collect(into, 'a: b\r\n\r\n', lines(5))) as MessageSource
    expect(source.buffered).toBeUndefined()
    expect(source.spooled?.size).toBe(lines(5).length)
  })

  test('stays in memory where there is no spool', async () => {
    const source = (await collect(collector(), 'a: b\r\n\r\n', lines(50))) as MessageSource
    expect(source.buffered?.length).toBe(lines(50).length)
  })

  test('without a header goes to the spool whole', async () => {
    const { into, spools } = spooling()
    expect(await message(into, lines(5))).toEqual(['', lines(5), lines(5).length])
    expect(spools[0]!.text).toBe(lines(5))
  })

  test('makes the engine wait for a slow spool', async () => {
    const gate = Promise.withResolvers<void>()
    const { into } = spooling({ write: () => gate.promise })
    await into.write(Buffer.from('a: b\r\n\r\n'))
    const written = into.write(Buffer.from(lines(5)))
    expect(written).toBeInstanceOf(Promise)
    gate.resolve()
    await written
  })

  test('is thrown away when the client vanishes', async () => {
    const { into, spools } = spooling()
    await into.write(Buffer.from(`a: b\r\n\r\n${lines(5)}`))
    await into.abandon()
    expect(spools[0]!.state).toBe('aborted')
    await into.abandon()
  })
})

describe('a spool that fails', () => {
  const LOCAL = '451 4.3.0 Temporary failure, please try again later'
  const FULL = reply(452, '4.3.1', 'Insufficient system storage')
  const fails = (): never => {
    throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'disk is full', { reply: FULL })
  }

  test('to open is a temporary refusal', async () => {
    const broken = collector({
      spool: () => {
        throw new Error('no directory')
      },
    })
    expect(await collect(broken, 'a: b\r\n\r\n', lines(5), lines(5))).toBe(LOCAL)
  })

  test('to write, at once or later, is a temporary refusal with its own words; the rest is not kept', async () => {
    for (const write of [fails, async (): Promise<void> => fails()]) {
      const { into, spools } = spooling({ write })
      expect(await collect(into, 'a: b\r\n\r\n', lines(5), lines(5))).toBe('452 4.3.1 Insufficient system storage')
      expect(spools).toHaveLength(1)
      expect(spools[0]).toMatchObject({ state: 'aborted', text: lines(5) })
    }
  })

  test('to write after some went well is a temporary refusal', async () => {
    let writes = 0
    const { into, spools } = spooling({ write: () => (++writes === 3 ? fails() : undefined) })
    expect(await collect(into, `a: b\r\n\r\n${lines(5)}`, lines(1), lines(1), lines(1))).toMatch(/^452/)
    expect(writes).toBe(3)
    expect(spools[0]!.state).toBe('aborted')
  })

  test('to finish is a temporary refusal, and removes what was written', async () => {
    for (const finish of [fails, async (): Promise<void> => fails()]) {
      const { into, spools } = spooling({ finish })
      expect(await collect(into, 'a: b\r\n\r\n', lines(5))).toMatch(/^452/)
      expect(spools[0]!.state).toBe('aborted')
    }
  })
})

describe('a message of any bytes', () => {
  test('goes to the spool as it is once it is large, below a head made of lines', async () => {
    const { into, spools } = spooling({}, { lineEnds: 'any' })
    const body = '\0\r\n\n\r'.repeat(100)
    expect(await message(into, 'Subject: hi\r\n\r\n', body)).toEqual(['Subject: hi\r\n\r\n', body, 515])
    expect(spools[0]!.text).toBe(body)
  })

  test('is refused when it is large and its head is not made of lines', async () => {
    const { into, spools } = spooling({}, { lineEnds: 'any' })
    expect(await collect(into, 'Subject: hi\nX: y\r\n\r\n', lines(10))).toBe('550 5.5.2 bare <LF> received')
    expect(spools).toEqual([])
  })
})

test('a large message that is normalised waits for its spool to the end', async () => {
  const { into, spools } = spooling({ write: () => Promise.resolve() }, { lineEnds: 'normalize' })
  const [, body] = await message(into, 'Subject: hi\n\n', lines(10), '', 'a\nb')
  expect(body).toBe(`${lines(10)}a\r\nb`)
  expect(spools[0]!.text).toBe(body)
})

test('of a message that goes to the spool only the head is held in memory, of a refused one nothing', async () => {
  const { into } = spooling()
  await into.write(Buffer.from('A: b\r\n\r\n'))
  expect(into.held).toBe(8)
  await into.write(Buffer.from(`${'x'.repeat(98)}\r\n`.repeat(3)))
  expect(into.held).toBe(8)
  const small = collector({ maxSize: 100 })
  await small.write(Buffer.alloc(60, 'x'))
  expect(small.held).toBe(60)
  await small.write(Buffer.alloc(60, 'x'))
  expect(small.held).toBe(0)
})
