/**
 * Events in the words of Postfix's log, so that pflogsumm and other readers of mail logs go on working.
 *
 * `Nov 22 17:00:00 mx mailwright/smtp[42]: 01nt6b…: to=<ann@example.org>, relay=…, status=sent (250 2.0.0 Ok)`.
 * Times are UTC. Whatever came from outside is cleaned: nothing in it can end a line. Lines about one message share its
 * id. The queue's `message.queued` gives no line: that of `message.accepted` with sender and size must come after the
 * one with the client for pflogsumm to count it. Connections give no lines: one process serves many at a time, and
 * readers tell them apart by process.
 */
import { type EventOf, type MailEvent, type Reply, replyLine, type Session } from '@mailwright/core'
import { addressText, printable } from './log-text.ts'
import { deliveryStatus, problemText, said } from './outcome-words.ts'
import { protocolName } from './protocol-name.ts'
import { syslogTime } from './syslog-time.ts'

/** Who writes the line. */
export interface LineOrigin {
  readonly hostname: string
  /** What stands before the slash: `mailwright/smtpd`. */
  readonly process: string
  readonly pid: number
}

const NOTHING: readonly string[] = []
/** What Postfix calls our stages. */
const STAGES: Readonly<Record<string, string>> = { connect: 'CONNECT', message: 'END-OF-MESSAGE' }

/** What Postfix calls notices. */
const NOTICES: Readonly<Record<NonNullable<EventOf<'message.bounced'>['about']>, string>> = {
  failure: 'non-delivery',
  delay: 'delay',
  success: 'delivery status',
  both: 'delivery status',
}

/**
 * The lines about an event: none for most, three for an accepted message.
 *
 * @param at when it happened, ms since the epoch.
 * @example
 * for (const line of postfixLines(event, at, { hostname: 'mx', process: 'mailwright', pid: 42 })) write(line)
 */
export function postfixLines(event: MailEvent, at: number, origin: LineOrigin): readonly string[] {
  const line = (daemon: string, text: string): string =>
    `${syslogTime(at)} ${origin.hostname} ${origin.process}/${daemon}[${origin.pid}]: ${text}`
  switch (event.type) {
    case 'message.accepted': {
      const { message, messageId } = event
      return [
        line('smtpd', `${message}: client=${client(event.session.client.address)}${userText(event.session)}`),
        line('cleanup', `${message}: message-id=${messageId === undefined ? '<>' : printable(messageId)}`),
        line('qmgr', `${message}: ${senderText(event)}`),
      ]
    }
    case 'recipient.settled':
      return [line(daemonName(event.lane.transport), `${event.message}: ${deliveryText(event)}`)]
    case 'message.removed':
      return [line('qmgr', `${event.message}: removed`)]
    case 'message.bounced':
      return [
        line('bounce', `${event.message}: sender ${NOTICES[event.about ?? 'failure']} notification: ${event.dsn}`),
      ]
    case 'message.undeliverable':
      return [line('bounce', `${event.message}: the sender is null: notification discarded`)]
    case 'message.discarded':
      return [line('cleanup', `${event.message}: ${discardText(event)}`)]
    case 'dialogue.refused':
      return [line('smtpd', `NOQUEUE: ${rejectText(event)}`)]
    case 'connection.refused': {
      const who = client(event.client.address)
      return [line('smtpd', `NOQUEUE: reject: CONNECT from ${who}: ${replyText(event.reply, who)}; proto=SMTP`)]
    }
    case 'store.corrupt':
      return [line('qmgr', `warning: ${event.message}: ${printable(event.problem)}`)]
    case 'store.refusing':
      return event.reply === null ? NOTHING : [line('qmgr', `warning: ${printable(replyLine(event.reply))}`)]
    case 'failure':
      return [line('master', `warning: ${printable(event.where)}: ${printable(problemText(event.error))}`)]
    default:
      return NOTHING
  }
}

function client(address: string): string {
  return `unknown[${printable(address)}]`
}

function userText({ user }: Session): string {
  return user === undefined ? '' : `, sasl_username=${printable(user)}`
}

function senderText({ sender, size, recipients }: EventOf<'message.accepted'>): string {
  return `from=<${addressText(sender)}>, size=${size}, nrcpt=${recipients.length} (queue active)`
}

function deliveryText({ recipient, lane, outcome, delays }: EventOf<'recipient.settled'>): string {
  const to = addressText(recipient.address)
  const original = addressText(recipient.original)
  const status = deliveryStatus(outcome)
  const { queued, attempt } = delays
  const { remote, reply } = outcome
  const relay = remote?.host ?? (status === 'sent' ? lane.transport : 'none')
  // A refusal of theirs is told with its host, as readers expect; an acceptance by itself.
  const prefix = remote === undefined || status === 'sent' ? '' : `host ${remote.host} said: `
  const text = remote === undefined ? plainText(reply) : prefix + said(outcome)
  return (
    `to=<${to}>, ${original === to ? '' : `orig_to=<${original}>, `}relay=${printable(relay).replace(/[,\s]/g, '?')}, ` +
    `delay=${seconds(queued + attempt)}, delays=0/${seconds(queued)}/0/${seconds(attempt)}, ` +
    `dsn=${reply.enhanced}, status=${status} (${printable(text)})`
  )
}

/** Our reply without its code where nobody else spoke: `delivered to maildir`. */
function plainText({ text }: Reply): string {
  return typeof text === 'string' ? text : text.join(' ')
}

function rejectText(event: EventOf<'dialogue.refused'>): string {
  const { session, stage, sender, recipient } = event
  const verb = STAGES[stage] ?? printable(stage).toUpperCase().replace(/\s/g, '?')
  const who = client(session.client.address)
  return (
    `reject: ${verb} from ${who}: ${replyText(event.reply, subject(event, verb, who))};` +
    `${sender === undefined ? '' : ` from=<${addressText(sender)}>`}` +
    `${recipient === undefined ? '' : ` to=<${addressText(recipient)}>`}${clientText(session)}`
  )
}

/** What was refused, as Postfix puts it before the reason. */
function subject({ session, sender, recipient }: EventOf<'dialogue.refused'>, verb: string, who: string): string {
  if (recipient !== undefined) return addressText(recipient)
  if (verb === 'CONNECT') return who
  if (verb === 'MAIL' && sender !== undefined) return addressText(sender)
  if (verb === 'HELO' && session.helo !== undefined) return printable(session.helo)
  return verb
}

/** `550 5.7.1 <ann@example.org>: Relay access denied`. */
function replyText(answer: Reply, what: string): string {
  return `${answer.code} ${answer.enhanced} <${what}>: ${printable(plainText(answer))}`
}

function discardText({ session, policy }: EventOf<'message.discarded'>): string {
  const who = client(session.client.address)
  return `discard: END-OF-MESSAGE from ${who}: ${printable(policy)};${clientText(session)}`
}

function clientText(session: Session): string {
  const helo = session.helo === undefined ? '' : ` helo=<${printable(session.helo)}>`
  return ` proto=${protocolName(session)}${helo}`
}

/** Names of transports are free text; names of daemons are not. */
function daemonName(transport: string): string {
  return transport.replace(/[^\w.-]/g, '-') || 'smtp'
}

/** Two digits after the point are enough, and none above a hundred seconds. */
function seconds(ms: number): string {
  const value = Math.max(0, ms) / 1_000
  return value >= 100 ? value.toFixed(0) : String(Math.round(value * 100) / 100)
}
