import { type Answer, accept, type PolicySession, policy, reject, reply } from '@mailwright/core'
import { recipients, testEnvironment, testMessage } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { advisory, unless, when } from './conditions.ts'
import { atRcpt, call, opened, session, transaction, verdictOf } from './test-support/ask.ts'

const [ann] = recipients('ann@example.org')

/** A policy that answers the same at every stage. */
function everywhere(answer: () => Answer, log: string[] = []) {
  return policy('everywhere', {
    connect: answer,
    helo: answer,
    mail: answer,
    rcpt: answer,
    data: answer,
    message: answer,
    reset: () => log.push('reset'),
    close: () => log.push('close'),
  })
}

async function allStages(asked: PolicySession): Promise<string[]> {
  const answers = [
    asked.connect?.(call),
    asked.helo?.('x', call),
    asked.mail?.(transaction(), call),
    asked.rcpt?.(ann!, transaction(), call),
    asked.data?.(transaction(), call),
    asked.message?.(testMessage(), transaction(), call),
  ]
  return (await Promise.all(answers)).map(verdictOf)
}

describe('a condition', () => {
  it('lets a policy speak at every stage while it holds, and at none while it does not', async () => {
    const facts = session()
    const log: string[] = []
    const asked = opened(
      when(
        (client) => client.user === 'ann',
        everywhere(() => accept(), log),
      ),
      facts,
    )
    expect(await allStages(asked)).toEqual(new Array(6).fill('silence'))
    facts.user = 'ann'
    expect(await allStages(asked)).toEqual(new Array(6).fill('accept'))
    asked.reset?.()
    asked.close?.()
    expect(log).toEqual(['reset', 'close'])
  })

  it('can be the opposite', async () => {
    const policy = unless(
      (client) => client.tls !== undefined,
      everywhere(() => reject(reply(530, '5.7.0', 'TLS first'))),
    )
    expect(await atRcpt(policy)).toBe('reject 530 5.7.0 TLS first')
    expect(await atRcpt(policy, undefined, { tls: { protocol: 'TLSv1.3', cipher: 'x' } })).toBe('silence')
  })

  it('sees the transaction from MAIL on', async () => {
    const seen: unknown[] = []
    const asked = opened(
      when(
        (_, current) => {
          seen.push(current?.sender?.local)
          return current?.sender === null
        },
        everywhere(() => accept()),
      ),
    )
    expect((await allStages(asked)).every((verdict) => verdict === 'silence')).toBe(true)
    expect(seen).toEqual([undefined, undefined, 'bob', 'bob', 'bob', 'bob'])
    expect(await atRcpt(asked, undefined, {}, null)).toBe('accept')
  })

  it('adds no stages to a policy that does not have them', () => {
    const asked = opened(when(() => true, policy('helo only', { helo: () => undefined })))
    expect(asked.helo).toBeDefined()
    expect([asked.connect, asked.mail, asked.rcpt, asked.data, asked.message]).toEqual(new Array(5).fill(undefined))
    asked.reset?.()
    asked.close?.()
  })
})

describe('an advisory policy', () => {
  it('counts when it answers', async () => {
    const policy = advisory(everywhere(() => reject(reply(550, '5.7.1', 'no'))))
    expect(await atRcpt(policy)).toBe('reject 550 5.7.1 no')
    const late = advisory(everywhere(async () => accept()))
    expect(await atRcpt(late)).toBe('accept')
    expect(await atRcpt(advisory(everywhere(() => undefined)))).toBe('silence')
  })

  it('has no opinion when it fails, at once or late, and says why', async () => {
    const fails = [
      (): Answer => {
        throw new Error('the filter is down')
      },
      async (): Promise<never> => {
        throw 'the filter is down'
      },
    ]
    for (const fail of fails) {
      const answer = await opened(advisory(everywhere(fail))).rcpt?.(ann!, transaction(), call)
      expect(answer).toEqual({ verdict: { kind: 'next' }, reason: 'skipped at rcpt: the filter is down' })
    }
  })

  it('has no opinion when it takes too long', async () => {
    const world = testEnvironment()
    const asked = opened(
      advisory(
        everywhere(() => new Promise(() => {})),
        { timeout: '2s' },
      ),
      {},
      world,
    )
    const answer = await world.clock.until(Promise.resolve(asked.rcpt?.(ann!, transaction(), call)))
    expect(answer).toEqual({ verdict: { kind: 'next' }, reason: 'skipped at rcpt: took too long' })
    expect(world.clock.now() - Date.UTC(2026, 0, 1)).toBe(2_000)
    const quick = opened(advisory(everywhere(async () => accept())), {}, world)
    expect(verdictOf(await quick.rcpt?.(ann!, transaction(), call))).toBe('accept')
    await world.clock.settle()
    expect(world.clock.pending).toBe(0)
  })
})
