/** The queue in numbers. */
import type { DatabaseSync } from 'node:sqlite'
import type { LaneShape, QueueStats, ShapeQuery } from 'mailwright'

export function statsOf(db: DatabaseSync): QueueStats {
  const mail = db
    .prepare('SELECT COUNT(*) AS messages, TOTAL(size) AS bytes, MIN(arrived_at) AS oldest FROM mail')
    .get()!
  const entry = db
    .prepare(
      `SELECT COUNT(*) AS entries, COUNT(held) AS held, COUNT(DISTINCT lane) AS lanes, TOTAL(attempts > 0) AS deferred,
       TOTAL(token IS NOT NULL AND lease_over = 0) AS claimed FROM mail_entry`,
    )
    .get()!
  return {
    messages: Number(mail.messages),
    entries: Number(entry.entries),
    held: Number(entry.held),
    deferred: Number(entry.deferred),
    claimed: Number(entry.claimed),
    bytes: Number(mail.bytes),
    lanes: Number(entry.lanes),
    oldest: mail.oldest === null ? undefined : Number(mail.oldest),
  }
}

export function shapeOf(db: DatabaseSync, { now, ages, limit }: ShapeQuery): readonly LaneShape[] {
  const lanes = new Map<string, number[]>()
  for (const row of db.prepare('SELECT lane, arrived_at FROM mail_entry JOIN mail ON id = mail').iterate()) {
    const lane = String(row.lane)
    const counts = lanes.get(lane) ?? new Array<number>(ages.length + 1).fill(0)
    lanes.set(lane, counts)
    const column = ages.findIndex((bound) => now - Number(row.arrived_at) <= bound)
    counts[column < 0 ? ages.length : column]! += 1
  }
  return [...lanes]
    .map(([lane, counts]) => ({ lane, entries: counts.reduce((sum, count) => sum + count), ages: counts }))
    .sort((one, other) => other.entries - one.entries)
    .slice(0, limit)
}
