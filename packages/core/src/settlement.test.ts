import { describe, expect, it } from 'vitest'
import type { Recipient } from './envelope.ts'
import type { DeferredOutcome, Outcome } from './outcome.ts'
import { type RemoteAnswer, reply } from './reply.ts'
import { deferralText, movedEntries, remainingRecipients } from './settlement.ts'

function said(remote?: Partial<RemoteAnswer>): DeferredOutcome {
  const answer = remote && { remote: { host: 'mx.example.org', code: 450, lines: ['later'], ...remote } }
  return { status: 'deferred', scope: 'recipient', reply: reply(451, '4.4.1', 'No answer'), ...answer }
}

describe('a deferral in one line', () => {
  it('is what we say where nobody answered', () => {
    expect(deferralText(said())).toBe('451 4.4.1 No answer')
  })

  it('is what they answered, with their enhanced code once', () => {
    expect(deferralText(said())).toBe('451 4.4.1 No answer')
    expect(deferralText(said({}))).toBe('450 later')
    expect(deferralText(said({ enhanced: '4.2.0' }))).toBe('450 4.2.0 later')
    expect(deferralText(said({ enhanced: '4.2.0', lines: ['4.2.0 later', 'please'] }))).toBe('450 4.2.0 later please')
  })

  it('stays one line whatever they answered', () => {
    expect(deferralText(said({ lines: ['later\r\n250 ok'] }))).not.toMatch(/[\r\n]/)
  })

  it('has an end, however much they answered', () => {
    expect(deferralText(said({ lines: Array.from({ length: 128 }, () => 'x'.repeat(2_000)) }))).toHaveLength(1_000)
  })
})

it('the deferred stay with what was said, those without an outcome as they were, and all others go', () => {
  const [ann, bob, eve, joe] = ['ann', 'bob', 'eve', 'joe'].map((local, index) => {
    const address = { local, domain: 'example.org' }
    return { id: index + 1, address, original: address }
  })
  const outcomes = new Map<number, Outcome>([
    [1, { status: 'ok', action: 'relayed', reply: reply(250, '2.0.0', 'Ok') }],
    [2, said({ enhanced: '4.2.0' })],
    [4, { status: 'failed', reply: reply(550, '5.1.1', 'No such user') }],
  ])
  expect(remainingRecipients([ann!, bob!, eve!, joe!], outcomes)).toEqual([
    { ...bob!, lastReply: '450 4.2.0 later' },
    eve,
  ])
})

describe('those who go on elsewhere', () => {
  const [ann, bob] = ['ann', 'bob'].map((local, index) => {
    const address = { local, domain: 'example.org' }
    return { id: index + 1, address, original: address }
  }) as [Recipient, Recipient]

  it('take along what was said of them, and others may join', () => {
    const joining = { ...bob, id: 3 }
    const moved = movedEntries(
      [{ ...ann, lastReply: '450 later' }, bob],
      [
        { lane: 'smtp:a', recipients: [ann], dueAt: 1 },
        { lane: 'smtp:b', recipients: [bob, joining], dueAt: 2, held: 'spam' },
      ],
    )
    expect(moved).toEqual([
      { lane: 'smtp:a', recipients: [{ ...ann, lastReply: '450 later' }], dueAt: 1 },
      { lane: 'smtp:b', recipients: [bob, joining], dueAt: 2, held: 'spam' },
    ])
  })

  it('are never lost on the way, nor doubled', () => {
    const lost = [{ lane: 'smtp:a', recipients: [ann], dueAt: 1 }]
    const doubled = [{ lane: 'smtp:a', recipients: [ann, bob, ann], dueAt: 1 }]
    expect(() => movedEntries([ann, bob], lost)).toThrow('recipient 2 would be lost')
    expect(() => movedEntries([ann, bob], doubled)).toThrow('recipient 1 would go on twice')
  })
})
