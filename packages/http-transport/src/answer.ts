/**
 * What an HTTP answer says of each recipient. 2xx: taken, but for recipients its JSON names otherwise. 410, 413, 415 and 422
 * are about the message and final. Everything else (401 and 404 too, which are somebody's mistake and bounce no mail) is tried
 * again, not before `Retry-After`.
 */
import {
  type DeliveryJob,
  type EnhancedCode,
  formatMailbox,
  type OkOutcome,
  type Outcome,
  type PermanentCode,
  type RecipientId,
  type RemoteAnswer,
  reply,
  wireText,
} from '@mailwright/core'

/** An answer as it came. */
export interface HttpAnswer {
  readonly status: number
  readonly contentType: string
  readonly retryAfter: string | undefined
  /** The beginning of its body. */
  readonly text: string
}

const FINAL: Readonly<Record<number, readonly [PermanentCode, EnhancedCode<5>]>> = {
  410: [550, '5.1.6'],
  413: [552, '5.3.4'],
  415: [554, '5.6.1'],
  422: [554, '5.6.0'],
}
const ENHANCED = /^([245])\.\d{1,3}\.\d{1,3}$/
const LONGEST_WAIT_MS = 86_400_000

/** The outcomes. `host` names the receiver in them; `now`: ms since the epoch. */
export function outcomesOf(
  answer: HttpAnswer,
  job: DeliveryJob,
  host: string,
  now: number,
): ReadonlyMap<RecipientId, Outcome> {
  const remote: RemoteAnswer = { host, code: answer.status, lines: [wireText(answer.text).slice(0, 400)] }
  const general = outcomeOf(answer, remote, now)
  const named = general.status === 'ok' ? namedRecipients(answer) : {}
  const outcomes = new Map<RecipientId, Outcome>()
  for (const { id, address } of job.envelope.recipients) {
    const own = named[formatMailbox(address)]
    outcomes.set(id, own === undefined ? general : ownOutcome(own, remote))
  }
  return outcomes
}

function outcomeOf({ status, retryAfter }: HttpAnswer, remote: RemoteAnswer, now: number): Outcome {
  if (status >= 200 && status < 300) return delivered(remote)
  const text = `host ${remote.host} answered HTTP ${status}`
  const final = FINAL[status]
  if (final !== undefined) return { status: 'failed', reply: reply(final[0], final[1], text), remote }
  const notBefore = timeOf(retryAfter, now)
  return {
    status: 'deferred',
    scope: 'destination',
    reply: reply(451, '4.4.0', text),
    remote,
    ...(notBefore === undefined ? {} : { notBefore }),
  }
}

function delivered(remote: RemoteAnswer): OkOutcome {
  return { status: 'ok', action: 'delivered', reply: reply(250, '2.0.0', `delivered to ${remote.host}`), remote }
}

/** What the answer says of single recipients: `{ "recipients": { "ann@example.org": { "status": "5.1.1", "text": "…" } } }`. */
function namedRecipients({ contentType, text }: HttpAnswer): Readonly<Record<string, unknown>> {
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)) return {}
  try {
    const { recipients } = JSON.parse(text) as { readonly recipients?: unknown }
    return typeof recipients === 'object' && recipients !== null ? { __proto__: null, ...recipients } : {}
  } catch {
    return {}
  }
}

/** What cannot be read is no consent: that recipient is tried again. */
function ownOutcome(own: unknown, remote: RemoteAnswer): Outcome {
  const { status, text } = (typeof own === 'object' && own !== null ? own : {}) as Readonly<Record<string, unknown>>
  const said = `host ${remote.host} said: ${typeof text === 'string' ? wireText(text).slice(0, 400) : 'no reason'}`
  const match = ENHANCED.exec(typeof status === 'string' ? status : '')
  if (match?.[1] === '2') return delivered(remote)
  if (match?.[1] === '5') return { status: 'failed', reply: reply(550, match[0] as EnhancedCode<5>, said), remote }
  const enhanced = match === null ? '4.3.0' : (match[0] as EnhancedCode<4>)
  return { status: 'deferred', scope: 'recipient', reply: reply(451, enhanced, said), remote }
}

/** Retry-After (RFC 9110 §10.2.3): seconds, or a date; at most a day ahead. */
function timeOf(retryAfter: string | undefined, now: number): number | undefined {
  if (retryAfter === undefined) return undefined
  const at = /^\d{1,9}$/.test(retryAfter.trim()) ? now + Number(retryAfter) * 1_000 : Date.parse(retryAfter)
  return Number.isNaN(at) ? undefined : Math.min(at, now + LONGEST_WAIT_MS)
}
