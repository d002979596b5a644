import type { Claim } from '@mailwright/core'
import { deferred, mailbox, recipients, testMessage } from '@mailwright/testing'
import { expect, it } from 'vitest'
import { expired, expiredUntried } from './expiry.ts'

function claimOf(...lastReplies: readonly (string | undefined)[]): Claim {
  const message = testMessage()
  const to = recipients(...lastReplies.map((_each, index) => `user${index}@example.org`))
  return {
    token: 't',
    options: {},
    message,
    leaseUntil: 0,
    entry: {
      message: 'm1',
      entry: 0,
      lane: 'smtp:example.org',
      sender: mailbox('ann@example.net'),
      recipients: to.map((each, index) => ({ ...each, lastReply: lastReplies[index] })),
      size: message.size,
      arrivedAt: 0,
      dueAt: 0,
      attempts: 3,
      claimed: true,
    },
  }
}

it('each recipient whose time is over fails with what was last said of it, or of its destination', () => {
  const down = deferred('451 4.4.1 no answer', 'destination')
  const outcomes = expiredUntried(claimOf('450 4.2.0 later', undefined), down)
  expect([...outcomes.values()].map((outcome) => outcome.reply.text)).toEqual([
    'Delivery time expired; last: 450 4.2.0 later',
    'Delivery time expired; last: 451 4.4.1 no answer',
  ])
  expect(expiredUntried(claimOf(undefined), undefined).get(1)).toEqual({
    status: 'failed',
    reply: { code: 550, enhanced: '5.4.7', text: 'Delivery time expired' },
  })
})

it('a failure repeats no more than the beginning of a long answer', () => {
  expect(expired(deferred(`450 4.2.0 ${'x'.repeat(9_000)}`)).reply.text.length).toBeLessThan(1_100)
})
