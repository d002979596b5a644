/** Outcomes taken for something else, because the host knows better: their answer stays as it was. */
import {
  type DeferredOutcome,
  type EnhancedCode,
  type FailedOutcome,
  type PermanentCode,
  type RemoteAnswer,
  reply,
  type TransientCode,
} from '@mailwright/core'

/** A refusal for good as one for now. */
export function asDeferral({ reply: said, remote, cause }: FailedOutcome): DeferredOutcome {
  return {
    status: 'deferred',
    scope: 'recipient',
    reply: reply<TransientCode>(451, otherClass(said.enhanced, 4), said.text),
    ...kept(remote, cause),
  }
}

/** A refusal for now as one for good. */
export function asFailure({ reply: said, remote, cause }: DeferredOutcome): FailedOutcome {
  return {
    status: 'failed',
    reply: reply<PermanentCode>(550, otherClass(said.enhanced, 5), said.text),
    ...kept(remote, cause),
  }
}

function otherClass<C extends 4 | 5>(enhanced: string, status: C): EnhancedCode<C> {
  return `${status}${enhanced.slice(1)}` as EnhancedCode<C>
}

function kept(remote: RemoteAnswer | undefined, cause: unknown): { remote?: RemoteAnswer; cause?: unknown } {
  return { ...(remote === undefined ? {} : { remote }), ...(cause === undefined ? {} : { cause }) }
}
