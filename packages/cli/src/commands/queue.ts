import { parseArgs } from 'node:util'
import { formatMailbox, type QueueEntry, type QueueStore, type Selection } from '@mailwright/core'
import { EventHub } from '@mailwright/kernel'
import { spoolStore } from 'mailwright'
import { type Command, UsageError } from '../command.ts'

interface Request {
  readonly store: QueueStore
  readonly selection: Selection
  readonly ids: readonly string[]
  readonly json: boolean
}

/** How many entries one page of a listing reads. */
const PAGE = 500

const ACTIONS: Readonly<Record<string, (request: Request) => Promise<void>>> = {
  list: async ({ store, selection, json }) => {
    let count = 0
    for await (const entry of listing(store, selection)) {
      console.log(json ? JSON.stringify(asJson(entry)) : asText(entry))
      count += 1
    }
    if (!json) console.error(count === 0 ? 'The queue is empty.' : `${count} ${count === 1 ? 'entry' : 'entries'}`)
  },
  show: async ({ store, ids, json }) => {
    const id = oneId(ids, 'show')
    const entries = await store.entries({ selection: { messages: [id] }, limit: PAGE })
    if (entries.length === 0) throw new Error(`there is no message ${id} in the queue`)
    if (json) console.log(JSON.stringify({ queue_id: id, entries: entries.map(asJson) }))
    else for (const entry of entries) console.log(asText(entry))
  },
  cat: async ({ store, ids }) => {
    const id = oneId(ids, 'cat')
    const message = await store.read(id)
    if (message === undefined) throw new Error(`there is no message ${id} in the queue`)
    process.stdout.write(message.head)
    for await (const chunk of message.body({ signal: new AbortController().signal })) {
      if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve))
    }
  },
  flush: async ({ store, selection, json }) => report('flushed', await store.reschedule(selection, Date.now()), json),
  hold: async ({ store, selection, json }) => report('held', await store.hold(selection, 'held by the operator'), json),
  release: async ({ store, selection, json }) => report('released', await store.release(selection, Date.now()), json),
  remove: async ({ store, selection, json }) => report('removed', await store.remove(selection), json),
  stats: async ({ store, json }) => {
    const stats = await store.stats()
    if (json) return console.log(JSON.stringify(stats))
    const { oldest, ...counts } = stats
    for (const [name, count] of Object.entries(counts)) console.log(`${name.padEnd(10)} ${count}`)
    if (oldest !== undefined) console.log(`${'oldest'.padEnd(10)} ${new Date(oldest).toISOString()}`)
  },
}
/** Actions that change the queue: they want to be told what, and `--all` for everything. */
const CHANGING = new Set(['flush', 'hold', 'release', 'remove'])

/** Looks at and changes a queue, also while a server runs on it. */
export const queue: Command = {
  usage:
    'queue list|show|cat|flush|hold|release|remove|stats --spool DIR [ID...] [--sender A] [--recipient A|@DOMAIN] [--lane LANE] [--all] [--json]',
  summary: 'Looks at and changes a queue, also while a server runs on it.',
  async run(args): Promise<void> {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: {
        spool: { type: 'string' },
        sender: { type: 'string' },
        recipient: { type: 'string' },
        lane: { type: 'string' },
        all: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    })
    const [name = '', ...ids] = positionals
    const action = ACTIONS[name]
    if (action === undefined || values.spool === undefined) throw new UsageError(`usage: mailwright ${queue.usage}`)
    const { sender, recipient, lane } = values
    const selection: Selection = {
      ...(ids.length > 0 ? { messages: ids } : {}),
      ...(sender === undefined ? {} : { sender }),
      ...(recipient === undefined ? {} : { recipient }),
      ...(lane === undefined ? {} : { lane }),
    }
    if (CHANGING.has(name) && Object.keys(selection).length === 0 && !values.all) {
      throw new UsageError(`queue ${name} wants message ids, --sender, --recipient, --lane, or --all`)
    }
    const store = spoolStore({ directory: values.spool, access: 'operator' })
    await store.open(new EventHub({ now: () => Date.now(), after: () => ({ cancel() {}, refresh() {} }) }))
    try {
      await action({ store, selection, ids, json: values.json })
    } finally {
      await store.close()
    }
  },
}

async function* listing(store: QueueStore, selection: Selection): AsyncGenerator<QueueEntry> {
  let after: { message: string; entry: number } | undefined
  for (;;) {
    const page = await store.entries({ selection, limit: PAGE, ...(after === undefined ? {} : { after }) })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return
    after = { message: last.message, entry: last.entry }
  }
}

function oneId(ids: readonly string[], name: string): string {
  const [id, ...more] = ids
  if (id === undefined || more.length > 0) throw new UsageError(`queue ${name} wants one message id`)
  return id
}

function report(done: string, count: number, json: boolean): void {
  if (json) console.log(JSON.stringify({ [done]: count }))
  else console.error(`${done} ${count} ${count === 1 ? 'entry' : 'entries'}`)
}

/** The fields that `postqueue -j` prints, and ours. */
function asJson(entry: QueueEntry): object {
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
  }
}

function asText(entry: QueueEntry): string {
  const state = entry.held === undefined ? `due ${new Date(entry.dueAt).toISOString()}` : `held: ${entry.held}`
  const head = `${entry.message}  ${new Date(entry.arrivedAt).toISOString()}  ${entry.size} bytes  from <${formatMailbox(entry.sender)}>  ${entry.lane}  attempts ${entry.attempts}  ${state}`
  const lines = entry.recipients.map(
    (recipient) =>
      `    <${formatMailbox(recipient.address)}>${recipient.lastReply === undefined ? '' : `  ${recipient.lastReply}`}`,
  )
  return [head, ...lines].join('\n')
}
