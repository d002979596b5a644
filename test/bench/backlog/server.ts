/**
 * A relay with a spool of ours, in a process of its own: mail for `dead.example` goes where nobody listens, all other
 * mail to the next hop. Tells its parent its port, and when the first message was delivered.
 *
 *   server.ts SPOOL NEXT-HOP DEAD-DESTINATION
 */
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { permitNetworks } from '@mailwright/policy'
import { messageQueue } from '@mailwright/queue'
import { smtpListener } from '@mailwright/smtp-listener'
import { smtpTransport } from '@mailwright/smtp-transport'
import { lmdbStore } from '@mailwright/store-lmdb'

/** What the parent hears. */
export interface Report {
  readonly port: number
}

const [directory, nextHop, dead] = process.argv.slice(2) as [string, string, string]
const hostname = 'bench.example.org'
const mta = createMta({ name: 'backlog' })
const queue = mta.use(
  messageQueue({
    hostname,
    store: lmdbStore({ directory }),
    router: {
      route: ({ domain }) => ({
        kind: 'send',
        lane: { transport: 'smtp', destination: domain === 'dead.example' ? dead : nextHop },
      }),
      destination: () => ({ kind: 'relay', refusal: null }),
    },
    transports: { smtp: smtpTransport({ hostname }) },
  }),
)
const intake = mta.use(mailIntake({ hostname, transport: queue, policies: [permitNetworks(['127.0.0.0/8'])] }))
const listener = mta.use(smtpListener({ intake, port: 0 }))
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => void mta.stop().then(() => process.exit(0)))
await mta.start()
process.send?.({ port: listener.address.port } satisfies Report)
