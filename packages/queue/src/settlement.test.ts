import type { Claim, Outcome, RecipientId } from '@mailwright/core'
import { deferred, delivered, failed, mailbox, recipients, testEnvironment, testMessage } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { retryAfter } from './retry.ts'
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
