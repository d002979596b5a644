import { expect, it } from 'vitest'
import { type DestinationState, nextMove, PATIENCE_MS } from './dispatch-policy.ts'

const quiet: DestinationState = {
  waiting: 1,
  idle: 0,
  ready: 0,
  soon: 0,
  opening: 0,
  open: 0,
  limit: 20,
  answerMs: 0,
  waitedMs: 0,
  mayOpen: 'yes',
}

it.each<[string, Partial<DestinationState>, ReturnType<typeof nextMove>]>([
  ['nobody waits', { waiting: 0, idle: 3 }, 'wait'],
  ['there is no connection', {}, 'open'],
  ['a connection is idle', { idle: 1, ready: 1, open: 2 }, 'reuse'],
  ['a connection waits for its answer', { ready: 1, soon: 1, open: 2 }, 'stage'],
  ['a busy connection will take it', { soon: 1, open: 1 }, 'wait'],
  ['a busy connection takes only one of two', { waiting: 2, soon: 1, open: 1 }, 'open'],
  ['every connection has one staged already', { open: 2 }, 'open'],
  ['a connection is being made', { opening: 1 }, 'wait'],
  ['a connection being made takes one, and one behind', { waiting: 2, opening: 1 }, 'wait'],
  ['more wait than the connection being made can take', { waiting: 3, opening: 1 }, 'open'],
  ['the limit is reached', { waiting: 99, open: 15, opening: 5 }, 'wait'],
  ['no new connection may be tried', { open: 1, mayOpen: 'no' }, 'wait'],
  ['the busy connection keeps it waiting', { soon: 1, open: 1, waitedMs: PATIENCE_MS }, 'open'],
  ['it waits long, but a connection is being made', { opening: 1, waitedMs: PATIENCE_MS }, 'wait'],
  ['the server is slow to answer', { ready: 1, open: 1, answerMs: PATIENCE_MS + 1 }, 'open'],
  ['a slow server gets one message for each connection', { waiting: 2, opening: 1, answerMs: 9_000 }, 'open'],
])('when %s', (_, state, move) => {
  expect(nextMove({ ...quiet, ...state })).toBe(move)
})
