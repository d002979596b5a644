/** What every authenticator here lends its back end: the clock, the call, and a way to tell the operator. */
import type { Call, Scope } from '@mailwright/core'
import type { BackEndCall } from './credentials.ts'

/** Makes the call to a back end; its troubles become `failure` events. */
export function backEndCall(scope: Scope, call: Call, name: string): BackEndCall {
  return { signal: call.signal, clock: scope.environment.clock, report: (problem) => tell(scope, name, problem) }
}

/** Tells the operator what the client is not told. */
export function tell(scope: Scope, name: string, error: unknown): void {
  scope.events.emit({ type: 'failure', where: `authentication by ${name}`, error })
}
