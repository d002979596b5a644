/** A real spool whose database calls fail when the test says so: as a broken disk, or a full one, would have it. */
import { onTestFinished } from 'vitest'
import { Claiming } from '../claiming.ts'
import type { Database } from '../database.ts'
import { type OpenSpool, openSpool } from '../opening.ts'
import { Operating } from '../operating.ts'
import { type LmdbStoreOptions, settingsOf } from '../options.ts'
import { Putting } from '../putting.ts'
import { Settling } from '../settling.ts'
import { assemble, type StoreParts } from '../store-parts.ts'
import { type EventLog, eventLog, spoolDirectory } from './spool-directory.ts'

export interface FailingSpool {
  readonly parts: StoreParts
  readonly events: EventLog
  readonly putting: Putting
  readonly claiming: Claiming
  readonly settling: Settling
  readonly operating: Operating
  /** What a call such as `entries.getEntry` does instead, until it is deleted. */
  readonly instead: Map<string, (...given: never[]) => unknown>
}

/** Opens a spool as its owner. */
export async function failingSpool(options: Partial<LmdbStoreOptions> = {}): Promise<FailingSpool> {
  const settings = settingsOf({ directory: await spoolDirectory(), minFree: 0, cacheBytes: 0, ...options })
  const opened = await openSpool(settings)
  const instead: FailingSpool['instead'] = new Map()
  const db = Object.fromEntries(
    Object.entries(opened.db).map(([name, table]) => [name, faulty(name, table as object, instead)]),
  ) as unknown as Database
  const events = eventLog()
  const spool: OpenSpool = { ...opened, db }
  const parts = await assemble(settings, spool, events, () => {})
  await parts.files.prepare()
  onTestFinished(async () => {
    instead.clear()
    await parts.work.idle()
    await opened.db.root.close()
    await opened.lock?.release()
  })
  const putting = new Putting(parts)
  const settling = new Settling(parts, putting)
  return { parts, events, putting, settling, claiming: new Claiming(parts), operating: new Operating(parts), instead }
}

function faulty<T extends object>(name: string, table: T, instead: FailingSpool['instead']): T {
  return new Proxy(table, {
    get: (target, property) => {
      const fault = instead.get(`${name}.${String(property)}`)
      if (fault !== undefined) return fault
      const value: unknown = Reflect.get(target, property)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
