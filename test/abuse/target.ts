/** The server that is abused: the real blocks, with small limits so that exceeding them is cheap. */
import {
  type Environment,
  type MailEvent,
  type Policy,
  policy,
  type QueueStore,
  type Random,
  reject,
  reply,
} from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta, type Mta } from '@mailwright/kernel'
import { acceptAll } from '@mailwright/policy'
import { type MessageQueue, memoryStore, messageQueue, retryAfter } from '@mailwright/queue'
import { fixedRouter } from '@mailwright/router'
import { type ListenerHandle, type SmtpListenerOptions, smtpListener } from '@mailwright/smtp-listener'
import { seededRandom } from '@mailwright/testing'
import { type RawClient, rawClient } from '../support/raw-client.ts'
import { type Ledger, ledger } from './ledger.ts'

/** The largest message the server takes. */
export const MAX_SIZE = 1_000_000
/** Messages from this size on are spooled. */
export const INLINE_LIMIT = 131_072
/** How often the queue is looked at, every 10 ms, before it is given up. */
const MOST_TRIES = 2_000

export interface TargetOptions {
  readonly environment?: Partial<Environment>
  readonly store?: QueueStore
  readonly random?: Random
  readonly listener?: Partial<SmtpListenerOptions>
  readonly policies?: readonly Policy[]
  /** Of 100 deliveries, how many are deferred. */
  readonly deferrals?: number
}

export interface Target {
  readonly mta: Mta
  readonly queue: MessageQueue
  readonly listener: ListenerHandle
  readonly ledger: Ledger
  /** `failure` events: what the server thinks went wrong with itself. */
  readonly failures: readonly MailEvent[]
  connect(): Promise<RawClient>
  /** Resolves when no message is left in the queue; rejects with what is left after 20 s. */
  queueEmpty(): Promise<void>
  stop(): Promise<void>
}

/** Refuses recipients at `nobody.example`. */
const refusing: Policy = policy('nobody', {
  rcpt: (recipient) =>
    recipient.address.domain === 'nobody.example' ? reject(reply(550, '5.1.1', 'no such mailbox')) : undefined,
})

const never = new AbortController().signal

/** Assembles and starts it, on a free port. */
export async function startTarget(options: TargetOptions = {}): Promise<Target> {
  const books = ledger(options.random ?? seededRandom(1), options.deferrals)
  const mta = createMta({
    name: 'target',
    grace: '5s',
    ...(options.environment === undefined ? {} : { environment: options.environment }),
  })
  const failures: MailEvent[] = []
  mta.events.subscribe((event) => {
    if (event.type === 'failure') failures.push(event)
  })
  const queue = mta.use(
    messageQueue({
      hostname: 'mx.example.org',
      store: options.store ?? memoryStore(),
      router: fixedRouter({ transport: 'mailbox', destination: '' }),
      transports: { mailbox: books.mailbox },
      retry: retryAfter('20ms'),
    }),
  )
  const intake = mta.use(
    mailIntake({
      hostname: 'mx.example.org',
      transport: queue,
      policies: [...(options.policies ?? []), refusing, acceptAll()],
      maxSize: MAX_SIZE,
      inlineLimit: INLINE_LIMIT,
    }),
  )
  const listener = mta.use(smtpListener({ intake, port: 0, errorSleep: 0, ...options.listener }))
  await mta.start()
  return {
    mta,
    queue,
    listener,
    ledger: books,
    failures,
    connect: async () => rawClient(await mta.environment.net.connect(listener.address, { signal: never })),
    async queueEmpty(): Promise<void> {
      for (let tries = 0; (await queue.stats()).messages > 0; tries++) {
        if (tries === MOST_TRIES)
          throw new Error(`left in the queue: ${JSON.stringify(await queue.entries({ limit: 5 }))}`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
    stop: () => mta.stop(),
  }
}
