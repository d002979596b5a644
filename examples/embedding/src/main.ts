import { lmdbStore, shutdownSignal } from 'mailwright'
import { mailServer } from './server.ts'

const mta = mailServer(lmdbStore({ directory: './spool' }), `${process.cwd()}/mail`, 2525)
mta.events.subscribe((event, at) => console.log(new Date(at).toISOString(), event.type))
await mta.run(shutdownSignal())
