import { reply } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { errorLane, errorLaneOutcome } from './error-lane.ts'

/** What becomes of mail in the lane of a refusal. */
function outcomeOf(lane: string): ReturnType<typeof errorLaneOutcome> {
  return errorLaneOutcome(lane.slice('error:'.length))
}

describe('an error lane', () => {
  it('fails mail with the refusal it was made of', () => {
    const refusal = reply(550, '5.1.1', 'no such user: ann')
    expect(errorLane(refusal)).toBe('error:550 5.1.1 no such user: ann')
    expect(outcomeOf(errorLane(refusal))).toEqual({ status: 'failed', reply: refusal })
  })

  it('defers mail when the refusal was for now', () => {
    const refusal = reply(450, '4.2.1', 'mailbox is moving')
    expect(outcomeOf(errorLane(refusal))).toEqual({ status: 'deferred', scope: 'recipient', reply: refusal })
  })

  it('has one line, and a name no store finds too long', () => {
    const refusal = { code: 550, enhanced: '5.1.1', text: ['gone\r\nRSET', 'ä'.repeat(900)] } as const
    const lane = errorLane(refusal)
    expect(lane).toMatch(/^error:550 5\.1\.1 gone RSET ä+$/)
    expect(Buffer.byteLength(lane)).toBeLessThan(500)
    expect(outcomeOf(lane)).toMatchObject({ status: 'failed', reply: { code: 550 } })
  })

  it('does not cut a character in half: the lane must be the same when it comes back from disk', () => {
    const lane = errorLane(reply(550, '5.1.1', `${'x'.repeat(189)}😀`))
    expect(Buffer.from(lane).toString()).toBe(lane)
  })

  it('fails mail of a destination it cannot read', () => {
    expect(errorLaneOutcome('')).toMatchObject({ status: 'failed', reply: { code: 550, enhanced: '5.3.5' } })
  })
})
