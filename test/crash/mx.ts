/** A small mail exchanger for `mailwright run`: `CRASH_DIRECTORY` says where its spool and its mailboxes are. */
import { join } from 'node:path'
import { lmdbStore } from '@mailwright/store-lmdb'
import { mxServer, type RelayServer } from 'mailwright'

const directory = process.env.CRASH_DIRECTORY!

/** Whose mailboxes there are. */
export const MAILBOXES: readonly string[] = ['ann', 'bob', 'cleo']

function server(): RelayServer {
  return mxServer({
    hostname: 'mx.crash.example',
    listen: { host: '127.0.0.1', port: 0 },
    domains: ['crash.example'],
    mailboxes: Object.fromEntries(MAILBOXES.map((name) => [`${name}@crash.example`, join(directory, name)])),
    store: lmdbStore({ directory: join(directory, 'spool') }),
  })
}

// biome-ignore lint/style/noDefaultExport: it is what `mailwright run` asks for.
export default server
