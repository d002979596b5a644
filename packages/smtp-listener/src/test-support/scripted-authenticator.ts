/** An authenticator that does what the test tells it to, and remembers what it was given. */
import type { AuthenticationContext, AuthenticationStep, Authenticator, Awaitable, Session } from '@mailwright/core'

export interface AuthenticatorScript {
  readonly mechanisms?: (session: Session) => readonly string[]
  /** Answers the n-th response, from 0 on. Default: whoever says `good` in the first response is ann. */
  readonly step?: (response: string | undefined, index: number) => Awaitable<AuthenticationStep>
  readonly begin?: () => void
}

export interface ScriptedAuthenticator extends Authenticator {
  /** `PLAIN`, `response good`, `cancel`, in order. */
  readonly calls: string[]
  readonly contexts: AuthenticationContext[]
  readonly signals: AbortSignal[]
}

export function scriptedAuthenticator(script: AuthenticatorScript = {}): ScriptedAuthenticator {
  const calls: string[] = []
  const contexts: AuthenticationContext[] = []
  const signals: AbortSignal[] = []
  return {
    name: 'scripted',
    calls,
    contexts,
    signals,
    mechanisms: script.mechanisms ?? (() => ['SCRAM-SHA-256', 'PLAIN']),
    begin(mechanism, context, call) {
      script.begin?.()
      calls.push(mechanism)
      contexts.push(context)
      signals.push(call.signal)
      let index = 0
      return {
        async step(response): Promise<AuthenticationStep> {
          const text = response && Buffer.from(response).toString()
          calls.push(text === undefined ? 'no response' : `response ${text}`)
          return (script.step ?? goodIsAnn)(text, index++)
        },
        cancel: () => void calls.push('cancel'),
      }
    },
  }
}

/** What the server asks for when there was no initial response. */
export const ASK: AuthenticationStep = { kind: 'challenge', data: new Uint8Array() }

export function challenge(text: string): AuthenticationStep {
  return { kind: 'challenge', data: Buffer.from(text) }
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function goodIsAnn(response: string | undefined): AuthenticationStep {
  if (response === undefined) return ASK
  return response === 'good'
    ? { kind: 'success', user: 'ann' }
    : { kind: 'failure', reason: 'wrong password', user: 'ann' }
}
