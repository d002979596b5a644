import {
  type Call,
  type Decision,
  type DeliveryJob,
  discard,
  MailwrightError,
  type MessageSource,
  next,
  type Outcome,
  policy,
  type RecipientId,
  reject,
  reply,
  type Transport,
} from '@mailwright/core'
import { delivered, mailbox, outcomeOf, type ScriptedTransport, scriptedTransport } from '@mailwright/testing'
import { describe, expect, test } from 'vitest'
import { acceptAll, conversation, MESSAGE, willing } from './testing-support/conversation.ts'
import { type FakeSpool, fakeSpool, type SpoolScript } from './testing-support/fake-spool.ts'

const LOCAL = '451 4.3.0 Temporary failure, please try again later'
const LARGE = `Subject: large\r\n\r\n${'0123456789abcdef\r\n'.repeat(40)}`
/** Options under which `LARGE` goes to the spool. */
const SMALL_MEMORY = { inlineLimit: 100, maxHeadSize: 100 } as const

type Outcomes = ReadonlyMap<RecipientId, Outcome>

/** A transport that does what the test says, with a spool for large bodies. */
function transportOf(
  deliver: (job: DeliveryJob, call: Call) => Promise<Outcomes>,
  script: SpoolScript = {},
): Transport & { spools: FakeSpool[] } {
  const spools: FakeSpool[] = []
  return {
    name: 'given',
    deliver,
    spools,
    spool(): FakeSpool {
      const spool = fakeSpool(script)
      spools.push(spool)
      return spool
    },
  }
}

function everybody(job: DeliveryJob, outcome: Outcome): Outcomes {
  return new Map(job.envelope.recipients.map(({ id }) => [id, outcome]))
}

function headOf(transport: ScriptedTransport): string {
  return Buffer.from(transport.jobs[0]!.message.head).toString()
}

describe('the message as handed to the transport', () => {
  test('begins with our Received field, and its body is the one that came', async () => {
    const transport = willing()
    const client = conversation({ transport })
    await client.upToData()
    await client.data(MESSAGE)
    const { id, message } = transport.jobs[0]!
    expect(headOf(transport)).toBe(
      `Received: from client.example.net ([192.0.2.7])\r\n\tby mx.example.org with ESMTP id ${id}\r\n\tfor ` +
        '<ann@example.org>;\r\n\tThu, 01 Jan 2026 00:00:00 +0000\r\nSubject: hi\r\nMessage-ID: <1@example.net>\r\n\r\n',
    )
    expect(Buffer.from(message.buffered!).toString()).toBe('Hello\r\n')
    expect(message.size).toBe(message.head.length + 7)
  })

  test('does not tell several recipients of each other', async () => {
    const transport = willing()
    const client = conversation({ transport })
    await client.upToData('ann@example.org', 'bob@example.org')
    await client.data(MESSAGE)
    expect(headOf(transport)).not.toMatch(/ann|bob/)
  })

  test.each([
    ['nothing at all', '', /^Received: [\s\S]+\r\n\r\n$/, ''],
    ['a body without header', 'Hello\r\n', /^Received: [\s\S]+\r\n\r\n$/, 'Hello\r\n'],
    ['a header without body', 'Subject: hi\r\n', /^Received: [\s\S]+\r\nSubject: hi\r\n\r\n$/, ''],
  ])('may have been %s', async (_what, text, head, body) => {
    const transport = willing()
    const client = conversation({ transport })
    await client.upToData()
    expect(await client.data(text)).toMatchObject([expect.stringMatching(/^250/)])
    expect(headOf(transport)).toMatch(head)
    expect(Buffer.from(transport.jobs[0]!.message.buffered!).toString()).toBe(body)
  })

  test('has the edits of the policies under the Received field', async () => {
    const transport = willing()
    const edits = policy('edits', {
      message: () => ({
        verdict: { kind: 'next' },
        edits: [
          { edit: 'prepend-header', name: 'X-Top', value: '1' },
          { edit: 'remove-header', name: 'subject' },
          { edit: 'append-header', name: 'X-End', value: '2' },
        ],
      }),
    })
    const client = conversation({ transport, policies: [acceptAll, edits] })
    await client.upToData()
    await client.data(MESSAGE)
    expect(headOf(transport)).toMatch(
      /^Received: [\s\S]+\r\nX-Top: 1\r\nMessage-ID: <1@example.net>\r\nX-End: 2\r\n\r\n$/,
    )
  })

  test('an edit that cannot be made is a temporary refusal, and nothing is kept', async () => {
    const broken = policy('broken', {
      message: () => ({ ...next(), edits: [{ edit: 'append-header', name: 'X', value: 'a\r\nBcc: all' }] }),
    })
    const transport = transportOf(async (job) => everybody(job, delivered()))
    const client = conversation({ ...SMALL_MEMORY, transport, policies: [acceptAll, broken] })
    await client.upToData()
    expect(await client.data(LARGE)).toEqual([LOCAL])
    expect(transport.spools).toMatchObject([{ state: 'discarded' }])
    expect(client.events.of('failure')).toMatchObject([{ where: 'intake', error: { code: 'ERR_MAILWRIGHT_CONFIG' } }])
  })

  test('a policy sees the whole message before our field', async () => {
    const seen: MessageSource[] = []
    const looks = policy('looks', { message: (message) => void seen.push(message) })
    const client = conversation({ policies: [looks, acceptAll] })
    await client.upToData()
    await client.data(MESSAGE)
    expect(Buffer.from(seen[0]!.head).toString()).toMatch(/^Subject: hi/)
    expect(seen[0]!.size).toBe(MESSAGE.length)
  })
})

describe('recipients added by a policy', () => {
  const copies = (...addresses: readonly string[]) =>
    policy('archive', {
      message: (): Decision => ({
        verdict: { kind: 'next' },
        edits: addresses.map((address) => ({ edit: 'add-recipient', address: mailbox(address) })),
      }),
    })

  test('get the message too, and never a notice to the sender', async () => {
    const transport = willing()
    const client = conversation({ transport, policies: [acceptAll, copies('archive@example.org')] })
    await client.upToData('ann@example.org', 'bob@example.org')
    expect(await client.data(MESSAGE)).toHaveLength(1)
    expect(transport.jobs[0]!.envelope.recipients).toMatchObject([
      { id: 1 },
      { id: 2 },
      { id: 3, address: { local: 'archive' }, notify: ['never'] },
    ])
    expect(headOf(transport)).not.toContain('archive')
  })

  test('who get it anyway get it once', async () => {
    const transport = willing()
    const client = conversation({
      transport,
      policies: [acceptAll, copies('Ann@example.org', 'x@example.org', 'x@example.org')],
    })
    await client.upToData('ann@example.org')
    await client.data(MESSAGE)
    expect(transport.delivered).toEqual(['ann@example.org', 'x@example.org'])
  })

  test.each(['smtp', 'lmtp'] as const)('are part of accepting: with %s no copy, no message', async (protocol) => {
    for (const outcome of ['450 4.2.0 archive is full', '550 5.1.1 no such archive'] as const) {
      const transport = scriptedTransport({ outcomes: { 'archive@example.org': outcome, '*': 'ok' } })
      const client = conversation({ protocol, transport, policies: [acceptAll, copies('archive@example.org')] })
      await client.upToData()
      expect(await client.data(MESSAGE)).toEqual([LOCAL])
      expect(client.events.of('message.accepted')).toEqual([])
      expect(client.events.of('dialogue.refused')).toMatchObject([
        { stage: 'message', recipient: { local: 'archive' }, reason: expect.stringContaining(outcome) },
      ])
    }
  })
})

describe('a message that is refused', () => {
  test('by a policy goes nowhere, and its spool is discarded', async () => {
    const refuses = policy('virus', { message: async () => reject(reply(554, '5.7.1', 'virus'), 'EICAR') })
    const transport = transportOf(async () => new Map())
    const client = conversation({ ...SMALL_MEMORY, transport, policies: [acceptAll, refuses] })
    await client.upToData()
    expect(await client.data(LARGE)).toEqual(['554 5.7.1 virus'])
    expect(client.events.of('dialogue.refused')).toMatchObject([
      { stage: 'message', policy: 'virus', reason: 'EICAR', sender: { local: 'sender' } },
    ])
    expect(transport.spools).toMatchObject([{ state: 'discarded' }])
  })

  test('with LMTP is refused once for each recipient, and told once', async () => {
    const client = conversation({ protocol: 'lmtp', maxSize: 30, maxHeadSize: 30 })
    await client.upToData('ann@example.org', 'bob@example.org')
    expect(await client.data(MESSAGE)).toEqual([
      '552 5.3.4 Message size exceeds fixed maximum message size',
      '552 5.3.4 Message size exceeds fixed maximum message size',
    ])
    expect(client.refusals).toHaveLength(1)
  })

  test.each([
    ['its size', { maxSize: 60, maxHeadSize: 60 }, LARGE, /^552 5\.3\.4 Message size/],
    ['its header', { maxHeadSize: 10 }, MESSAGE, /^552 5\.3\.4 Message header/],
    ['its line ends', {}, 'Subject: hi\n\nHello\n', /^550 5\.5\.2 bare <LF>/],
  ])('for %s does not reach policies or transport', async (_what, options, text, answer) => {
    let asked = 0
    const transport = willing()
    const counts = policy('counts', { message: () => void asked++ })
    const client = conversation({ ...options, transport, policies: [acceptAll, counts] })
    await client.upToData()
    expect(await client.data(text)).toMatchObject([expect.stringMatching(answer)])
    expect(client.refusals).toMatchObject([expect.stringMatching(/^message intake 55/)])
    expect([asked, transport.jobs.length]).toEqual([0, 0])
    expect(await client.mail()).toMatch(/^250/)
  })

  test('bare line ends are made clean where asked for', async () => {
    const transport = willing()
    const client = conversation({ transport, lineEnds: 'normalize' })
    await client.upToData()
    expect(await client.data('Subject: hi\n\nHel\0lo\r')).toMatchObject([expect.stringMatching(/^250/)])
    expect(Buffer.from(transport.jobs[0]!.message.buffered!).toString()).toBe('Hello\r\n')
  })

  test('for going on far beyond the limit lets the engine hang up', async () => {
    const client = conversation({ maxSize: 100 })
    await client.upToData()
    const answer = await client.dialogue.data()
    if (answer.kind !== 'go') throw new Error('refused')
    for (let piece = 0; piece < 17; piece++) {
      expect(answer.body.hopeless()).toBeUndefined()
      await answer.body.write(Buffer.alloc(65_536, 'x'))
    }
    expect(answer.body.hopeless()).toMatchObject({ code: 552, enhanced: '5.3.4' })
    answer.body.abort()
    expect(await client.rcpt()).toMatch(/^503/)
  })
})

describe('a large message', () => {
  test('is handed over in its spool', async () => {
    let body = ''
    const transport = transportOf(async (job, call) => {
      for await (const chunk of job.message.body(call)) body += Buffer.from(chunk).toString()
      expect(job.message.spooled).toBeDefined()
      return everybody(job, delivered('queued'))
    })
    const client = conversation({ ...SMALL_MEMORY, transport })
    await client.upToData()
    expect(await client.data(...LARGE.match(/[\s\S]{1,50}/g)!)).toMatchObject([expect.stringMatching(/^250/)])
    expect(`Subject: large\r\n\r\n${body}`).toBe(LARGE)
    // It belongs to the transport now.
    expect(transport.spools).toMatchObject([{ state: 'finished' }])
  })

  test('whose spool fails at the end is refused for now', async () => {
    const finish = (): never => {
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'full', { reply: reply(452, '4.3.1', 'full') })
    }
    const transport = transportOf(async (job) => everybody(job, delivered()), { finish })
    const client = conversation({ ...SMALL_MEMORY, transport })
    await client.upToData()
    expect(await client.data(LARGE)).toEqual(['452 4.3.1 full'])
    expect(transport.spools).toMatchObject([{ state: 'aborted' }])
  })

  test('that is discarded leaves no spool', async () => {
    const transport = transportOf(async (job) => everybody(job, delivered()))
    const client = conversation({
      ...SMALL_MEMORY,
      transport,
      policies: [acceptAll, policy('trap', { message: () => discard() })],
    })
    await client.upToData()
    expect(await client.data(LARGE)).toMatchObject([expect.stringMatching(/^250/)])
    expect(transport.spools).toMatchObject([{ state: 'discarded' }])
  })

  test.each(['abort', 'close'] as const)('cut off by %s leaves no spool and no transaction', async (how) => {
    const transport = transportOf(async () => new Map())
    const client = conversation({ ...SMALL_MEMORY, transport })
    await client.upToData()
    const answer = await client.dialogue.data()
    if (answer.kind !== 'go') throw new Error('refused')
    await answer.body.write(Buffer.from(LARGE))
    if (how === 'abort') answer.body.abort()
    else client.dialogue.close()
    await client.clock.settle()
    expect(transport.spools).toMatchObject([{ state: 'aborted' }])
    expect(await client.rcpt()).toMatch(/^503/)
  })
})

describe('what the transport answers', () => {
  test('for several recipients is one reply: a deferral for all, or else the first refusal', async () => {
    const cases: readonly [Record<string, 'ok' | `4${string}` | `5${string}`>, string | RegExp][] = [
      [{ 'a@x.org': 'ok', 'b@x.org': 'ok' }, /^250 2\.0\.0 Ok: queued as/],
      [{ 'a@x.org': 'ok', 'b@x.org': '450 4.2.0 later' }, '450 4.2.0 later'],
      [{ 'a@x.org': '550 5.1.1 never', 'b@x.org': '450 4.2.0 later' }, '450 4.2.0 later'],
      [{ 'a@x.org': '550 5.1.1 never', 'b@x.org': 'ok' }, '550 5.1.1 never'],
      [{ 'a@x.org': '550 5.1.1 never', 'b@x.org': '554 5.7.1 neither' }, '550 5.1.1 never'],
    ]
    for (const [outcomes, answer] of cases) {
      const client = conversation({ transport: scriptedTransport({ outcomes }) })
      await client.upToData(...Object.keys(outcomes))
      expect(await client.data(MESSAGE)).toEqual([expect.stringMatching(answer)])
      const positive = answer instanceof RegExp
      expect(client.events.of('message.accepted')).toHaveLength(positive ? 1 : 0)
      expect(client.refusals).toHaveLength(positive ? 0 : 1)
    }
  })

  test('with LMTP is one reply for each recipient, in their order', async () => {
    const transport = scriptedTransport({
      outcomes: { 'a@x.org': 'ok', 'b@x.org': '450 4.2.0 later', 'c@x.org': '550 5.1.1 never', 'd@x.org': 'ok' },
    })
    const client = conversation({ protocol: 'lmtp', transport })
    await client.upToData('a@x.org', 'b@x.org', 'c@x.org', 'd@x.org')
    const queued = '250 2.0.0 Ok: queued as x'
    const replies = await client.data(MESSAGE)
    expect(replies.map((each) => each.replace(transport.jobs[0]!.id, 'x'))).toEqual([
      queued,
      '450 4.2.0 later',
      '550 5.1.1 never',
      queued,
    ])
    expect(client.events.of('message.accepted')).toMatchObject([{ recipients: [{ id: 1 }, { id: 4 }] }])
    expect(client.refusals).toEqual([
      'message intake 450 4.2.0 later for b@x.org',
      'message intake 550 5.1.1 never for c@x.org',
    ])
  })

  test('about nobody counts as a deferral', async () => {
    for (const [protocol, replies] of [
      ['smtp', [LOCAL]],
      ['lmtp', [expect.stringMatching(/^250/), LOCAL]],
    ] as const) {
      const transport = transportOf(async () => new Map([[1, delivered()]]))
      const client = conversation({ protocol, transport })
      await client.upToData('ann@example.org', 'bob@example.org')
      expect(await client.data(MESSAGE)).toEqual(replies)
    }
  })

  test('with a refusal discards the spool it did not take', async () => {
    const transport = transportOf(async (job) => everybody(job, outcomeOf('452 4.3.1 full')))
    const client = conversation({ ...SMALL_MEMORY, transport })
    await client.upToData()
    expect(await client.data(LARGE)).toEqual(['452 4.3.1 full'])
    expect(transport.spools).toMatchObject([{ state: 'discarded' }])
  })

  test.each<[string, () => Promise<Outcomes>]>([
    ['rejects', async () => Promise.reject(new Error('secret'))],
    [
      'throws',
      () => {
        throw new Error('secret')
      },
    ],
    ['answers with nothing', async () => undefined as unknown as Outcomes],
  ])('is a temporary refusal when it %s, and nothing is kept', async (_how, deliver) => {
    for (const protocol of ['smtp', 'lmtp'] as const) {
      const transport = transportOf(deliver)
      const client = conversation({ ...SMALL_MEMORY, protocol, transport })
      await client.upToData('ann@example.org', 'bob@example.org')
      expect(await client.data(LARGE)).toEqual(protocol === 'lmtp' ? [LOCAL, LOCAL] : [LOCAL])
      expect(transport.spools).toMatchObject([{ state: 'discarded' }])
      expect(client.events.of('failure')).toHaveLength(1)
      expect(client.refusals).toEqual([`message intake ${LOCAL}`])
      expect(client.clock.pending).toBe(0)
    }
  })
})

describe('a transport that does not answer', () => {
  test('is given up after the time allowed, and told so; the client may go on', async () => {
    const signals: AbortSignal[] = []
    const answer = Promise.withResolvers<Outcomes>()
    let calls = 0
    const transport = transportOf((job, call) => {
      signals.push(call.signal)
      return ++calls === 1 ? answer.promise : Promise.resolve(everybody(job, delivered()))
    })
    const client = conversation({ ...SMALL_MEMORY, transport, handOffTimeout: '10s' })
    await client.upToData()
    const start = client.clock.now()
    expect(await client.clock.until(client.data(LARGE))).toEqual([LOCAL])
    expect(client.clock.now() - start).toBe(10_000)
    expect(signals[0]!.aborted).toBe(true)
    expect(client.events.of('failure')).toMatchObject([{ error: { code: 'ERR_MAILWRIGHT_TIMEOUT' } }])
    // The transport may still be reading or even keeping the body: it is not taken from under its hands.
    expect(transport.spools).toMatchObject([{ state: 'finished' }])
    answer.reject(new Error('aborted'))
    await client.clock.settle()
    expect(transport.spools).toMatchObject([{ state: 'discarded' }])

    await client.mail()
    await client.rcpt()
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^250/)])
    expect(signals[1]!.aborted).toBe(false)
  })

  test('is told when the client has gone; that is no failure', async () => {
    const transport = transportOf(
      (_job, { signal }) => new Promise((_, no) => signal.addEventListener('abort', () => no(signal.reason))),
    )
    const client = conversation({ ...SMALL_MEMORY, transport })
    await client.upToData()
    const replies = client.data(LARGE)
    await client.clock.settle()
    client.dialogue.close()
    expect(await replies).toEqual([LOCAL])
    expect(transport.spools).toMatchObject([{ state: 'discarded' }])
    expect(client.events.of('failure')).toEqual([])
  })

  test('keeps a message it took although the client has gone', async () => {
    const gate = Promise.withResolvers<void>()
    const transport = transportOf(async (job) => {
      await gate.promise
      return everybody(job, delivered('queued'))
    })
    const client = conversation({ transport })
    await client.upToData()
    const replies = client.data(MESSAGE)
    await client.clock.settle()
    client.dialogue.close()
    gate.resolve()
    expect(await replies).toMatchObject([expect.stringMatching(/^250/)])
    expect(client.events.of('message.accepted')).toHaveLength(1)
  })
})

test('a client that has gone while a policy was looking is not taken up on its message', async () => {
  let delivering = 0
  const transport = transportOf(async (job) => {
    delivering++
    return everybody(job, delivered())
  })
  const gate = Promise.withResolvers<undefined>()
  const client = conversation({
    ...SMALL_MEMORY,
    transport,
    policies: [acceptAll, policy('slow', { message: () => gate.promise })],
  })
  await client.upToData()
  const replies = client.data(LARGE)
  await client.clock.settle()
  client.dialogue.close()
  gate.resolve(undefined)
  expect(await replies).toEqual([LOCAL])
  expect(delivering).toBe(0)
  expect(transport.spools).toMatchObject([{ state: 'discarded' }])
})

test('an accepted message is told with client, envelope, size and Message-ID', async () => {
  const transport = willing()
  const client = conversation({ transport })
  await client.upToData('ann@example.org', 'bob@example.org')
  await client.data(MESSAGE)
  const { id, message } = transport.jobs[0]!
  expect(client.events.of('message.accepted')).toMatchObject([
    {
      session: { helo: 'client.example.net', client: { address: '192.0.2.7' } },
      message: id,
      sender: { local: 'sender' },
      recipients: [{ id: 1 }, { id: 2 }],
      size: message.size,
      messageId: '<1@example.net>',
    },
  ])
})

test('each message has an id of its own', async () => {
  const transport = willing()
  const client = conversation({ transport })
  for (let message = 0; message < 3; message++) {
    await client.mail()
    await client.rcpt()
    await client.data(MESSAGE)
  }
  expect(new Set(transport.jobs.map((job) => job.id)).size).toBe(3)
})
