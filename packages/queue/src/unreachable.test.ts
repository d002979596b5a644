import { deferred } from '@mailwright/testing'
import { expect, it } from 'vitest'
import { UnreachableDestinations } from './unreachable.ts'

const DOWN = deferred('451 4.4.1 no answer', 'destination')

it('a destination is remembered as unreachable, in all its lines, until it has answered', () => {
  const known = new UnreachableDestinations()
  expect(known.of('smtp:example.org')).toBeUndefined()
  known.learn('smtp/spring:example.org', DOWN)
  expect(known.of('smtp:example.org')).toBe(DOWN)
  expect(known.of('smtp:example.com')).toBeUndefined()
  known.learn('smtp:example.org', undefined)
  expect(known.of('smtp/spring:example.org')).toBeUndefined()
})

it('of very many unreachable destinations those known longest are forgotten', () => {
  const known = new UnreachableDestinations()
  for (let number = 0; number <= 10_000; number++) {
    known.learn(`smtp:${number}.example`, DOWN)
    known.learn('smtp:0.example', DOWN)
  }
  expect(known.of('smtp:0.example')).toBe(DOWN)
  expect(known.of('smtp:1.example')).toBeUndefined()
  expect(known.of('smtp:2.example')).toBe(DOWN)
})
