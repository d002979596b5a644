/**
 * A relay with two destinations, in a process of its own, that is told to take a campaign.
 *
 *   fairness-server.ts SPOOL CAMPAIGN-DESTINATION OTHER-DESTINATION
 */
import { idMaker, type Recipient } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { memorySource } from '@mailwright/message'
import { permitNetworks } from '@mailwright/policy'
import { messageQueue } from '@mailwright/queue'
import { smtpListener } from '@mailwright/smtp-listener'
import { smtpTransport } from '@mailwright/smtp-transport'
import { lmdbStore } from '@mailwright/store-lmdb'

/** What the parent sends: a campaign to take. It is answered when all of it is in the queue. */
export interface CampaignOrder {
  /** One message for all, or a message for each. */
  readonly kind: 'one' | 'many'
  readonly recipients: number
}

/** What the parent hears first. */
export interface ServerReady {
  readonly port: number
}

const [directory, campaign, other] = process.argv.slice(2) as [string, string, string]
const hostname = 'bench.example.org'
const mta = createMta({ name: 'fairness' })
const queue = mta.use(
  messageQueue({
    hostname,
    store: lmdbStore({ directory }),
    router: {
      route: ({ domain }) => ({
        kind: 'send',
        lane: { transport: 'smtp', destination: domain === 'campaign.example' ? campaign : other },
      }),
      destination: () => ({ kind: 'relay', refusal: null }),
    },
    transports: { smtp: smtpTransport({ hostname }) },
    streams: ['campaign'],
  }),
)
const intake = mta.use(mailIntake({ hostname, transport: queue, policies: [permitNetworks(['127.0.0.0/8'])] }))
const listener = mta.use(smtpListener({ intake, port: 0 }))
const ids = idMaker(mta.environment.clock, mta.environment.random)
const never = { signal: new AbortController().signal }
process.on('disconnect', () => process.exit(0))
process.on('message', (order: CampaignOrder | 'left') => {
  if (order === 'left') void queue.stats().then(({ entries }) => process.send?.(entries))
  else void take(order).then(() => process.send?.('taken'))
})
await mta.start()
process.send?.({ port: listener.address.port } satisfies ServerReady)

async function take({ kind, recipients }: CampaignOrder): Promise<void> {
  const everybody = Array.from({ length: recipients }, (_, index) => recipient(index))
  if (kind === 'one') return hand(everybody)
  for (let first = 0; first < recipients; first += 1_000)
    await Promise.all(everybody.slice(first, first + 1_000).map((one) => hand([one])))
}

async function hand(recipients: readonly Recipient[]): Promise<void> {
  const head = Buffer.from('Subject: campaign\r\n\r\n', 'latin1')
  const message = memorySource(head, Buffer.alloc(4_000, 'An offer that should not be missed by anybody.\r\n'))
  const sender = { local: 'campaign', domain: 'example.com' }
  const options = { labels: { campaign: 'spring-sale' } }
  const { clock } = mta.environment
  const job = { id: ids.next(), envelope: { sender, recipients, options }, message, arrivedAt: clock.now(), attempt: 1 }
  await queue.deliver(job, never)
}

function recipient(index: number): Recipient {
  const address = { local: `reader${index}`, domain: 'campaign.example' }
  return { id: index + 1, address, original: address }
}
