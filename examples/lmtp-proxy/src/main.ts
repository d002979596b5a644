import { lmdbStore, shutdownSignal } from 'mailwright'
import { lmtpProxy } from './server.ts'

const [nextHop, handling = 'wait'] = process.argv.slice(2)
if (nextHop === undefined || (handling !== 'wait' && handling !== 'queue')) {
  console.error("usage: node src/main.ts '[192.0.2.1]:25' [wait|queue]")
  process.exit(2)
}
const mta = lmtpProxy(nextHop, handling === 'wait' ? 'wait' : lmdbStore({ directory: './spool' }), 2424)
mta.events.subscribe((event, at) => console.log(new Date(at).toISOString(), event.type))
await mta.run(shutdownSignal())
