import { replyLine } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { refused, refusedForNow, relayed } from './delivery.ts'

const HOST = { label: 'mx[192.0.2.1]:25' }
const said = (code: number, text: string) => ({ code, lines: [text] })

describe('their refusal', () => {
  it.each([
    [550, '5.1.1 unknown', 'failed 550 5.1.1'],
    [450, '4.2.1 later', 'deferred 450 4.2.1'],
    [550, '4.1.1 class disagrees', 'failed 550 5.0.0'],
    [451, '5.7.1 class disagrees', 'deferred 451 4.0.0'],
    [550, 'no enhanced code', 'failed 550 5.0.0'],
    [550, '5.1.1234 not well-formed', 'failed 550 5.0.0'],
    [550, '5.1.1.1 an address?', 'failed 550 5.0.0'],
    // Codes that would end or change our own client's session, were they passed on.
    [530, '5.7.0 authenticate first', 'failed 554 5.7.0'],
    [521, '5.3.2 no mail here', 'failed 554 5.3.2'],
    [500, '5.5.2 what?', 'failed 554 5.5.2'],
    [421, '4.3.2 closing', 'deferred 451 4.3.2'],
    [454, '4.7.0 no TLS', 'deferred 451 4.7.0'],
    [552, '5.2.2 full', 'failed 552 5.2.2'],
  ])('%i %s is ours as %s', (code, text, expected) => {
    const outcome = refused(HOST, said(code, text), 'message')
    expect(`${outcome.status} ${replyLine(outcome.reply)}`.startsWith(expected)).toBe(true)
    expect(outcome.remote).toMatchObject({ host: HOST.label, code, lines: [text] })
  })

  it('is temporary where a host will not talk at all', () => {
    expect(refusedForNow(HOST, said(554, '5.7.1 no'), 'destination')).toMatchObject({
      status: 'deferred',
      reply: { code: 451, enhanced: '4.0.0' },
      remote: { code: 554, enhanced: '5.7.1' },
    })
  })

  it('cannot put control characters in our reply', () => {
    expect(refused(HOST, said(550, 'a\u001b[2Jb\rc'), 'message').reply.text).not.toMatch(/[\x00-\x1f]/)
  })
})

it('a server with DSN reports success to the sender, another does not', () => {
  const answer = { code: 250, lines: ['2.0.0 Ok'] }
  expect(relayed(HOST, answer, 'dsn').reportedBy).toBe('next-hop')
  expect(relayed(HOST, answer, 'no dsn').reportedBy).toBeUndefined()
})

it('their consent is ours with code 250', () => {
  expect(relayed(HOST, { code: 251, lines: ['2.6.0 one', '2.6.0 two'] })).toMatchObject({
    status: 'ok',
    action: 'relayed',
    reply: { code: 250, enhanced: '2.6.0', text: `host ${HOST.label} said: 251 2.6.0 one 2.6.0 two` },
  })
})
