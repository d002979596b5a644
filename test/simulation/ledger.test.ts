import { describe, expect, it } from 'vitest'
import { type Copy, Ledger } from './ledger.ts'

const HELD = { keeper: 'a', id: 'q1' }
const ANN = 'ann@example.org'
const heard: Copy = { place: 'b q2', excuse: () => undefined }
const unheard: Copy = { place: 'b q3', excuse: () => 'the connection was cut' }

function ledgerWithAnn(): Ledger {
  const ledger = new Ledger(() => {})
  ledger.took(HELD, '<m@example.org>', [ANN])
  return ledger
}

describe('the ledger', () => {
  it('is content when a keeper lets go and the next has a copy', () => {
    const ledger = ledgerWithAnn()
    expect(ledger.held('a')).toBe(1)
    ledger.copied(HELD, ANN, heard)
    ledger.released(HELD, ANN, 'passed on')
    expect(ledger.problems).toEqual([])
    expect(ledger.held('a')).toBe(0)
    expect(ledger.charges[0]).toMatchObject({ state: 'passed on', recipient: ANN })
  })

  it('is content when a keeper lets go because the sender is told', () => {
    const ledger = ledgerWithAnn()
    ledger.deferred(HELD, ANN)
    ledger.released(HELD, ANN, 'returned')
    expect(ledger.problems).toEqual([])
  })

  it('names mail that was let go although nobody has it', () => {
    const ledger = ledgerWithAnn()
    ledger.released(HELD, ANN, 'passed on')
    expect(ledger.problems).toEqual([expect.stringContaining('nobody has a copy')])
  })

  it('names a second copy whose keeper had been told of the first', () => {
    const ledger = ledgerWithAnn()
    ledger.copied(HELD, ANN, heard)
    ledger.copied(HELD, ANN, heard)
    ledger.released(HELD, ANN, 'passed on')
    expect(ledger.problems).toEqual([expect.stringContaining('had said so')])
  })

  it('names a deferral after the next had said that it has the copy', () => {
    const ledger = ledgerWithAnn()
    ledger.copied(HELD, ANN, heard)
    ledger.deferred(HELD, ANN)
    expect(ledger.problems).toEqual([expect.stringContaining('had said so')])
  })

  it('names mail that is both delivered and returned', () => {
    const ledger = ledgerWithAnn()
    ledger.copied(HELD, ANN, heard)
    ledger.released(HELD, ANN, 'returned')
    expect(ledger.problems).toHaveLength(1)
  })

  it('explains a second copy by a lost answer, and counts it', () => {
    const ledger = ledgerWithAnn()
    ledger.copied(HELD, ANN, unheard)
    ledger.deferred(HELD, ANN)
    ledger.copied(HELD, ANN, heard)
    ledger.released(HELD, ANN, 'passed on')
    expect(ledger.problems).toEqual([])
    expect(ledger.explained).toBe(1)
  })

  it('explains a second copy by a crash of its keeper, but not by anybody else’s', () => {
    for (const [who, problems] of [
      ['a', 0],
      ['b', 1],
    ] as const) {
      const ledger = ledgerWithAnn()
      ledger.copied(HELD, ANN, heard)
      ledger.crashed(who)
      ledger.copied(HELD, ANN, heard)
      ledger.released(HELD, ANN, 'passed on')
      expect(ledger.problems).toHaveLength(problems)
    }
  })

  it('names copies that come too late, or from nowhere', () => {
    const ledger = ledgerWithAnn()
    ledger.copied(HELD, ANN, heard)
    ledger.released(HELD, ANN, 'passed on')
    ledger.copied(HELD, ANN, heard)
    ledger.copied({ keeper: 'a', id: 'q9' }, ANN, heard)
    expect(ledger.problems).toEqual([
      expect.stringContaining('although it was passed on already'),
      expect.stringContaining('out of nowhere'),
    ])
  })

  it('names what is taken twice, and what is let go twice', () => {
    const ledger = ledgerWithAnn()
    ledger.took(HELD, '<m@example.org>', [ANN])
    ledger.released(HELD, ANN, 'dropped')
    ledger.released(HELD, ANN, 'dropped')
    expect(ledger.problems).toEqual([expect.stringContaining('taken twice'), expect.stringContaining('it was dropped')])
  })

  it('asks what has arrived before it judges', () => {
    const ledger: Ledger = new Ledger(() => {
      if (ledger.held('a') > 0) ledger.copied(HELD, ANN, heard)
    })
    ledger.took(HELD, '<m@example.org>', [ANN])
    ledger.released(HELD, ANN, 'passed on')
    expect(ledger.problems).toEqual([])
  })
})
