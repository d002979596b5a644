import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { lmdbStore } from './lmdb-store.ts'
import { bodyOf, bodySize } from './testing-support/churn.ts'
import { contentOf, eventLog, spoolDirectory } from './testing-support/spool-directory.ts'
import { churnAndKill } from './testing-support/spool-process.ts'

const HEAD = 'Subject: test\r\n\r\n'

/** What a killed owner had said of each message. */
function lastWords(said: readonly string[], words: Map<string, string>): void {
  for (const line of said) words.set(line.slice(2), line[0]!)
}

it('mail that was taken survives kill -9, whole; mail that was settled does not come back', {
  timeout: 60_000,
}, async () => {
  const directory = await spoolDirectory()
  const words = new Map<string, string>()
  for (const [round, lines] of [37, 150, 333, 611].entries()) {
    const said = await churnAndKill(directory, round, lines)
    expect(said.length).toBeGreaterThanOrEqual(lines)
    lastWords(said, words)

    const events = eventLog()
    const store = lmdbStore({ directory, minFree: 0 })
    await store.open(events)
    const entries = await store.entries({ limit: 100_000 })
    const found = new Set(entries.map((entry) => entry.message))
    for (const [id, word] of words) {
      if (word === 'P') expect(found.has(id), `${id} was taken`).toBe(true)
      if (word === 'D') expect(found.has(id), `${id} was settled`).toBe(false)
    }
    for (const id of found) {
      const content = await contentOf((await store.read(id))!)
      expect(content.equals(Buffer.concat([Buffer.from(HEAD), bodyOf(id)])), `${id} is whole`).toBe(true)
    }
    // Settled or not, what is there now is what counts from here on: nobody will say more of it.
    for (const [id, word] of words) if (word === 'S' && !found.has(id)) words.set(id, 'D')
    for (const id of found) words.set(id, 'P')

    expect(await store.stats()).toMatchObject({
      messages: found.size,
      entries: found.size,
      claimed: 0,
      deferred: entries.filter((entry) => entry.attempts > 0).length,
      lanes: new Set(entries.map((entry) => entry.lane)).size,
      bytes: [...found].reduce((sum, id) => sum + HEAD.length + bodySize(id), 0),
    })
    const shape = await store.shape({ now: 0, ages: [0], limit: 100 })
    for (const { lane, entries: count, ages } of shape)
      expect([lane, count, ...ages]).toEqual([lane, entries.filter((entry) => entry.lane === lane).length, count, 0])
    const due = await store.lanes({ now: 2, limit: 100 })
    expect(new Set(due.map((each) => each.lane))).toEqual(new Set(entries.map((entry) => entry.lane)))
    expect(events.log.filter((event) => event.type === 'store.corrupt')).toEqual([])
    await store.close()
    expect(await fileCount(directory)).toBe([...found].filter((id) => bodySize(id) > 128 * 1024).length)
  }
})

async function fileCount(directory: string): Promise<number> {
  const items = await readdir(join(directory, 'bodies'), { recursive: true, withFileTypes: true })
  return items.filter((item) => item.isFile()).length
}
