import { type Reply, reply, replyLine } from '@mailwright/core'
import { mailbox, recordedEvents, testEnvironment } from '@mailwright/testing'
import { describe, expect, test } from 'vitest'
import { IncomingBody } from './incoming-body.ts'
import { LiveTransaction } from './live-transaction.ts'
import type { Reception } from './receive-message.ts'
import { conversation, willing } from './testing-support/conversation.ts'

const LOCAL = '451 4.3.0 Temporary failure, please try again later'

/** A reception whose panel of policies does this, for two recipients. */
function receiving(protocol: 'smtp' | 'lmtp', ask: Reception['ask']) {
  const environment = testEnvironment()
  const events = recordedEvents(environment.clock)
  const transaction = new LiveTransaction({ sender: null, options: {} })
  for (const name of ['ann', 'bob'])
    transaction.accept(transaction.recipient({ recipient: mailbox(`${name}@example.org`) }))
  const taken: boolean[] = []
  const { session } = conversation({ protocol }).dialogue
  const reception: Reception = {
    settings: {
      maxSize: 1_000,
      maxHeadSize: 1_000,
      inlineLimit: 1_000,
      lineEnds: 'reject',
      transport: willing(),
    } as never,
    environment,
    events,
    session,
    transaction,
    before: undefined as never,
    ask,
    report: (refusal) => refusal,
    call: { signal: new AbortController().signal },
    giveUp: () => {},
    nextRecipientId: () => transaction.nextId(),
  }
  const body = new IncomingBody(reception, { bodyEnded: (positive) => void taken.push(positive) })
  return { body, events, taken }
}

describe('a bug on the way to the reply', () => {
  const bug = new Error('secret')
  const ways: readonly (readonly [string, Reception['ask']])[] = [
    [
      'at once',
      () => {
        throw bug
      },
    ],
    ['later', () => Promise.reject(bug)],
  ]

  test.each(ways)('is one temporary refusal, %s, and the end of the transaction', async (_when, ask) => {
    const { body, events, taken } = receiving('smtp', ask)
    await body.write(Buffer.from('Subject: hi\r\n\r\n'))
    expect((await body.end()).map(replyLine)).toEqual([LOCAL])
    expect(events.of('failure')).toMatchObject([{ where: 'intake', error: bug }])
    expect(taken).toEqual([false])
  })

  test.each(ways)('is one for each recipient with LMTP, %s', async (_when, ask) => {
    const { body } = receiving('lmtp', ask)
    expect((await body.end()).map(replyLine)).toEqual([LOCAL, LOCAL])
  })
})

test('a message that somebody took is counted, also when others did not get it', async () => {
  const answers: readonly Reply[] = [reply(550, '5.1.1', 'no'), reply(250, '2.0.0', 'Ok')]
  const { body, taken } = receiving('lmtp', (() => answers) as unknown as Reception['ask'])
  expect(await body.end()).toBe(answers)
  expect(taken).toEqual([true])
})
