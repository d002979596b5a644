import { describe, expect, it } from 'vitest'
import { hasCode, MailwrightError, toRefusal } from './errors.ts'
import { toOutcome } from './outcome.ts'
import { LOCAL_ERROR, reply } from './reply.ts'

const full = reply(452, '4.3.1', 'Insufficient system storage')
const never = reply(550, '5.1.1', 'no such mailbox')

describe('an error', () => {
  it('is recognised across two copies of the package, by its brand', () => {
    const foreign = Object.defineProperty(new Error('from another copy'), Symbol.for('mailwright.error'), {
      value: true,
    })
    expect(foreign).toBeInstanceOf(MailwrightError)
    for (const other of [new Error('x'), null, undefined, 'text', 7]) expect(other).not.toBeInstanceOf(MailwrightError)
  })

  it('carries a code, a cause and what a client may be told', () => {
    const cause = new Error('ENOSPC')
    const error = new MailwrightError('ERR_MAILWRIGHT_STORE', 'the disk is full', { cause, reply: full })
    expect(error).toMatchObject({ name: 'MailwrightError', code: 'ERR_MAILWRIGHT_STORE', cause, reply: full })
    expect(hasCode(error, 'ERR_MAILWRIGHT_STORE')).toBe(true)
    expect(hasCode(error, 'ERR_MAILWRIGHT_TIMEOUT')).toBe(false)
    expect(hasCode(new Error('x'), 'ERR_MAILWRIGHT_STORE')).toBe(false)
  })
})

describe('what a client is told of a failure', () => {
  it('is a bland temporary refusal, unless the error says otherwise', () => {
    expect(toRefusal(new Error('connect ECONNREFUSED /run/secret.sock'))).toBe(LOCAL_ERROR)
    expect(toRefusal('thrown text')).toBe(LOCAL_ERROR)
    expect(toRefusal(new MailwrightError('ERR_MAILWRIGHT_STORE', 'x'))).toBe(LOCAL_ERROR)
    expect(toRefusal(new MailwrightError('ERR_MAILWRIGHT_STORE', 'x', { reply: full }))).toBe(full)
  })
})

describe('what a delivery comes to that threw', () => {
  it('is a deferral, unless the error carries a permanent reply', () => {
    const cause = new Error('x')
    expect(toOutcome(cause)).toEqual({ status: 'deferred', scope: 'message', reply: LOCAL_ERROR, cause })
    expect(toOutcome(cause, 'destination')).toMatchObject({ scope: 'destination' })
    const later = new MailwrightError('ERR_MAILWRIGHT_STORE', 'x', { reply: full })
    expect(toOutcome(later)).toEqual({ status: 'deferred', scope: 'message', reply: full, cause: later })
    const fatal = new MailwrightError('ERR_MAILWRIGHT_PROTOCOL', 'x', { reply: never })
    expect(toOutcome(fatal)).toEqual({ status: 'failed', reply: never, cause: fatal })
  })
})
