import { describe, expect, it } from 'vitest'
import { throwIfAborted } from './call.ts'

describe('whoever only looks whether a call is over', () => {
  it('makes no signal where the caller knows that it is not', () => {
    const call = {
      aborted: false,
      get signal(): AbortSignal {
        throw new Error('a signal was made')
      },
    }
    expect(() => throwIfAborted(call)).not.toThrow()
  })

  it('is told why it is over, whoever says so', () => {
    const signal = AbortSignal.abort(new Error('the client is gone'))
    expect(() => throwIfAborted({ signal })).toThrow('the client is gone')
    expect(() => throwIfAborted({ signal, aborted: true })).toThrow('the client is gone')
    expect(() => throwIfAborted({ signal: new AbortController().signal })).not.toThrow()
  })
})
