import { describe, expect, it } from 'vitest'
import type { Environment } from './environment.ts'
import { accept, close, discard, hold, next, policy, reject } from './policy.ts'
import { reply } from './reply.ts'
import { laneKey, parseLaneKey } from './router.ts'
import type { Session } from './session.ts'

const refusal = reply(550, '5.7.1', 'no')

describe('a decision', () => {
  it('is data, with its reason where one was given', () => {
    expect(next()).toEqual({ verdict: { kind: 'next' } })
    expect(accept('ours')).toEqual({ verdict: { kind: 'accept' }, reason: 'ours' })
    expect(reject(refusal)).toEqual({ verdict: { kind: 'reject', reply: refusal } })
    expect(close(refusal, 'listed')).toEqual({ verdict: { kind: 'close', reply: refusal }, reason: 'listed' })
    expect(discard().verdict.kind).toBe('discard')
    expect(hold('look at it')).toEqual({ verdict: { kind: 'hold' }, reason: 'look at it' })
  })
})

describe('a policy', () => {
  const session = { id: 's1' } as Session
  const environment = {} as Environment

  it('made of stages alone has no state of its own', () => {
    const stages = { rcpt: () => accept() }
    expect(policy('all', stages).open(session, environment)).toBe(stages)
  })

  it('made of a function is opened once for each session', () => {
    const opened: string[] = []
    const made = policy('counting', (of) => {
      opened.push(of.id)
      return {}
    })
    made.open(session, environment)
    expect([made.name, opened]).toEqual(['counting', ['s1']])
  })
})

describe('a lane', () => {
  it('survives being made a key, also with colons in its destination', () => {
    const lane = { transport: 'smtp', destination: '[2001:db8::1]:25' }
    expect(parseLaneKey(laneKey(lane))).toEqual(lane)
  })
})
