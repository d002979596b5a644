/** How a queue stands, in the Prometheus text format: what `stats` and `shape` keep, for a scrape to ask. */
import type { LaneShape, QueueStats } from '@mailwright/core'
import { gauge, type Metric, prometheusText } from './prometheus-text.ts'

/**
 * The numbers of a queue, and of its fullest lanes where they are given: as many series as lanes, so give few.
 *
 * @param now ms since the epoch
 * @example
 * const [stats, lanes] = await Promise.all([queue.stats(), queue.shape({ ages: [], limit: 20 })])
 * response.end(counts.prometheus() + queueGauges(stats, Date.now(), lanes))
 */
export function queueGauges(stats: QueueStats, now: number, lanes: readonly LaneShape[] = []): string {
  const one = (value: number): Metric['samples'] => [{ value }]
  const age = stats.oldest === undefined ? 0 : Math.max(now - stats.oldest, 0) / 1_000
  return prometheusText([
    gauge('queue_messages', 'Messages in the queue.', one(stats.messages)),
    gauge('queue_entries', 'Entries of them: one for each destination.', one(stats.entries)),
    gauge('queue_deferred', 'Entries that have been tried.', one(stats.deferred)),
    gauge('queue_held', 'Entries kept by an operator or a policy.', one(stats.held)),
    gauge('queue_claimed', 'Entries in hand or being tried.', one(stats.claimed)),
    gauge('queue_bytes', 'Bytes of the messages.', one(stats.bytes)),
    gauge('queue_lanes', 'Lanes with mail.', one(stats.lanes)),
    gauge('queue_oldest_seconds', 'Age of the oldest message.', one(age)),
    gauge(
      'queue_lane_entries',
      'Entries of the fullest lanes.',
      lanes.map(({ lane, entries }) => ({ labels: { lane }, value: entries })),
    ),
  ])
}
