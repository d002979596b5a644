/** Entries as people and programs read them. */
import { formatMailbox, type Instruction, type QueueEntry, type QueueStore, type Selection } from '@mailwright/core'

/** How many entries one page of a listing reads. */
const PAGE = 500

/** Entries page by page: memory does not grow with the queue. */
export async function* listing(store: QueueStore, selection: Selection): AsyncGenerator<QueueEntry> {
  let after: { message: string; entry: number } | undefined
  for (;;) {
    const page = await store.entries({ selection, limit: PAGE, after })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    after = { message: last.message, entry: last.entry }
  }
}

/** The fields that `postqueue -j` prints, and ours. */
export function asJson(entry: QueueEntry): object {
  return {
    queue_name: entry.held === undefined ? (entry.attempts > 0 ? 'deferred' : 'incoming') : 'hold',
    queue_id: entry.message,
    arrival_time: Math.floor(entry.arrivedAt / 1_000),
    message_size: entry.size,
    sender: formatMailbox(entry.sender),
    recipients: entry.recipients.map((recipient) => ({
      address: formatMailbox(recipient.address),
      orig_address: formatMailbox(recipient.original),
      ...(recipient.lastReply === undefined ? {} : { delay_reason: recipient.lastReply }),
    })),
    lane: entry.lane,
    attempts: entry.attempts,
    next_attempt: Math.floor(entry.dueAt / 1_000),
    ...(entry.held === undefined ? {} : { hold_reason: entry.held }),
    ...(entry.instruction === undefined ? {} : { instruction: entry.instruction }),
    ...(entry.warned === undefined ? {} : { delay_warned: true }),
    ...(entry.labels === undefined ? {} : { labels: entry.labels }),
  }
}

/** A line about the entry, and one about each recipient. */
export function asText(entry: QueueEntry): string {
  const labels = Object.entries(entry.labels ?? {}).map(([label, value]) => `  ${label}=${value}`)
  const head = `${entry.message}  ${instant(entry.arrivedAt)}  ${entry.size} bytes  from <${formatMailbox(entry.sender)}>  ${entry.lane}  attempts ${entry.attempts}  ${stateOf(entry)}${labels.join('')}`
  const lines = entry.recipients.map(
    (recipient) =>
      `    <${formatMailbox(recipient.address)}>${recipient.lastReply === undefined ? '' : `  ${recipient.lastReply}`}`,
  )
  return [head, ...lines].join('\n')
}

export function instant(at: number): string {
  return new Date(at).toISOString()
}

function stateOf({ held, instruction, dueAt }: QueueEntry): string {
  const plan = instruction === undefined ? '' : `, to be ${PLANS[instruction.kind]}`
  return held === undefined ? `due ${instant(dueAt)}${plan}` : `held: ${held}${plan}`
}

const PLANS: Readonly<Record<Instruction['kind'], string>> = {
  requeue: 'routed again',
  reroute: 'sent by another lane',
  expire: 'returned',
}
