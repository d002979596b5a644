/**
 * Events as structured log lines: one line for each event, with the event's type as its message and flat fields.
 *
 * Two lines for each message are written at the default levels, and nothing is built for a level that goes nowhere.
 * A logger that throws ends up as a `failure` event for the other subscribers; mail goes on. Message contents, header
 * fields other than Message-ID, and passwords are in no event and so in no line.
 */
import {
  type EventOf,
  type Events,
  formatMailbox,
  laneKey,
  type MailEvent,
  type Recipient,
  type RemoteTls,
  replyLine,
  suspensionKey,
} from '@mailwright/core'
import { addressList, shortened } from './log-text.ts'
import type { Logger, LogLevel } from './logger.ts'
import { causeOf, deliveryStatus, problemText, said } from './outcome-words.ts'
import { protocolName } from './protocol-name.ts'

export type EventLevels = Readonly<Record<MailEvent['type'], LogLevel | 'silent'>>

export interface LogEventsOptions {
  /** Other levels than the usual ones; `silent` leaves events of a type out. */
  readonly levels?: Partial<EventLevels>
}

/** The level of each type of event, unless the options say otherwise. */
export const DEFAULT_LEVELS: EventLevels = {
  'listener.ready': 'info',
  'session.opened': 'debug',
  'session.secured': 'debug',
  'session.authenticated': 'info',
  'authentication.failed': 'warn',
  'session.forwarded': 'info',
  'session.closed': 'debug',
  'connection.refused': 'warn',
  'dialogue.refused': 'info',
  'message.accepted': 'info',
  'message.discarded': 'info',
  'message.queued': 'debug',
  'recipient.settled': 'info',
  'message.bounced': 'info',
  'message.undeliverable': 'info',
  'notice.received': 'info',
  'message.removed': 'debug',
  'tls.result': 'debug',
  'lane.state': 'warn',
  'queue.suspended': 'warn',
  'queue.resumed': 'warn',
  'store.recovered': 'info',
  'store.corrupt': 'warn',
  'store.unsafe': 'error',
  'store.refusing': 'warn',
  failure: 'error',
}

/**
 * Writes every event to the logger, from now until the result is called.
 *
 * @example
 * const log = jsonLog()
 * const stop = logEvents(mta.events, log)
 */
export function logEvents(events: Events, logger: Logger, options: LogEventsOptions = {}): () => void {
  const levels: EventLevels = { ...DEFAULT_LEVELS, ...options.levels }
  const logged = (type: MailEvent['type']): boolean => {
    const level = levels[type]
    return level !== 'silent' && logger.isLevelEnabled?.(level) !== false
  }
  return events.subscribe((event) => {
    const level = levels[event.type]
    if (level !== 'silent') logger[level](eventFields(event), event.type)
  }, logged)
}

/**
 * The fields of the line about an event: one flat object. Times in ms say so, instants are ISO 8601.
 *
 * @example
 * eventFields({ type: 'message.removed', message: id }) // { id }
 */
export function eventFields(event: MailEvent): object {
  switch (event.type) {
    case 'message.accepted':
      return acceptedFields(event)
    case 'recipient.settled':
      return settledFields(event)
    case 'dialogue.refused':
      return refusedFields(event)
    case 'listener.ready':
      return { listener: event.listener, url: event.url }
    case 'session.opened':
      return { session: event.session.id, client: event.session.client.address, server: event.session.server.port }
    case 'session.secured':
      return {
        session: event.session.id,
        client: event.session.client.address,
        protocol: event.tls.protocol,
        cipher: event.tls.cipher,
        servername: event.tls.servername,
      }
    case 'tls.result':
      return {
        domain: event.domain,
        policy: event.policy.type,
        mx: event.mx,
        address: event.address,
        result: event.result,
        tls: tlsText(event.tls),
      }
    case 'session.authenticated':
      return {
        session: event.session.id,
        client: event.session.client.address,
        user: event.session.user,
        mechanism: event.mechanism,
      }
    case 'authentication.failed':
      return {
        session: event.session.id,
        client: event.session.client.address,
        user: event.user,
        mechanism: event.mechanism,
        reason: event.reason,
        reply: replyLine(event.reply),
      }
    case 'session.forwarded':
      return { session: event.session.id, client: event.session.client.address, ...event.forwarded }
    case 'session.closed':
      return { session: event.session.id, client: event.session.client.address, messages: event.messages }
    case 'connection.refused':
      return { client: event.client.address, reply: replyLine(event.reply), reason: event.reason }
    case 'message.discarded':
      return {
        id: event.message,
        session: event.session.id,
        client: event.session.client.address,
        policy: event.policy,
      }
    case 'message.queued':
      return {
        id: event.message,
        from: formatMailbox(event.sender),
        size: event.size,
        recipients: event.recipients,
        lanes: event.lanes.join(', '),
        held: event.held,
      }
    case 'message.bounced':
      return {
        id: event.message,
        notice: event.dsn,
        from: formatMailbox(event.sender),
        to: addressList(event.recipients),
        ...(event.about === undefined ? {} : { about: event.about }),
      }
    case 'message.undeliverable':
      return { id: event.message, to: addressList(event.recipients) }
    case 'notice.received':
      return receivedNoticeFields(event)
    case 'message.removed':
      return { id: event.message }
    case 'lane.state':
      return { lane: event.lane, state: event.state, until: instant(event.until) }
    case 'queue.suspended':
      return {
        scope: suspensionKey(event.suspension.scope),
        reason: event.suspension.reason,
        until: instant(event.suspension.until),
      }
    case 'queue.resumed':
      return { scope: suspensionKey(event.scope) }
    case 'store.recovered':
      return { messages: event.messages, strays: event.strays, corrupt: event.corrupt }
    case 'store.corrupt':
      return { id: event.message, problem: event.problem }
    case 'store.unsafe':
      return { store: event.store, problem: event.problem }
    case 'store.refusing':
      return { refusing: event.reply !== null, reply: event.reply === null ? undefined : replyLine(event.reply) }
    case 'failure':
      return {
        where: event.where,
        error: problemText(event.error),
        code: codeOf(event.error),
        err: stackOf(event.error),
      }
  }
}

function acceptedFields({
  message,
  session,
  sender,
  recipients,
  size,
  messageId,
}: EventOf<'message.accepted'>): object {
  return {
    id: message,
    session: session.id,
    client: session.client.address,
    helo: session.helo,
    user: session.user,
    with: protocolName(session),
    from: formatMailbox(sender),
    to: addressList(recipients),
    recipients: recipients.length,
    size,
    messageId,
  }
}

function settledFields({ message, recipient, sender, lane, outcome, ...rest }: EventOf<'recipient.settled'>): object {
  return {
    id: message,
    to: formatMailbox(recipient.address),
    orig: originalOf(recipient),
    from: formatMailbox(sender),
    lane: laneKey(lane),
    relay: outcome.remote?.host,
    tls: tlsText(outcome.remote?.tls),
    status: deliveryStatus(outcome),
    dsn: outcome.reply.enhanced,
    said: said(outcome),
    cause: causeOf(outcome),
    attempt: rest.attempt,
    queuedMs: rest.delays.queued,
    attemptMs: rest.delays.attempt,
    retryAt: instant(rest.retryAt),
    category: rest.category,
  }
}

function receivedNoticeFields(event: EventOf<'notice.received'>): object {
  const { recipient, sender, diagnostic, remoteMta, reportingMta, envelopeId, messageId } = event
  const short = (text: string | undefined): string | undefined => (text === undefined ? undefined : shortened(text))
  return {
    id: event.message,
    kind: event.kind,
    about: recipient === undefined ? undefined : formatMailbox(recipient),
    from: sender === undefined ? undefined : formatMailbox(sender),
    signed: event.signed,
    dsn: event.status,
    said: short(diagnostic),
    remote: short(remoteMta),
    reportedBy: short(reportingMta),
    envelopeId: short(envelopeId),
    messageId: short(messageId),
    feedback: short(event.feedback),
    suppressed: event.suppressed,
  }
}

function refusedFields(event: EventOf<'dialogue.refused'>): object {
  const { session, sender, recipient } = event
  return {
    session: session.id,
    client: session.client.address,
    helo: session.helo,
    user: session.user,
    stage: event.stage,
    reply: replyLine(event.reply),
    policy: event.policy,
    reason: event.reason,
    from: sender === undefined ? undefined : formatMailbox(sender),
    to: recipient === undefined ? undefined : formatMailbox(recipient),
  }
}

function originalOf({ address, original }: Recipient): string | undefined {
  const same = address === original || (address.local === original.local && address.domain === original.domain)
  return same ? undefined : formatMailbox(original)
}

function instant(at: number | undefined): string | undefined {
  return at === undefined || !Number.isFinite(at) ? undefined : new Date(at).toISOString()
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}

/** The stacks of the error and of what caused it, at most `depth` of them: a chain of causes may be a ring. */
function stackOf(error: unknown, depth = 4): string | undefined {
  if (!(error instanceof Error)) return undefined
  if (error.cause === undefined || depth === 1) return error.stack
  return `${error.stack}\ncaused by: ${stackOf(error.cause, depth - 1) ?? problemText(error.cause)}`
}

/** `TLSv1.3 TLS_AES_256_GCM_SHA384 verified by dane`. */
function tlsText(tls: RemoteTls | undefined): string | undefined {
  if (tls === undefined) return undefined
  return `${tls.protocol} ${tls.cipher} ${tls.security}${tls.by === undefined ? '' : ` by ${tls.by}`}`
}
