/**
 * What every Transport must do, whatever is behind it (`core/transport.ts`): one outcome for each recipient, failures as
 * data, an ear for the signal, no memory between jobs. Runs in vitest. What it cannot know, such as how the thing behind
 * the transport breaks, comes as a hook; a case whose hook is missing is skipped with the reason.
 */
import type { Call, DeliveryJob, MessageSource, Outcome, RecipientId, Transport } from '@mailwright/core'
import { readBody } from '@mailwright/message'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type TestJob, testJob, testMessage } from '../test-mail.ts'

export interface TransportUnderTest {
  readonly transport: Transport
  /** Addresses that it can deliver to, at least three. Default: `ann`, `bob` and `cat` at example.org. */
  readonly addresses?: readonly string[]
  /** Waits for work, moving a manual clock meanwhile. Default: just waits. */
  readonly run?: <T>(work: Promise<T>) => Promise<T>
  /** Breaks what is behind the transport, so that no delivery can succeed. */
  readonly breakDown?: () => void | Promise<void>
  /** Makes what is behind the transport hang, so that no delivery ends by itself. */
  readonly stall?: () => void | Promise<void>
  /** The messages that arrived, whole, in any order. */
  readonly received?: () => readonly Uint8Array[] | Promise<readonly Uint8Array[]>
  readonly dispose?: () => void | Promise<void>
}

export interface TransportConformance {
  /** Titles the suite. Default: `a transport`. */
  readonly name?: string
  /** Called for each case: a transport of its own. */
  readonly create: () => TransportUnderTest | Promise<TransportUnderTest>
  /** Fields of the jobs, such as the lane that the transport needs. */
  readonly job?: TestJob
}

/**
 * Declares the suite; call it at the top of a test file.
 *
 * @example
 * transportConformance({ name: 'maildir', create: async () => ({ transport: maildir(options), dispose }) })
 */
export function transportConformance(options: TransportConformance): void {
  describe(`${options.name ?? 'a transport'} as a Transport`, () => {
    let subject: TransportUnderTest
    let addresses: readonly string[]

    beforeEach(async () => {
      subject = await options.create()
      addresses = subject.addresses ?? ['ann@example.org', 'bob@example.org', 'cat@example.org']
    })
    afterEach(async () => {
      await subject.dispose?.()
    })

    const job = (given: TestJob = {}): DeliveryJob => testJob({ to: addresses, ...options.job, ...given })
    const deliver = (one: DeliveryJob, call: Call = patient()): Promise<ReadonlyMap<RecipientId, Outcome>> => {
      const work = subject.transport.deliver(one, call)
      return subject.run === undefined ? work : subject.run(work)
    }

    it('has a name', () => {
      expect(subject.transport.name).toMatch(/^[a-z][a-z0-9-]*$/)
    })

    it('answers with one positive outcome for each recipient', async () => {
      const one = job()
      expectComplete(one, await deliver(one), ['ok'])
    })

    it('knows recipients by their ids, whatever these are', async () => {
      const one = job()
      const [first, second, third] = one.envelope.recipients
      const renumbered = [
        { ...first!, id: 90_210 },
        { ...second!, id: 3 },
        { ...third!, id: 17 },
      ]
      const odd = { ...one, envelope: { ...one.envelope, recipients: renumbered } }
      expectComplete(odd, await deliver(odd), ['ok'])
    })

    it('answers for each of two recipients with the same address', async () => {
      const twice = job({ to: [addresses[0]!, addresses[0]!] })
      expectComplete(twice, await deliver(twice), ['ok', 'deferred'])
    })

    it('delivers from the null sender', async () => {
      const notice = job({ sender: null })
      expectComplete(notice, await deliver(notice), ['ok'])
    })

    it('delivers a message without a body, one without a head, and one with 8-bit bytes', async () => {
      for (const text of [
        'Subject: no body\n\n',
        '\nno head\n',
        'Subject: caf\u00e9\n\n\u00fc\u00f1\u00ee\n',
        'Subject: x\n\nno line end',
      ]) {
        const one = job({ to: [addresses[0]!], message: testMessage(text) })
        expectComplete(one, await deliver(one), ['ok'])
      }
    })

    it('delivers a body that is not in memory, byte for byte', async (context) => {
      const source = streamed('Subject: stream\r\n\r\n', 200, Buffer.from(`${'x'.repeat(998)}\r\n.\r\n`))
      const one = job({ to: [addresses[0]!], message: source })
      expectComplete(one, await deliver(one), ['ok'])
      if (subject.received === undefined) return context.skip('no hook to see what arrived')
      const arrived = await subject.received()
      const sent = await readBody(source, patient(), source.size)
      expect(arrived.some((message) => Buffer.from(message).includes(Buffer.from(sent)))).toBe(true)
    })

    it('serves jobs at the same time, each with outcomes of its own', async () => {
      const jobs = addresses.map((address, index) => job({ id: `01test000000000${index}`, to: [address] }))
      const results = await Promise.all(jobs.map((one) => deliver(one)))
      for (const [index, outcomes] of results.entries()) expectComplete(jobs[index]!, outcomes, ['ok'])
    })

    it('changes nothing of the job', async () => {
      const one = job()
      const before = structuredClone({ ...one, message: Buffer.from(one.message.head).toString('latin1') })
      const frozen = { ...one, envelope: deepFrozen(one.envelope) }
      await deliver(frozen)
      expect({ ...frozen, message: Buffer.from(frozen.message.head).toString('latin1') }).toEqual(before)
    })

    it('defers when the message cannot be read, and fails nobody', async () => {
      const one = job({ message: unreadable() })
      expectComplete(one, await deliver(one), ['deferred'])
    })

    it('answers with outcomes, not by rejecting, when what is behind it is broken', async (context) => {
      if (subject.breakDown === undefined) return context.skip('no hook to break it')
      await subject.breakDown()
      const one = job()
      expectComplete(one, await deliver(one), ['deferred'])
    })

    it('gives up at once when nobody waits any more', async () => {
      const one = job()
      const result = await deliver(one, { signal: AbortSignal.abort(new Error('shutdown')) }).catch(() => undefined)
      if (result !== undefined) expectComplete(one, result, ['ok', 'deferred'])
    })

    it('gives up a delivery that hangs when the signal aborts', async (context) => {
      if (subject.stall === undefined) return context.skip('no hook to make it hang')
      await subject.stall()
      const one = job()
      const end = new AbortController()
      const work = subject.transport.deliver(one, { signal: end.signal }).catch(() => undefined)
      for (let round = 0; round < 10; round++) await new Promise((resolve) => setImmediate(resolve))
      end.abort(new Error('shutdown'))
      const result = await work
      if (result !== undefined) expectComplete(one, result, ['deferred'])
    })

    it('says synchronously whether it can take mail', () => {
      const refusal = subject.transport.refusing?.() ?? null
      if (refusal !== null) expect(refusal.code).toBeGreaterThanOrEqual(400)
    })
  })
}

function patient(): Call {
  return { signal: new AbortController().signal }
}

/** One outcome for each recipient and for nobody else, of an allowed status, whose reply is of the same class. */
function expectComplete(
  job: DeliveryJob,
  outcomes: ReadonlyMap<RecipientId, Outcome>,
  allowed: readonly Outcome['status'][],
): void {
  const ids = job.envelope.recipients.map((recipient) => recipient.id)
  expect([...outcomes.keys()].toSorted((a, b) => a - b)).toEqual(ids.toSorted((a, b) => a - b))
  for (const outcome of outcomes.values()) {
    expect(allowed, JSON.stringify(outcome)).toContain(outcome.status)
    const firstDigit = { ok: 2, deferred: 4, failed: 5 }[outcome.status]
    expect(Math.floor(outcome.reply.code / 100)).toBe(firstDigit)
    expect(outcome.reply.enhanced.startsWith(`${firstDigit}.`)).toBe(true)
  }
}

function streamed(head: string, chunks: number, chunk: Buffer): MessageSource {
  return {
    head: Buffer.from(head),
    size: head.length + chunks * chunk.length,
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < chunks; count++) {
        call.signal.throwIfAborted()
        yield chunk
      }
    },
  }
}

function unreadable(): MessageSource {
  return {
    head: Buffer.from('Subject: lost\r\n\r\n'),
    size: 1_000,
    // biome-ignore lint/correctness/useYield: a body that fails before its first byte is the point
    async *body(): AsyncGenerator<Uint8Array> {
      throw new Error('the disk is gone')
    },
  }
}

function deepFrozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) deepFrozen(part)
  return Object.freeze(value)
}
