import type { Claim, Labels } from '@mailwright/core'
import { mailbox, recipients, seededRandom, testMessage } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { exceptionalRules, POSTFIX_RULES, type RetryException, usualRules } from './retry-rules.ts'

const HOUR = 3_600_000
const TRANSPORTS = new Set(['smtp', 'local'])

function claimOf(lane: string, labels?: Labels): Claim {
  const message = testMessage()
  return {
    token: 't',
    options: labels === undefined ? {} : { labels },
    message,
    leaseUntil: 0,
    entry: {
      message: 'm1',
      entry: 0,
      lane,
      sender: mailbox('ann@example.net'),
      recipients: recipients('bob@example.org'),
      size: message.size,
      arrivedAt: 0,
      dueAt: 0,
      attempts: 0,
      claimed: true,
    },
  }
}

const never = (): void => expect.unreachable()

function lifetimeHours(exceptions: readonly RetryException[], claim: Claim): number {
  return exceptionalRules(exceptions, POSTFIX_RULES, TRANSPORTS, never)!(claim).lifetimeMs / HOUR
}

describe('exceptions from how mail is retried', () => {
  const table: readonly RetryException[] = [
    { destination: 'Example.org', labels: { campaign: 'spring' }, lifetime: '1h' },
    { labels: { campaign: 'spring' }, lifetime: '2h' },
    { destination: 'example.org', lifetime: '3h' },
    { transport: 'local', lifetime: '4h' },
    { when: ({ sender }) => sender?.local === 'nobody', lifetime: '5h' },
  ]

  it('go by transport, destination, label and whatever a host can tell: the first that fits', () => {
    expect(lifetimeHours(table, claimOf('smtp:example.org', { campaign: 'spring', tenant: 'a' }))).toBe(1)
    expect(lifetimeHours(table, claimOf('smtp:example.com', { campaign: 'spring' }))).toBe(2)
    expect(lifetimeHours(table, claimOf('smtp:example.org', { campaign: 'autumn' }))).toBe(3)
    expect(lifetimeHours(table, claimOf('smtp/spring:example.org'))).toBe(3)
    expect(lifetimeHours(table, claimOf('local:'))).toBe(4)
    expect(lifetimeHours(table, claimOf('smtp:example.com'))).toBe(120)
    expect(
      lifetimeHours(
        [{ when: ({ lane }) => lane.destination === 'example.com', lifetime: '5h' }],
        claimOf('smtp:example.com'),
      ),
    ).toBe(5)
  })

  it('leave the rest as it is', () => {
    const [rules] = [
      exceptionalRules([{ transport: 'smtp', retry: '7m' }], POSTFIX_RULES, TRANSPORTS, never)!(claimOf('smtp:a')),
    ]
    expect(rules?.lifetimeMs).toBe(120 * HOUR)
    expect(rules?.schedule({ now: 0, arrivedAt: 0, attempt: 3, random: seededRandom(1) })).toBe(420_000)
  })

  it('are not asked when there are none', () => {
    expect(exceptionalRules([], POSTFIX_RULES, TRANSPORTS, never)).toBeUndefined()
  })

  it('do not hold where their predicate throws, and that is told', () => {
    const errors: unknown[] = []
    const broken = (): boolean => {
      throw new Error('no table')
    }
    const rulesFor = exceptionalRules([{ when: broken, lifetime: 0 }], POSTFIX_RULES, TRANSPORTS, (error) =>
      errors.push(error),
    )!
    expect(rulesFor(claimOf('smtp:a'))).toBe(POSTFIX_RULES)
    expect(errors).toMatchObject([{ message: 'no table' }])
  })

  it.each<readonly [string, RetryException]>([
    ['names no transport', { transport: 'uucp', lifetime: '1h' }],
    ['not a duration', { lifetime: '-1h' }],
    ['not a list of waits', { retry: ',' }],
  ])('that can never hold are refused: %s', (text, exception) => {
    expect(() => exceptionalRules([exception], POSTFIX_RULES, TRANSPORTS, never)).toThrow(text)
  })
})

it('what a host leaves open is as Postfix has it', () => {
  const rules = usualRules({ bounceLifetime: '1d' }, POSTFIX_RULES, never)
  expect(rules).toMatchObject({ lifetimeMs: 120 * HOUR, bounceLifetimeMs: 24 * HOUR })
  expect(rules.schedule).toBe(POSTFIX_RULES.schedule)
})
