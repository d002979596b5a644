import type { Claim, Outcome, RecipientId } from '@mailwright/core'
import { deferred, delivered, failed, mailbox, recipients, testEnvironment, testMessage } from '@mailwright/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Reactions, type ResponseRule, responseReader } from './classification.ts'
import { retryAfter, retryByAge, withJitter } from './retry.ts'
import { type ConcludingParts, type Conclusions, conclude, type RetryRules } from './settlement.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const RULES: RetryRules = { schedule: retryAfter('5m', '10m'), lifetimeMs: 5 * DAY, bounceLifetimeMs: DAY }

/** A claim of mail that arrived at 0, for ann (1), bob (2) and so on. */
function claimOf(given: { sender?: string | null; to?: readonly string[]; attempts?: number } = {}): Claim {
  const message = testMessage()
  const { sender = 'sender@example.net', to = ['ann@example.org', 'bob@example.org'], attempts = 0 } = given
  return {
    token: 't1',
    options: {},
    message,
    leaseUntil: 0,
    entry: {
      message: 'm1',
      entry: 0,
      lane: 'smtp:example.org',
      sender: sender === null ? null : mailbox(sender),
      recipients: recipients(...to),
      size: message.size,
      arrivedAt: 0,
      dueAt: 0,
      attempts,
      claimed: true,
    },
  }
}

const PARTS: ConcludingParts = { environment: testEnvironment(), events: { wants: () => true } }

function concluded(
  claim: Claim,
  answered: ReadonlyMap<RecipientId, Outcome>,
  now: number,
  rules: RetryRules,
  parts: Partial<ConcludingParts> = {},
): Conclusions {
  return conclude(claim, answered, now, rules, { ...PARTS, ...parts })
}

function outcomes(...each: readonly Outcome[]): ReadonlyMap<RecipientId, Outcome> {
  return new Map(each.map((outcome, index) => [index + 1, outcome]))
}

describe('an attempt', () => {
  it('leaves nothing to do when everybody was served', () => {
    const conclusions = concluded(claimOf(), outcomes(delivered(), delivered()), 1_000, RULES)
    expect(conclusions).toMatchObject({ failed: [], deferred: [], retryAt: 1_000, unreachable: undefined })
    expect(conclusions.outcomes.size).toBe(2)
  })

  it('defers some, fails others and lets the rest go, each by its own outcome', () => {
    const claim = claimOf({ to: ['ann@example.org', 'bob@example.org', 'eve@example.org'] })
    const answered = outcomes(delivered(), deferred('450 4.2.0 greylisted'), failed('550 5.1.1 unknown'))
    const conclusions = concluded(claim, answered, 1_000, RULES)
    expect(conclusions.deferred.map(({ id }) => id)).toEqual([2])
    expect(conclusions.failed.map(({ recipient }) => recipient.id)).toEqual([3])
    expect(conclusions.retryAt).toBe(1_000 + 5 * MINUTE)
  })

  it('waits longer after each attempt, as the schedule says', () => {
    const answered = outcomes(deferred('450'), delivered())
    expect(concluded(claimOf({ attempts: 3 }), answered, 0, RULES).retryAt).toBe(10 * MINUTE)
  })

  it('counts as deferred for a recipient the transport forgot', () => {
    const conclusions = concluded(claimOf(), outcomes(delivered()), 0, RULES)
    expect(conclusions.deferred.map(({ id }) => id)).toEqual([2])
    expect(conclusions.outcomes.get(2)).toMatchObject({ status: 'deferred', scope: 'message', reply: { code: 451 } })
    expect(conclusions.unreachable).toBeUndefined()
  })

  it('ignores outcomes of recipients nobody asked about', () => {
    const answered = new Map([...outcomes(delivered(), delivered()), [99, failed('550')] as const])
    const conclusions = concluded(claimOf(), answered, 0, RULES)
    expect(conclusions.failed).toEqual([])
    expect(conclusions.outcomes.has(99)).toBe(false)
  })
})

describe('a destination', () => {
  it.each(['recipient', 'message'] as const)('was reached when the deferral is about the %s', (scope) => {
    expect(concluded(claimOf(), outcomes(deferred('450', scope), delivered()), 0, RULES).unreachable).toBeUndefined()
  })

  it('was not reached when one outcome says so, also when the mail expires with it', () => {
    const answered = outcomes(delivered(), deferred('421 4.4.1 no answer', 'destination'))
    expect(concluded(claimOf(), answered, 0, RULES).unreachable).toMatchObject({ scope: 'destination' })
    expect(concluded(claimOf(), answered, 5 * DAY, RULES).unreachable).toMatchObject({ scope: 'destination' })
  })
})

describe('a server that names a time', () => {
  const notBefore = (at: number): Outcome => ({ ...deferred('450'), notBefore: at })

  it('is not asked again before it', () => {
    const answered = outcomes(notBefore(60 * MINUTE), notBefore(30 * MINUTE))
    expect(concluded(claimOf(), answered, 0, RULES).retryAt).toBe(60 * MINUTE)
  })

  it('cannot make us hurry', () => {
    expect(concluded(claimOf(), outcomes(notBefore(1), delivered()), 0, RULES).retryAt).toBe(5 * MINUTE)
  })

  it('cannot make mail wait beyond its lifetime', () => {
    const answered = outcomes(notBefore(10_000 * DAY), delivered())
    expect(concluded(claimOf(), answered, 0, RULES).retryAt).toBe(5 * DAY)
  })
})

describe('the lifetime of a message', () => {
  const remote = { host: 'mx.example.org[192.0.2.1]:25', code: 450, lines: ['greylisted'] }

  it('turns a deferral into a failure when it is over, and keeps the last answer: it is why', () => {
    const answered = outcomes({ ...deferred('450 4.2.0 greylisted'), remote }, delivered())
    expect(concluded(claimOf(), answered, 5 * DAY - 1, RULES).failed).toEqual([])
    const [expired] = concluded(claimOf(), answered, 5 * DAY, RULES).failed
    expect(expired?.outcome).toEqual({
      status: 'failed',
      reply: { code: 550, enhanced: '5.4.7', text: 'Delivery time expired; last: 450 4.2.0 greylisted' },
      remote,
    })
  })

  it('does not turn a delivery or a failure into anything else', () => {
    const answered = outcomes(delivered(), failed('550 5.1.1 unknown'))
    const conclusions = concluded(claimOf(), answered, 9 * DAY, RULES)
    expect(conclusions.outcomes.get(1)?.status).toBe('ok')
    expect(conclusions.failed[0]?.outcome.reply.enhanced).toBe('5.1.1')
  })

  it('has an end of its own for mail of the null sender', () => {
    const answered = outcomes(deferred('450'), delivered())
    expect(concluded(claimOf({ sender: null }), answered, DAY - 1, RULES).deferred).toHaveLength(1)
    const [expired] = concluded(claimOf({ sender: null }), answered, DAY, RULES).failed
    expect(expired?.outcome).not.toHaveProperty('remote')
  })
})

describe('a reaction to an answer', () => {
  const reading = (table: readonly ResponseRule[], reactions: Reactions): Partial<ConcludingParts> => ({
    responses: responseReader(table, reactions, () => expect.unreachable()),
  })
  const GREYLIST = [{ category: 'greylist', pattern: /grey/ }] as const
  const grey = { ...failed('550 5.7.1 greylisted'), remote: { host: 'mx', code: 550, lines: ['greylisted'] } }

  it('takes a refusal for good as one for now, for as long as the mail lives, and keeps what was said', () => {
    const parts = reading(GREYLIST, { greylist: { as: 'deferral' } })
    const inTime = concluded(claimOf(), outcomes(grey, delivered()), 0, RULES, parts)
    expect(inTime.failed).toEqual([])
    expect(inTime.outcomes.get(1)).toEqual({
      status: 'deferred',
      scope: 'recipient',
      reply: { code: 451, enhanced: '4.7.1', text: 'greylisted' },
      remote: grey.remote,
    })
    expect(inTime.categories).toEqual(new Map([[1, 'greylist']]))
    const late = concluded(claimOf(), outcomes(grey, delivered()), 5 * DAY, RULES, parts)
    expect(late.failed.map(({ outcome }) => outcome)).toEqual([grey])
  })

  it('takes a deferral for a refusal', () => {
    const parts = reading([{ category: 'mailbox-full', pattern: /4\.2\.2/ }], { 'mailbox-full': { as: 'failure' } })
    const { failed: gone } = concluded(claimOf(), outcomes(deferred('452 4.2.2 full'), delivered()), 0, RULES, parts)
    expect(gone[0]?.outcome.reply).toEqual({ code: 550, enhanced: '5.2.2', text: 'full' })
  })

  it('waits as it says; who waits with others waits for the longest', () => {
    const parts = reading(GREYLIST, { greylist: { retry: '1m' } })
    const greylisted = deferred('450 4.2.0 greylisted')
    expect(concluded(claimOf(), outcomes(greylisted, delivered()), 0, RULES, parts).retryAt).toBe(MINUTE)
    expect(concluded(claimOf(), outcomes(greylisted, deferred('450')), 0, RULES, parts).retryAt).toBe(5 * MINUTE)
  })

  it('asks for a pause, the longest of several', () => {
    const table = [...GREYLIST, { category: 'rate', pattern: /busy/ }] as const
    const parts = reading(table, { greylist: { pause: '1m' }, rate: { pause: '9m' } })
    const answered = outcomes(deferred('450 4.2.0 busy'), deferred('450 4.2.0 grey'))
    expect(concluded(claimOf(), answered, 1_000, RULES, parts).pausedUntil).toBe(1_000 + 9 * MINUTE)
    expect(concluded(claimOf(), outcomes(delivered(), delivered()), 0, RULES, parts).pausedUntil).toBeUndefined()
  })

  it('suppresses those who failed, and nobody who is only deferred', () => {
    const parts = reading(GREYLIST, { greylist: { suppress: '1d' } })
    const answered = outcomes(grey, deferred('450 4.2.0 greylisted'))
    const { failed: gone, deferred: waiting } = concluded(claimOf(), answered, 0, RULES, parts)
    expect(gone).toMatchObject([{ recipient: { id: 1 }, suppressMs: DAY }])
    expect(waiting).toHaveLength(1)
  })

  it('is not looked for when nothing is done and nobody listens', () => {
    const deaf = { ...reading(GREYLIST, {}), events: { wants: () => false } }
    expect(concluded(claimOf(), outcomes(grey, grey), 0, RULES, deaf).categories).toBeUndefined()
  })
})

describe('mail with an end of its sender’s', () => {
  const by = (at: number, otherwise: 'return' | 'notify', trace = false): Claim => ({
    ...claimOf(),
    options: { deliverBy: { at, otherwise, trace } },
  })

  it('fails then, and is looked at then', () => {
    const answered = outcomes(deferred('450'), deferred('450'))
    expect(concluded(by(2 * MINUTE, 'return'), answered, 0, RULES)).toMatchObject({ retryAt: 2 * MINUTE, failed: [] })
    expect(concluded(by(2 * MINUTE, 'return'), answered, 2 * MINUTE, RULES).failed).toHaveLength(2)
    expect(concluded(by(9 * DAY, 'return'), answered, 5 * DAY, RULES).failed).toHaveLength(2)
  })

  it('is looked at when its sender is to be told, and then goes on', () => {
    const answered = outcomes(deferred('450'), deferred('450'))
    expect(concluded(by(2 * MINUTE, 'notify'), answered, 0, RULES).retryAt).toBe(2 * MINUTE)
    const late = concluded(by(2 * MINUTE, 'notify'), answered, 2 * MINUTE, RULES)
    expect(late).toMatchObject({ failed: [], retryAt: 7 * MINUTE, expiresAt: 5 * DAY })
  })

  it('is reported when it is relayed, where that was asked for and not forbidden', () => {
    const answered = outcomes({ ...delivered('relayed'), reportedBy: 'next-hop' }, delivered('relayed'))
    expect(concluded(by(MINUTE, 'notify', true), answered, 0, RULES).succeeded).toHaveLength(2)
    expect(concluded(by(MINUTE, 'notify'), answered, 0, RULES).succeeded).toEqual([])
    const claim = by(MINUTE, 'notify', true)
    const silent = claim.entry.recipients.map((recipient) => ({ ...recipient, notify: ['never'] as const }))
    expect(
      concluded({ ...claim, entry: { ...claim.entry, recipients: silent } }, answered, 0, RULES).succeeded,
    ).toEqual([])
  })
})

it('the next attempt is never in the past, never beyond the lifetime, and not before what a server asked for', () => {
  const given = {
    age: fc.integer({ min: 0, max: 6 * DAY }),
    attempts: fc.integer({ min: 0, max: 500 }),
    asked: fc.option(fc.integer({ min: 0, max: 20 * DAY }), { nil: undefined }),
    by: fc.option(fc.integer({ min: 0, max: 9 * DAY }), { nil: undefined }),
    otherwise: fc.constantFrom('return' as const, 'notify' as const),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }
  fc.assert(
    fc.property(fc.record(given), ({ age, attempts, asked, by, otherwise, share }) => {
      const plain = claimOf({ to: ['ann@example.org'], attempts })
      const claim: Claim =
        by === undefined ? plain : { ...plain, options: { deliverBy: { at: by, otherwise, trace: false } } }
      const said: Outcome = asked === undefined ? deferred('450') : { ...deferred('450'), notBefore: asked }
      const rules = { ...RULES, schedule: withJitter(retryByAge(), share) }
      const { retryAt, failed: gone, expiresAt } = concluded(claim, outcomes(said), age, rules)
      expect(gone.length === 1).toBe(age >= expiresAt)
      expect(expiresAt).toBeLessThanOrEqual(5 * DAY)
      if (gone.length === 1) return
      expect(retryAt).toBeGreaterThanOrEqual(age)
      expect(retryAt).toBeLessThanOrEqual(expiresAt)
      const latest = by !== undefined && by > age ? Math.min(by, expiresAt) : expiresAt
      if (asked !== undefined) expect(retryAt).toBeGreaterThanOrEqual(Math.min(asked, latest))
    }),
  )
})
