/**
 * Lanes of mail that goes nowhere: a recipient refused by the router while others of the message were accepted. The
 * refusal is the lane's destination, so that it is as durable as the mail, and an attempt fails with it. The same for an
 * alias that stands for several, when the sender wants to hear of success: the attempt says that it was expanded.
 */
import {
  type OkOutcome,
  type Outcome,
  type PermanentCode,
  type Refusal,
  type Reply,
  reply,
  replyLine,
  type TransientCode,
  wireText,
} from '@mailwright/core'

/** The transport name of recipients that were refused after others of the message were accepted. */
export const ERROR_TRANSPORT = 'error'
/** What becomes of an alias whose addresses go on by themselves. */
export const EXPANDED: OkOutcome = { status: 'ok', action: 'expanded', reply: reply(250, '2.1.5', 'Alias expanded') }
/** The lane of an alias whose addresses are served in lanes of their own. */
export const EXPANDED_LANE: string = `${ERROR_TRANSPORT}:${replyLine(EXPANDED.reply)}`
/** The longest refusal that is kept in the name of an error lane: stores have limits for names. */
const KEPT_REFUSAL = 200

/** The lane whose mail fails with this refusal. */
export function errorLane(refusal: Refusal): string {
  return `${ERROR_TRANSPORT}:${wireText(replyLine(refusal)).slice(0, KEPT_REFUSAL).toWellFormed()}`
}

/** The refusal kept in the destination of an error lane. */
export function errorLaneOutcome(destination: string): Outcome {
  if (destination === replyLine(EXPANDED.reply)) return EXPANDED
  const match = /^([45]\d\d) ([45]\.\d{1,3}\.\d{1,3}) (.*)$/s.exec(destination)
  if (match === null) return { status: 'failed', reply: reply(550, '5.3.5', 'Unreadable refusal') }
  const answer: Reply = { code: Number(match[1]) as PermanentCode, enhanced: match[2] as '5.0.0', text: match[3]! }
  return answer.code >= 500
    ? { status: 'failed', reply: answer as Reply<PermanentCode> }
    : { status: 'deferred', scope: 'recipient', reply: answer as unknown as Reply<TransientCode> }
}
