import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeConformance } from '../../testing/src/conformance/store.ts'
import { lmdbStore } from './lmdb-store.ts'

storeConformance({
  name: 'lmdbStore',
  create: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mailwright-spool-'))
    return {
      store: lmdbStore({ directory, minFree: 0 }),
      reopen: async () => lmdbStore({ directory, minFree: 0 }),
      dispose: () => rm(directory, { recursive: true }),
    }
  },
})
