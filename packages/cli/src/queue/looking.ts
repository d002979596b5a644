/** Actions that look at a queue and change nothing. */
import type { QueueEntry } from '@mailwright/core'
import { QSHAPE_AGES } from '@mailwright/queue'
import { FILTERS } from './flags.ts'
import { asJson, asText, instant, listing } from './listing.ts'
import { type Action, assertNoIds, oneId } from './request.ts'
import { count } from './selection.ts'
import { shapeTable } from './shape-table.ts'

export const LOOKING: Readonly<Record<string, Action>> = {
  list: {
    takes: FILTERS,
    async run({ store, selection, flags }) {
      let listed = 0
      for await (const entry of listing(store, selection)) {
        console.log(flags.json ? JSON.stringify(asJson(entry)) : asText(entry))
        listed += 1
      }
      if (!flags.json)
        console.error(listed === 0 ? 'The queue is empty.' : `${listed} ${listed === 1 ? 'entry' : 'entries'}`)
    },
  },
  show: {
    takes: [],
    async run(request) {
      const id = oneId(request)
      const entries: QueueEntry[] = []
      for await (const entry of listing(request.store, { messages: [id] })) entries.push(entry)
      if (entries.length === 0) throw new Error(`there is no message ${id} in the queue`)
      if (request.flags.json) console.log(JSON.stringify({ queue_id: id, entries: entries.map(asJson) }))
      else for (const entry of entries) console.log(asText(entry))
    },
  },
  cat: {
    takes: [],
    async run(request) {
      const id = oneId(request)
      const message = await request.store.read(id)
      if (message === undefined) throw new Error(`there is no message ${id} in the queue`)
      process.stdout.write(message.head)
      for await (const chunk of message.body({ signal: new AbortController().signal })) {
        if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve))
      }
    },
  },
  stats: {
    takes: [],
    async run(request) {
      assertNoIds(request)
      const stats = await request.store.stats()
      if (request.flags.json) return console.log(JSON.stringify(stats))
      const { oldest, ...counts } = stats
      for (const [name, number] of Object.entries(counts)) console.log(`${name.padEnd(10)} ${number}`)
      if (oldest !== undefined) console.log(`${'oldest'.padEnd(10)} ${instant(oldest)}`)
    },
  },
  shape: {
    takes: ['limit'],
    async run(request) {
      assertNoIds(request)
      const { store, flags, now } = request
      const limit = flags.limit === undefined ? 20 : count(flags.limit, '--limit')
      const lanes = await store.shape({ now, ages: QSHAPE_AGES, limit })
      if (!flags.json) return console.log(shapeTable(lanes, QSHAPE_AGES))
      for (const each of lanes) console.log(JSON.stringify(each))
    },
  },
}
