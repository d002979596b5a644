import { type Answer, accept, close, discard, hold, next, type Policy, policy, reject, reply } from '@mailwright/core'
import { testMessage } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { permitNetworks } from './permit.ts'
import { restrictions } from './restrictions.ts'
import { atRcpt, call, opened, session, transaction, verdictOf } from './test-support/ask.ts'

const no = reply(550, '5.7.1', 'no')

function spy(stage: 'connect' | 'helo' | 'mail' | 'rcpt', answer: () => Answer): Policy & { asked: number } {
  const one = {
    asked: 0,
    ...policy(`spy-${stage}`, {
      [stage]: () => {
        one.asked++
        return answer()
      },
    }),
  }
  return one
}

describe('a restriction list', () => {
  it.each([
    ['at once', (answer: Answer) => answer],
    ['late', async (answer: Answer) => answer],
  ] as const)('ends at the first that accepts or refuses, with answers that come %s', async (_, when) => {
    const [yes, refuse, silent, undecided] = [accept('yes'), reject(no), undefined, next('hm')].map(
      (answer) => () => when(answer),
    )
    const after = spy('rcpt', () => reject(no))
    expect(await atRcpt(restrictions([spy('rcpt', silent!), spy('rcpt', undecided!), spy('rcpt', yes!), after]))).toBe(
      'accept',
    )
    expect(after.asked).toBe(0)
    const never = spy('rcpt', () => accept())
    expect(await atRcpt(restrictions([spy('rcpt', silent!), spy('rcpt', refuse!), never]))).toBe('reject 550 5.7.1 no')
    expect(never.asked).toBe(0)
    expect(await atRcpt(restrictions([spy('rcpt', silent!), spy('rcpt', undecided!)]))).toBe('silence')
  })

  it('that is empty has no opinion', async () => {
    expect(await atRcpt(restrictions([]))).toBe('silence')
  })

  it('passes close and discard on', async () => {
    expect(await atRcpt(restrictions([spy('rcpt', () => close(no)), spy('rcpt', () => accept())]))).toBe(
      'close 550 5.7.1 no',
    )
    expect(await atRcpt(restrictions([spy('rcpt', () => discard())]))).toBe('discard')
  })

  it('a hold takes effect only when the list goes on to accept', async () => {
    const holds = spy('rcpt', () => hold('suspicious'))
    const both = restrictions([holds, spy('rcpt', () => accept())])
    expect(await atRcpt(both)).toBe('hold')
    expect(await atRcpt(restrictions([holds, spy('rcpt', () => reject(no))]))).toBe('reject 550 5.7.1 no')
    expect(await atRcpt(restrictions([holds]))).toBe('silence')
  })

  it('keeps the edits of those that only mark the message', async () => {
    const mark = { edit: 'prepend-header', name: 'X-Mark', value: '1' } as const
    const marks = spy('rcpt', () => ({ ...next(), edits: [mark] }))
    const list = opened(
      restrictions([marks, spy('rcpt', async () => ({ ...accept(), edits: [{ ...mark, value: '2' }] }))]),
    )
    const [ann] = [
      { id: 1, address: { local: 'ann', domain: 'example.org' }, original: { local: 'ann', domain: 'example.org' } },
    ]
    expect(await list.rcpt?.(ann!, transaction(), call)).toEqual({
      verdict: { kind: 'accept' },
      edits: [mark, { ...mark, value: '2' }],
    })
    expect(await opened(restrictions([marks])).rcpt?.(ann!, transaction(), call)).toEqual({
      verdict: { kind: 'next' },
      edits: [mark],
    })
  })

  it('asks earlier stages at RCPT, in their place: whoever is permitted before is not bothered', async () => {
    const helo = spy('helo', () => reject(reply(504, '5.5.2', 'helo')))
    const policies = [permitNetworks(['10.0.0.0/8']), helo, spy('rcpt', () => accept())]
    expect(
      await atRcpt(restrictions(policies), undefined, { helo: 'x', client: { address: '10.0.0.1', port: 1 } }),
    ).toBe('accept')
    expect(helo.asked).toBe(0)
    expect(await atRcpt(restrictions(policies), undefined, { helo: 'x' })).toBe('reject 504 5.5.2 helo')
    expect(await atRcpt(restrictions(policies))).toBe('accept')
  })

  it('asks the same question once, and again when it is another', async () => {
    const [connect, helo, mail] = [
      spy('connect', () => next()),
      spy('helo', async () => undefined),
      spy('mail', () => undefined),
    ]
    const facts = session({ helo: 'one.example' })
    const list = opened(restrictions([connect, helo, mail, spy('rcpt', () => accept())]), facts)
    await atRcpt(list)
    await atRcpt(list)
    expect([connect.asked, helo.asked, mail.asked]).toEqual([1, 1, 1])
    list.reset?.()
    facts.helo = 'two.example'
    await atRcpt(list)
    expect([connect.asked, helo.asked, mail.asked]).toEqual([1, 2, 2])
  })

  it('asks again after a failure, and passes the failure on', async () => {
    let broken = true
    const mail = spy('mail', async () => {
      if (broken) throw new Error('dns is down')
      return accept()
    })
    const list = opened(restrictions([mail]))
    await expect(atRcpt(list)).rejects.toThrow('dns is down')
    broken = false
    expect(await atRcpt(list)).toBe('accept')
    const throwing = restrictions([
      spy('rcpt', () => {
        throw new Error('a bug')
      }),
    ])
    await expect(atRcpt(throwing)).rejects.toThrow('a bug')
  })

  it('passes later stages on to every policy that has one', async () => {
    const log: string[] = []
    const late = policy('late', {
      data: () => void log.push('data'),
      message: async () => hold('look at it'),
      reset: () => log.push('reset'),
      close: () => log.push('close'),
    })
    const strict = policy('strict', { data: () => reject(reply(554, '5.7.0', 'no data')) })
    const list = opened(restrictions([permitNetworks(['203.0.113.0/24']), late, strict]))
    expect(await atRcpt(list)).toBe('accept')
    expect(verdictOf(await list.data?.(transaction(), call))).toBe('reject 554 5.7.0 no data')
    expect(verdictOf(await list.message?.(testMessage(), transaction(), call))).toBe('hold')
    list.reset?.()
    list.close?.()
    expect(log).toEqual(['data', 'reset', 'close'])
    const short = opened(restrictions([spy('rcpt', () => accept())]))
    expect([short.data, short.message]).toEqual([undefined, undefined])
  })

  it('nests', async () => {
    const inner = restrictions([permitNetworks(['10.0.0.0/8'])], 'friends')
    const outer = restrictions([inner, spy('rcpt', () => reject(no))])
    expect(inner.name).toBe('friends')
    expect(await atRcpt(outer, undefined, { client: { address: '10.0.0.1', port: 1 } })).toBe('accept')
    expect(await atRcpt(outer)).toBe('reject 550 5.7.1 no')
  })
})
