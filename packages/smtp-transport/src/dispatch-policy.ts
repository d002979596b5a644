/**
 * When a destination gets another connection: the one place to tune it. Pure.
 *
 * A message that waits is best served by a connection without work; then by standing behind a message whose data is
 * sent already, because that costs no write of its own; then by waiting a moment for a busy connection that can take
 * it behind its data. A new connection is for what the others cannot take soon. A server that takes long to answer the
 * final dot gets no envelopes staged behind: they could not be taken back, and others would be faster.
 */

export interface DestinationState {
  /** Messages that no connection has. */
  readonly waiting: number
  /** Connections without work. */
  readonly idle: number
  /** Connections that have sent their data, wait for the reply, and can take an envelope behind it now. */
  readonly ready: number
  /** Busy connections that will be able to, once they send their data. */
  readonly soon: number
  /** Connections being made. */
  readonly opening: number
  /** All connections with a session. */
  readonly open: number
  readonly limit: number
  /** How long this destination usually takes to answer the final dot, ms; 0 when unknown. */
  readonly answerMs: number
  /** How long the first message has waited, ms. */
  readonly waitedMs: number
  /** Whether new connections may be made: not shortly after one could not be had. */
  readonly mayOpen: 'yes' | 'no'
}

export type Move = 'reuse' | 'stage' | 'open' | 'wait'

/** A message that no connection has taken for so long gets a new connection, whatever the others promise. */
export const PATIENCE_MS = 250

/** Whether this destination answers fast enough for an envelope to stand behind another message. */
export function worthStaging(answerMs: number): boolean {
  return answerMs <= PATIENCE_MS
}

/** What to do next for the first message that waits. */
export function nextMove(state: DestinationState): Move {
  if (state.waiting === 0) return 'wait'
  if (state.idle > 0) return 'reuse'
  const fast = worthStaging(state.answerMs)
  if (fast && state.ready > 0) return 'stage'
  if (state.mayOpen === 'no' || state.open + state.opening >= state.limit) return 'wait'
  // A connection being made takes one message, and one behind it.
  const expected = fast ? state.opening * 2 + state.soon : state.opening
  const overdue = state.waitedMs >= PATIENCE_MS && state.opening === 0
  return state.waiting > expected || overdue ? 'open' : 'wait'
}
