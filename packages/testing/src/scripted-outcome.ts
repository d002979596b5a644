/** Outcomes in a word or a line, for scripts. */
import {
  type DeferredOutcome,
  type FailedOutcome,
  MailwrightError,
  type OkOutcome,
  type Outcome,
  type PermanentCode,
  type Refusal,
  reply,
  type TransientCode,
} from '@mailwright/core'

/** An outcome, or how one says it: `'ok'`, `'450 4.2.0 greylisted'`, `'550 5.1.1 no such mailbox'`. */
export type ScriptedOutcome = Outcome | 'ok' | `${4 | 5}${string}`

/** The outcome a script means. */
export function outcomeOf(scripted: ScriptedOutcome): Outcome {
  if (typeof scripted !== 'string') return scripted
  if (scripted === 'ok') return delivered()
  return scripted.startsWith('4') ? deferred(scripted as `4${string}`) : failed(scripted as `5${string}`)
}

/** The transport has it. */
export function delivered(action: OkOutcome['action'] = 'delivered'): OkOutcome {
  return { status: 'ok', action, reply: reply(250, '2.0.0', 'Ok') }
}

/** Not now. @example deferred('421 4.4.1 no answer', 'destination') */
export function deferred(line: `4${string}`, scope: DeferredOutcome['scope'] = 'recipient'): DeferredOutcome {
  return { status: 'deferred', scope, reply: refusalOf(line) as DeferredOutcome['reply'] }
}

/** Never. @example failed('550 5.1.1 no such mailbox') */
export function failed(line: `5${string}`): FailedOutcome {
  return { status: 'failed', reply: refusalOf(line) as FailedOutcome['reply'] }
}

function refusalOf(line: string): Refusal {
  const match = /^([45]\d\d)(?: ([45])\.(\d{1,3})\.(\d{1,3}))?(?: (.*))?$/.exec(line)
  const sameClass = match?.[2] === undefined || match[2] === line[0]
  if (match === null || !sameClass) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a refusal: ${line}`)
  const [, code, , subject = '0', detail = '0', text = 'scripted'] = match
  return line.startsWith('4')
    ? reply(Number(code) as TransientCode, `4.${Number(subject)}.${Number(detail)}`, text)
    : reply(Number(code) as PermanentCode, `5.${Number(subject)}.${Number(detail)}`, text)
}
