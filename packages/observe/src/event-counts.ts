/**
 * Events as numbers: what came, what was refused, what became of it. Counters start at 0 when the counting begins and
 * never fall; gauges tell how things stand. Besides numbers only the ids of open sessions and the names of dead lanes
 * and of suspensions are kept, so memory does not grow with mail; labels are bounded too, so that no client can invent series.
 */
import { type Events, type MailEvent, type ResponseCategory, suspensionKey } from '@mailwright/core'
import { deliveryStatus } from './outcome-words.ts'
import { counter, gauge, labelText, type Metric, prometheusText } from './prometheus-text.ts'

export interface EventCounts {
  /** Every number by its name, with labels as Prometheus writes them. */
  counts(): Record<string, number>
  /** The numbers in the Prometheus text format, version 0.0.4. */
  prometheus(): string
  /** Ends the counting. The numbers stay as they are. */
  stop(): void
}

export interface EventCountOptions {
  /** A queue whose liveness is told with the rest. */
  readonly queue?: { readonly liveness: number }
}

/** More stages than there are; what comes beyond is `other`. */
const MOST_STAGES = 24
const STUCK = 'How long ready mail has been waiting though there are slots for it, in milliseconds.'

/**
 * Counts from now on.
 *
 * @example
 * const counts = countEvents(mta.events)
 * response.setHeader('content-type', 'text/plain; version=0.0.4').end(counts.prometheus())
 */
export function countEvents(events: Events, { queue }: EventCountOptions = {}): EventCounts {
  const refusedByStage = new Map<string, number>()
  const settled = { sent: 0, deferred: 0, bounced: 0 }
  const unserved = new Map<string, { status: 'deferred' | 'bounced'; category: ResponseCategory; value: number }>()
  const openSessions = new Set<string>()
  const deadLanes = new Set<string>()
  const suspended = new Set<string>()
  let sessions = 0
  let connectionsRefused = 0
  let accepted = 0
  let bytes = 0
  let recipients = 0
  let discarded = 0
  const received = { bounce: 0, delay: 0, success: 0, complaint: 0 }
  let notices = 0
  let undeliverable = 0
  let corrupt = 0
  let failures = 0
  let refusing = 0

  function count(event: MailEvent): void {
    switch (event.type) {
      case 'message.accepted':
        accepted++
        bytes += event.size
        recipients += event.recipients.length
        return
      case 'recipient.settled':
        settled[deliveryStatus(event.outcome)]++
        if (event.category !== undefined) countUnserved(deliveryStatus(event.outcome), event.category)
        return
      case 'dialogue.refused': {
        const known = refusedByStage.has(event.stage) || refusedByStage.size < MOST_STAGES
        const stage = known ? event.stage : 'other'
        refusedByStage.set(stage, (refusedByStage.get(stage) ?? 0) + 1)
        return
      }
      case 'session.opened':
        sessions++
        openSessions.add(event.session.id)
        return
      case 'session.closed':
        // A session that was open before the counting began is in neither number.
        openSessions.delete(event.session.id)
        return
      case 'connection.refused':
        connectionsRefused++
        return
      case 'message.discarded':
        discarded++
        return
      case 'message.bounced':
        notices++
        return
      case 'message.undeliverable':
        undeliverable++
        return
      case 'notice.received':
        received[event.kind]++
        return
      case 'lane.state':
        if (event.state === 'dead') deadLanes.add(event.lane)
        else deadLanes.delete(event.lane)
        return
      case 'queue.suspended':
        suspended.add(suspensionKey(event.suspension.scope))
        return
      case 'queue.resumed':
        suspended.delete(suspensionKey(event.scope))
        return
      case 'store.corrupt':
        corrupt++
        return
      case 'store.refusing':
        refusing = event.reply === null ? 0 : 1
        return
      case 'failure':
        failures++
        return
    }
  }

  /** Statuses and categories are few, and none is made up outside. */
  function countUnserved(status: 'sent' | 'deferred' | 'bounced', category: ResponseCategory): void {
    if (status === 'sent') return
    const key = `${status} ${category}`
    const known = unserved.get(key)
    if (known === undefined) unserved.set(key, { status, category, value: 1 })
    else known.value++
  }

  function metrics(): readonly Metric[] {
    const one = (value: number): Metric['samples'] => [{ value }]
    return [
      counter('messages_accepted_total', 'Messages we took responsibility for.', one(accepted)),
      counter('message_bytes_accepted_total', 'Bytes of the messages accepted.', one(bytes)),
      counter('recipients_accepted_total', 'Recipients of the messages accepted.', one(recipients)),
      counter('messages_discarded_total', 'Messages a policy had thrown away.', one(discarded)),
      counter(
        'refusals_total',
        'Refusals in the dialogue, by stage.',
        Array.from(refusedByStage, ([stage, value]) => ({ labels: { stage }, value })),
      ),
      counter('connections_refused_total', 'Connections turned away before a session began.', one(connectionsRefused)),
      counter('sessions_total', 'Sessions opened.', one(sessions)),
      gauge('sessions_open', 'Sessions open now.', one(openSessions.size)),
      counter('recipients_settled_total', 'Delivery attempts of recipients, by what became of them.', [
        { labels: { status: 'sent' }, value: settled.sent },
        { labels: { status: 'deferred' }, value: settled.deferred },
        { labels: { status: 'bounced' }, value: settled.bounced },
      ]),
      counter(
        'recipients_unserved_total',
        'Delivery attempts of recipients that failed, by what the answer was about.',
        Array.from(unserved.values(), ({ status, category, value }) => ({ labels: { status, category }, value })),
      ),
      counter('notices_total', 'Notices queued for senders.', one(notices)),
      counter(
        'notices_received_total',
        'Recipients that reports from others told of, by kind.',
        Object.entries(received).map(([kind, value]) => ({ labels: { kind }, value })),
      ),
      counter('undeliverable_total', 'Failed messages without a sender to tell.', one(undeliverable)),
      gauge('lanes_dead', 'Destinations given up for a while.', one(deadLanes.size)),
      ...(queue === undefined ? [] : [gauge('queue_stuck_ms', STUCK, one(Math.round(queue.liveness)))]),
      gauge('queue_suspensions', 'Suspensions in force.', one(suspended.size)),
      gauge('store_refusing', '1 while storage refuses new mail.', one(refusing)),
      counter('store_corrupt_total', 'Stored records that could not be read.', one(corrupt)),
      counter('failures_total', "Things that went wrong and are nobody's mail.", one(failures)),
    ]
  }

  return {
    counts(): Record<string, number> {
      const numbers: Record<string, number> = {}
      for (const { name, samples } of metrics())
        for (const { labels, value } of samples) numbers[name + labelText(labels)] = value
      return numbers
    },
    prometheus: (): string => prometheusText(metrics()),
    stop: events.subscribe(count),
  }
}
