/** What the dialogue says of its own accord, and how a refusal becomes one that ends the connection. */
import { closesConnection, type Refusal, type Reply, reply } from '@mailwright/core'

export const NO_TRANSACTION: Refusal = reply(503, '5.5.1', 'Need MAIL first')
export const NESTED_MAIL: Refusal = reply(503, '5.5.1', 'A mail transaction is already under way')
export const NO_RECIPIENTS: Refusal = reply(554, '5.5.1', 'No valid recipients')
export const TOO_MANY_RECIPIENTS: Refusal = reply(452, '4.5.3', 'Too many recipients')
export const TOO_LARGE: Refusal = reply(552, '5.3.4', 'Message size exceeds fixed maximum message size')
export const HEAD_TOO_LARGE: Refusal = reply(552, '5.3.4', 'Message header size exceeds fixed maximum')
export const NOBODY_ACCEPTS: Refusal = reply(550, '5.7.1', 'Relay access denied')
export const SENDER_OK: Reply<250> = reply(250, '2.1.0', 'Ok')
export const RECIPIENT_OK: Reply<250> = reply(250, '2.1.5', 'Ok')

/** A refusal in the same words under a code that ends the connection: 421 for now, 521 for good (RFC 7504). */
export function closing(answer: Reply): Reply {
  if (closesConnection(answer)) return answer
  return answer.code >= 500
    ? reply(521, answer.enhanced as '5.7.1', answer.text)
    : reply(421, answer.enhanced as '4.3.2', answer.text)
}

/** The refusal as a greeting, after which the engine closes: 421 for now, 554 for good (RFC 5321 §3.1). */
export function unwelcome(refusal: Refusal): Refusal {
  if (closesConnection(refusal)) return refusal
  return refusal.code >= 500
    ? reply(554, refusal.enhanced as '5.7.1', refusal.text)
    : reply(421, refusal.enhanced as '4.3.2', refusal.text)
}

export const AUTHENTICATED: Reply<235> = reply(235, '2.7.0', 'Authentication successful')
export const NO_ETRN: Reply<502> = reply(502, '5.5.1', 'ETRN is not offered here')
export const CANNOT_VRFY: Reply<252> = reply(252, '2.0.0', 'Send some mail, and it will be tried')
export const BINARY_NEEDS_BDAT: Refusal = reply(503, '5.5.1', 'BODY=BINARYMIME needs BDAT')
