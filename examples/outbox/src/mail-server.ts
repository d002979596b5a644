/** What sends the shop's mail: a queue on its database, without a listener. Notices of failure go to the shop's own MX. */
import {
  createMta,
  createRouter,
  type Environment,
  type MessageQueue,
  type Mta,
  messageQueue,
  smtpTransport,
  withCachedDns,
} from 'mailwright'
import type { Outbox } from './outbox.ts'
import { sqliteStore } from './sqlite-store.ts'

export interface MailServer {
  readonly mta: Mta
  readonly queue: MessageQueue
}

export function mailServer(outbox: Outbox, environment: Partial<Environment> = {}): MailServer {
  const hostname = 'mail.shop.example'
  const mta = createMta({ name: 'shop', environment: withCachedDns(environment) })
  const queue = mta.use(
    messageQueue({
      hostname,
      store: sqliteStore(outbox),
      router: createRouter({ hostname }),
      transports: { smtp: smtpTransport({ hostname }) },
    }),
  )
  return { mta, queue }
}
