/**
 * The way every mechanism here is written: as a dialogue, a generator that yields challenges, is given responses and
 * returns how it ended. This file runs one as the `AuthenticationExchange` of the port, and keeps what holds for all:
 * responses have a limit, trouble of a back end is a 454 that tells the client nothing, and nothing follows the end.
 */
import {
  type AuthenticationExchange,
  type AuthenticationStep,
  type Call,
  type Refusal,
  reply,
  toRefusal,
} from '@mailwright/core'

/** How an exchange ended. */
export type Verdict = Exclude<AuthenticationStep, { readonly kind: 'challenge' }>
/** A mechanism at work: yields challenges, is given the client's responses. */
export type MechanismDialogue = AsyncGenerator<Uint8Array, Verdict, Uint8Array>

/** The longest response, in bytes: what the longest line of RFC 4954 §4 holds, 12,288 octets of base64. */
export const MAX_RESPONSE = 9_216
/** A challenge without words. */
export const EMPTY: Uint8Array = new Uint8Array(0)
/** The back end did not answer, or could not: the client keeps its password and tries again (RFC 4954 §6). */
export const TEMPORARY_FAILURE: Refusal = reply(454, '4.7.0', 'Temporary authentication failure')
const MALFORMED: Refusal = reply(501, '5.5.2', 'Malformed authentication response')

/** The client is not who it says, or we do not know it: outside, the two look the same. */
export function refused(reason: string, user?: string): Verdict {
  return { kind: 'failure', reason, user }
}

/** What the client sent is not what the mechanism asks for. */
export function malformed(reason: string): Verdict {
  return { kind: 'failure', reason, reply: MALFORMED }
}

/** Who could tell does not answer. */
export function unavailable(reason: string, user?: string): Verdict {
  return { kind: 'failure', reason, user, reply: TEMPORARY_FAILURE }
}

/** An exchange that was over before it began. */
export function endedExchange(verdict: Verdict): AuthenticationExchange {
  return { step: async () => verdict, cancel: () => undefined }
}

/**
 * Runs a mechanism. `begin` gets the initial response, or undefined. `report` is told of trouble, which the client
 * never is.
 */
export function runExchange(
  begin: (initial: Uint8Array | undefined) => MechanismDialogue,
  call: Call,
  report: (problem: unknown) => void,
): AuthenticationExchange {
  let dialogue: MechanismDialogue | undefined
  let state: 'open' | 'busy' | 'over' = 'open'

  async function step(response: Uint8Array | undefined): Promise<AuthenticationStep> {
    if (state !== 'open') return malformed('a response after the end')
    if (response !== undefined && response.length > MAX_RESPONSE) {
      state = 'over'
      return malformed('response too long')
    }
    state = 'busy'
    try {
      const first = dialogue === undefined
      dialogue ??= begin(response)
      const turn = first ? await dialogue.next(EMPTY) : await dialogue.next(response ?? EMPTY)
      if (state !== 'busy') return unavailable('cancelled')
      state = turn.done ? 'over' : 'open'
      return turn.done ? turn.value : { kind: 'challenge', data: turn.value }
    } catch (error) {
      state = 'over'
      if (call.signal.aborted) return unavailable('given up')
      report(error)
      const refusal = toRefusal(error)
      return {
        kind: 'failure',
        reason: 'the back end failed',
        reply: refusal.code === 421 || refusal.code === 454 ? refusal : TEMPORARY_FAILURE,
      }
    }
  }

  return {
    step,
    cancel(): void {
      state = 'over'
    },
  }
}
