import type { Labels, NewEntry } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { inStreamOf, inStreams, type StreamRules, streamOf } from './streams.ts'

function entries(...lanes: readonly string[]): NewEntry[] {
  return lanes.map((lane) => ({ lane, recipients: [], dueAt: 0 }))
}

function lanes(given: readonly NewEntry[], labels?: Labels, rules: Partial<StreamRules> = {}): string[] {
  const all = { streamOf: streamOf(['campaign', 'tenant'], () => {}), bulkAbove: 2, ...rules }
  return inStreams(given, 'm1', labels === undefined ? {} : { labels }, all).map(({ lane }) => lane)
}

describe('the line of an entry', () => {
  it('is the common one for mail without labels, and that costs nothing', () => {
    const given = entries('smtp:a.example', 'smtp:b.example')
    const rules = { streamOf: streamOf(['campaign'], () => {}), bulkAbove: 2 }
    expect(inStreams(given, 'm1', {}, rules)).toBe(given)
    expect(inStreams(given, 'm1', { labels: { kind: 'news' } }, rules)).toBe(given)
  })

  it('is the stream of the first label that is named, at each destination', () => {
    const given = entries('smtp:a.example', 'lmtp:')
    expect(lanes(given, { tenant: 'acme', campaign: 'sale' })).toEqual(['smtp/sale:a.example', 'lmtp/sale:'])
    expect(lanes(given, { tenant: 'acme' })).toEqual(['smtp/acme:a.example', 'lmtp/acme:'])
  })

  it('is the common one where the label is empty', () => {
    expect(lanes(entries('smtp:a.example'), { campaign: '' })).toEqual(['smtp:a.example'])
  })

  it('is one of its own for a message with very many entries at one destination, and only there', () => {
    const given = entries('smtp:big.example', 'smtp:a.example', 'smtp:big.example', 'smtp:big.example')
    expect(lanes(given)).toEqual([
      'smtp/m1:big.example',
      'smtp:a.example',
      'smtp/m1:big.example',
      'smtp/m1:big.example',
    ])
    expect(lanes(given, { campaign: 'sale' })).toEqual([
      'smtp/m1:big.example',
      'smtp/sale:a.example',
      'smtp/m1:big.example',
      'smtp/m1:big.example',
    ])
  })

  it('is the one the router has chosen, where it has', () => {
    expect(lanes(entries('smtp/vip:a.example'), { campaign: 'sale' })).toEqual(['smtp/vip:a.example'])
  })

  it('is no stream for what was refused', () => {
    expect(lanes(entries('error:550 5.1.1 a/b'), { campaign: 'sale' })).toEqual(['error:550 5.1.1 a/b'])
  })

  it.each([
    ['a:b/c=d', 'a=3ab=2fc=3dd'],
    ['größe', 'gr=c3=b6=c3=9fe'],
    ['\ud800', '=ef=bf=bd'],
  ])('is written so that it can be read again: %j', (name, written) => {
    expect(lanes(entries('smtp:a.example'), { campaign: name })).toEqual([`smtp/${written}:a.example`])
  })

  it('tells long names apart that begin alike, and is not long itself', () => {
    const long = (end: string): string => lanes(entries('smtp:a'), { campaign: 'x'.repeat(200) + end })[0]!
    expect(long('1')).not.toBe(long('2'))
    expect(long('1').length).toBeLessThanOrEqual('smtp/:a'.length + 64)
  })

  it('stays apart when the mail is routed again', () => {
    const moved = entries('smtp:new.example', 'smtp/vip:a.example', 'error:550 5.1.1 no')
    expect(inStreamOf('smtp/sale:old.example', moved).map(({ lane }) => lane)).toEqual([
      'smtp/sale:new.example',
      'smtp/vip:a.example',
      'error:550 5.1.1 no',
    ])
    expect(inStreamOf('smtp:old.example', moved)).toBe(moved)
  })
})
