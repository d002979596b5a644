/** An operator at the spool of a running server: makes everything due, and looks whether something is left. */
import { EventHub, systemClock } from '@mailwright/kernel'
import { spoolStore } from 'mailwright'

/** How often, every 50 ms, before we give up. */
const MOST_LOOKS = 400
/** Deferred mail is made due again every so many looks. */
const FLUSH_EVERY = 5

/** Resolves when the queue is empty; rejects with what is left after 20 s. */
export async function emptyQueue(directory: string): Promise<void> {
  const store = spoolStore({ directory, access: 'operator' })
  await store.open(new EventHub(systemClock()))
  try {
    for (let look = 0; (await store.entries({ limit: 1 })).length > 0; look++) {
      if (look === MOST_LOOKS) throw new Error(`still queued: ${JSON.stringify(await store.entries({ limit: 3 }))}`)
      if (look % FLUSH_EVERY === 0) await store.reschedule({}, systemClock().now())
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  } finally {
    await store.close()
  }
}
