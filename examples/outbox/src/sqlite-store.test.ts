import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeConformance } from '@mailwright/testing'
import { type Outbox, openOutbox } from './outbox.ts'
import { sqliteStore } from './sqlite-store.ts'

/** Every rule of the port, on a file that is closed and opened again. */
storeConformance({
  name: 'sqliteStore',
  create: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mailwright-outbox-'))
    const path = join(folder, 'shop.db')
    const open = (): Outbox => {
      const opened = openOutbox(path)
      // Nobody cuts the power of a test.
      opened.db.exec('PRAGMA synchronous = OFF')
      return opened
    }
    let outbox = open()
    return {
      store: sqliteStore(outbox),
      reopen: async () => {
        outbox.db.close()
        outbox = open()
        return sqliteStore(outbox)
      },
      dispose: async () => {
        outbox.db.close()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
  histories: 20,
})
