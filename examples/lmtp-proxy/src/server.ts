/**
 * An LMTP proxy: takes mail by LMTP (RFC 2033), one reply per recipient, and relays it by SMTP to one next hop. Either
 * the client waits for what the next hop says of each recipient, and nothing is kept here; or a durable queue takes the
 * mail, and every recipient is answered at once.
 */
import {
  createMta,
  type Environment,
  fixedRouter,
  type Mta,
  mailIntake,
  messageQueue,
  permitNetworks,
  type QueueStore,
  smtpListener,
  smtpTransport,
} from 'mailwright'

const hostname = 'lmtp.example.org'

/** `wait`: the client learns each recipient's fate. A store: the mail is queued in it. */
export type Handling = 'wait' | QueueStore

export function lmtpProxy(
  nextHop: string,
  handling: Handling,
  port: number,
  environment: Partial<Environment> = {},
): Mta {
  const mta = createMta({ name: 'lmtp-proxy', environment })
  const smtp = smtpTransport({ hostname, nextHop })
  const transport =
    handling === 'wait'
      ? mta.use(smtp)
      : mta.use(
          messageQueue({
            hostname,
            store: handling,
            router: fixedRouter({ transport: 'smtp', destination: nextHop }),
            transports: { smtp },
          }),
        )
  const policies = [permitNetworks(['127.0.0.0/8', '::1'])]
  // While the client waits, so does our patience with the next hop: giving up early makes duplicates.
  const intake = mta.use(mailIntake({ hostname, transport, policies, handOffTimeout: '15m' }))
  mta.use(smtpListener({ intake, port, protocol: 'lmtp' }))
  return mta
}
