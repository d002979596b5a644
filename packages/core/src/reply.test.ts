import { describe, expect, it } from 'vitest'
import { closesConnection, isPositive, isRefusal, isTransient, reply, replyLine, wireText } from './reply.ts'

describe('a reply', () => {
  it('cannot be made with an enhanced code of another class', () => {
    // @ts-expect-error a 451 with class 5 does not compile
    reply(451, '5.3.0', 'no')
    // @ts-expect-error nor does a 250 with class 4
    reply(250, '4.0.0', 'no')
    expect(reply(451, '4.3.0', 'yes').enhanced).toBe('4.3.0')
  })

  it('never holds a line break, whatever it is made from', () => {
    expect(reply(550, '5.1.1', 'no\r\n250 2.0.0 yes').text).toBe('no 250 2.0.0 yes')
    expect(reply(250, '2.0.0', ['one\ntwo', 'three\0']).text).toEqual(['one two', 'three '])
    expect(wireText('a\tb\x7fc')).toBe('a\tb c')
    expect(wireText('a\u0085b\u2028c\x9bd')).toBe('a b c d')
  })

  it('knows what it means for the client', () => {
    const [ok, later, never] = [reply(250, '2.0.0', ''), reply(450, '4.2.0', ''), reply(550, '5.1.1', '')]
    expect([ok, later, never].map(isPositive)).toEqual([true, false, false])
    expect([ok, later, never].map(isRefusal)).toEqual([false, true, true])
    expect([ok, later, never].map(isTransient)).toEqual([false, true, false])
  })

  it('ends the connection with 421 and 521 only', () => {
    expect(closesConnection(reply(421, '4.3.2', ''))).toBe(true)
    expect(closesConnection(reply(521, '5.7.1', ''))).toBe(true)
    expect(closesConnection(reply(554, '5.7.1', ''))).toBe(false)
  })

  it('reads as one line in a log', () => {
    expect(replyLine(reply(550, '5.1.1', 'no such mailbox'))).toBe('550 5.1.1 no such mailbox')
    expect(replyLine(reply(250, '2.0.0', ['one', 'two']))).toBe('250 2.0.0 one two')
  })
})
