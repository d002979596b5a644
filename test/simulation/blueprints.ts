/** The two servers, from the real blocks: `a` passes everything on to `b`; `b` has mailboxes and sends the rest to MXs. */
import {
  close,
  type Decision,
  type Environment,
  type Policy,
  policy,
  type QueueStore,
  type Random,
  reject,
  reply,
  type Transport,
} from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta, type Mta } from '@mailwright/kernel'
import {
  hopLimit,
  permitNetworks,
  rejectUnauthorizedDestination,
  rejectUnlistedRecipient,
  restrictions,
} from '@mailwright/policy'
import { type MessageQueue, messageQueue, type RetrySchedule } from '@mailwright/queue'
import { createRouter, fixedRouter } from '@mailwright/router'
import { smtpListener } from '@mailwright/smtp-listener'
import { smtpTransport } from '@mailwright/smtp-transport'
import { chance, pick } from './dice.ts'
import { WIRE_MARK } from './mail-server.ts'

export const CLIENT_HOST = '192.0.2.50'
export const A_HOST = '192.0.2.1'
export const B_HOST = '192.0.2.2'

interface Common {
  readonly environment: Environment
  readonly store: QueueStore
  readonly retry: RetrySchedule
  /** Asked at every stage of the dialogue. */
  readonly moods: Policy
}

/** A relay for its network, with one next hop. */
export function relay({ environment, store, retry, moods }: Common): Mta {
  const hostname = 'a.relay.example'
  const mta = createMta({ name: 'a', environment })
  const queue = mta.use(
    messageQueue({
      hostname,
      store,
      retry,
      router: fixedRouter({ transport: 'smtp', destination: `[${B_HOST}]:25` }),
      transports: { smtp: smtpTransport({ hostname }) },
    }),
  )
  const policies = [permitNetworks([`${CLIENT_HOST}/32`]), moods, wireMark(), hopLimit()]
  const intake = mta.use(mailIntake({ hostname, transport: queue, policies }))
  mta.use(smtpListener({ intake, host: A_HOST, port: 25 }))
  return mta
}

export interface ExchangeParts extends Common {
  readonly unknownUsers: 'refused' | 'bounced'
  readonly local: Transport
  readonly around: (transport: Transport) => Transport
  /** Told what an operator would work with. */
  readonly queue?: (queue: MessageQueue) => void
}

/** An MX for home.example that also sends the relay's mail to everybody else. */
export function exchange(parts: ExchangeParts): Mta {
  const { environment, store, retry, moods, unknownUsers, local, around } = parts
  const hostname = 'b.relay.example'
  const mta = createMta({ name: 'b', environment })
  const mailboxes = new Set(['ann', 'bob', 'full', 'barred'].map((name) => `${name}@home.example`))
  const router = createRouter({ hostname, local: ['home.example'], mailboxes })
  const smtp = mta.use(smtpTransport({ hostname }))
  const queue = mta.use(
    messageQueue({ hostname, store, retry, router, transports: { local: around(local), smtp: around(smtp) } }),
  )
  parts.queue?.(queue)
  const unlisted = unknownUsers === 'refused' ? [rejectUnlistedRecipient(router)] : []
  const policies = [
    restrictions([...unlisted, permitNetworks([`${A_HOST}/32`]), rejectUnauthorizedDestination(router)]),
    moods,
    wireMark(),
    hopLimit(),
  ]
  const intake = mta.use(mailIntake({ hostname, transport: queue, policies }))
  mta.use(smtpListener({ intake, host: B_HOST, port: 25 }))
  return mta
}

/** A policy that now and then refuses for the time being, hangs up, or fails; `trouble` says how likely, now. */
export function moodyPolicy(random: Random, trouble: () => number): Policy {
  const mood = (): Decision | undefined => {
    if (chance(random, trouble()) === 'no') return undefined
    const answer = pick(random, ['reject', 'close', 'throw'])
    if (answer === 'throw') throw new Error('a policy has failed')
    return answer === 'close' ? close(reply(421, '4.3.2', 'Going down')) : reject(reply(451, '4.7.0', 'Not now'))
  }
  return policy('moods', { connect: mood, helo: mood, mail: mood, rcpt: mood, data: mood, message: mood })
}

/** Notes in each message which connection it came by, for whoever asks later whether the answer got through. */
function wireMark(): Policy {
  return policy('wire-mark', (session) => ({
    message: () => ({
      verdict: { kind: 'next' },
      edits: [{ edit: 'prepend-header', name: WIRE_MARK, value: String(session.client.port) }],
    }),
  }))
}
