import {
  type Answer,
  accept,
  close,
  type Decision,
  discard,
  hold,
  MailwrightError,
  next,
  reject,
  reply,
  replyLine,
} from '@mailwright/core'
import { mailbox, manualClock } from '@mailwright/testing'
import { describe, expect, test } from 'vitest'
import { askAll, inTime, type Ruling, refusalOf, SILENCE, together } from './stage.ts'

const NO = reply(550, '5.7.1', 'no')
const LATER = reply(450, '4.7.1', 'later')

/** Policies p0, p1, … that give these answers. */
function panel(answers: readonly (() => Answer)[]): Promise<Ruling> {
  const opened = answers.map((answer, index) => ({ name: `p${index}`, session: { connect: answer } }))
  return Promise.resolve(askAll(opened, (session) => session.connect?.({ signal: never }), manualClock(), 30_000))
}
const never = new AbortController().signal

describe('verdicts', () => {
  const kinds: readonly [string, Decision][] = [
    ['next', next()],
    ['accept', accept()],
    ['hold', hold()],
    ['discard', discard()],
    ['reject', reject(NO)],
    ['close', close(NO)],
  ]

  test('silence of all policies decides nothing', async () => {
    expect(await panel([() => undefined, async () => undefined])).toEqual(SILENCE)
    expect(await panel([])).toEqual(SILENCE)
  })

  // Without a refusal the order of asking plays no part: the stronger verdict wins from either side.
  for (const [weaker, weak] of kinds.slice(0, 4)) {
    for (const [stronger, strong] of kinds.slice(kinds.findIndex(([kind]) => kind === weaker) + 1)) {
      test(`${stronger} wins over ${weaker}`, async () => {
        expect((await panel([() => weak, () => strong])).verdict.kind).toBe(stronger)
        expect((await panel([async () => weak, () => strong])).verdict.kind).toBe(stronger)
        expect((await panel([() => strong, () => weak])).verdict.kind).toBe(stronger)
      })
    }
  }

  test('among equals the first declared wins, though the second is quicker', async () => {
    const slow = async (): Promise<Decision> => {
      await Promise.resolve()
      return hold('slow')
    }
    const ruling = await panel([slow, () => hold('quick')])
    expect(ruling).toMatchObject({ policy: 'p0', reason: 'slow' })
  })

  test('the first refusal ends the asking, as in a restriction list', async () => {
    const asked: string[] = []
    const refuse = (): Decision => reject(LATER)
    const later = (): undefined => void asked.push('later')
    expect(refusalOf(await panel([refuse, later]))).toEqual(LATER)
    expect(refusalOf(await panel([async () => refuse(), later]))).toEqual(LATER)
    expect(asked).toEqual([])
  })

  test('the edits of all policies are kept in declared order', async () => {
    const edit = (name: string): Decision => ({
      ...next(),
      edits: [{ edit: 'prepend-header', name, value: '1' }],
    })
    const ruling = await panel([
      () => edit('A'),
      async () => ({ ...edit('B'), verdict: { kind: 'accept' } }),
      () => edit('C'),
    ])
    expect(ruling.edits).toMatchObject([{ name: 'A' }, { name: 'B' }, { name: 'C' }])
    expect(ruling.verdict.kind).toBe('accept')
  })

  test('a vote to accept is not forgotten for a stronger verdict, and holding alone is none', async () => {
    expect(await panel([() => accept(), () => hold()])).toMatchObject({ verdict: { kind: 'hold' }, accepted: true })
    expect(await panel([() => hold(), () => accept()])).toMatchObject({ verdict: { kind: 'hold' }, accepted: true })
    expect(await panel([() => hold()])).toMatchObject({ accepted: false })
    expect(await panel([() => discard()])).toMatchObject({ accepted: true })
  })
})

describe('a policy that fails is a temporary refusal in its own name', () => {
  const throws = (): never => {
    throw new Error('secret')
  }
  test.each<[string, () => Answer]>([
    ['throws', throws],
    ['rejects', async () => throws()],
    ['answers with no decision', () => ({}) as Decision],
    ['answers with an unknown verdict', () => ({ verdict: { kind: 'pass' } }) as unknown as Decision],
    ['answers later with an unknown verdict', async () => ({ verdict: { kind: 'pass' } }) as unknown as Decision],
  ])('when it %s', async (_how, fails) => {
    for (const before of [() => accept(), async () => accept()]) {
      const ruling = await panel([before, fails, () => accept()])
      expect(ruling).toMatchObject({ policy: 'p1', verdict: { kind: 'reject' } })
      expect(replyLine(refusalOf(ruling)!)).toBe('451 4.3.0 Temporary failure, please try again later')
    }
  })

  test('with the cause as the reason, never in the reply', async () => {
    const ruling = await panel([throws])
    expect(ruling.reason).toBe('failed: secret')
    expect(replyLine(refusalOf(ruling)!)).not.toContain('secret')
  })

  test('whatever is thrown', async () => {
    for (const thrown of ['text', null, { toString: throws }]) {
      const ruling = await panel([
        () => {
          throw thrown
        },
      ])
      expect(refusalOf(ruling)?.code).toBe(451)
    }
  })

  test('with the reply it brings along', async () => {
    const fails = (): never => {
      throw new MailwrightError('ERR_MAILWRIGHT_DNS', 'no resolver', { reply: reply(450, '4.4.3', 'DNS is down') })
    }
    expect(replyLine(refusalOf(await panel([fails]))!)).toBe('450 4.4.3 DNS is down')
  })

  test('when it takes too long; each has the whole time for itself', async () => {
    const clock = manualClock()
    const slow = async (): Promise<Decision> => {
      await new Promise<void>((resolve) => void clock.after(29_999, resolve))
      return accept()
    }
    const hangs = (): Promise<Decision> => new Promise(() => {})
    const opened = [slow, hangs].map((connect, index) => ({ name: `p${index}`, session: { connect } }))
    const asking = Promise.resolve(askAll(opened, (session) => session.connect?.({ signal: never }), clock, 30_000))
    const ruling = await clock.until(asking)
    expect(ruling).toMatchObject({ policy: 'p1', reason: 'failed: took too long' })
    expect(refusalOf(ruling)?.code).toBe(451)
    expect(clock.now() - Date.UTC(2026, 0, 1)).toBe(59_999)
    expect(clock.pending).toBe(0)
  })
})

test('policies that answer at once cost no promise', () => {
  const opened = [{ name: 'p', session: { connect: () => accept() } }]
  expect(askAll(opened, (session) => session.connect?.({ signal: never }), manualClock(), 1)).not.toBeInstanceOf(
    Promise,
  )
})

describe('what two stages leave for the message', () => {
  const edits = (name: string): Ruling['edits'] => [{ edit: 'add-recipient', address: mailbox(`${name}@example.org`) }]
  const ruling = (kind: 'next' | 'accept' | 'hold' | 'discard', name: string, given = SILENCE.edits): Ruling => ({
    verdict: { kind },
    policy: name,
    edits: given,
    accepted: kind === 'accept',
  })

  test('is the stronger of hold and discard, and the earlier of equals', () => {
    expect(together(ruling('hold', 'a'), ruling('discard', 'b')).policy).toBe('b')
    expect(together(ruling('discard', 'a'), ruling('hold', 'b')).policy).toBe('a')
    expect(together(ruling('hold', 'a'), ruling('hold', 'b')).policy).toBe('a')
    expect(together(SILENCE, ruling('hold', 'b')).policy).toBe('b')
  })

  test('are the edits of both, in order, and no vote to accept', () => {
    const both = together(ruling('hold', 'a', edits('a')), ruling('accept', 'b', edits('b')))
    expect(both).toMatchObject({ policy: 'a', edits: [...edits('a'), ...edits('b')] })
    expect(together(SILENCE, ruling('accept', 'b'))).toBe(SILENCE)
    expect(together(ruling('next', 'a', edits('a')), ruling('discard', 'b'))).toMatchObject({
      policy: 'b',
      edits: edits('a'),
    })
    expect(together(SILENCE, ruling('next', 'b', edits('b'))).edits).toEqual(edits('b'))
  })
})

test('a promise that fails after its time is nobody’s failure any more', async () => {
  const clock = manualClock()
  const late = Promise.withResolvers<string>()
  const waiting = inTime(late.promise, clock, 10)
  const judged = expect(waiting).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_TIMEOUT' })
  await clock.advance(10)
  late.reject(new Error('late'))
  await judged
  await clock.settle()
})
