import type { Environment, ListenTarget, QueueStore } from '@mailwright/core'
import { cachingResolver } from '@mailwright/dns'
import { mailIntake } from '@mailwright/intake'
import { createMta, type Mta, systemEnvironment } from '@mailwright/kernel'
import { hopLimit, permitNetworks } from '@mailwright/policy'
import { type MessageQueue, type MessageQueueOptions, messageQueue } from '@mailwright/queue'
import { createRouter, fixedRouter } from '@mailwright/router'
import { type ListenerHandle, type SmtpListenerOptions, smtpListener } from '@mailwright/smtp-listener'
import { type SmtpTransportOptions, smtpTransport } from '@mailwright/smtp-transport'
import { etrnOf, unixPeersOf } from './preset-options.ts'

export interface RelayServerOptions {
  readonly hostname: string
  readonly listen: ListenTarget
  /** Where `listen` is a unix socket: `loopback` has who connects there count as `127.0.0.1`. Default: nobody is served. */
  readonly unixPeers?: SmtpListenerOptions['unixPeers']
  readonly store: QueueStore
  /** Where everything goes: `[host]:port`, `[192.0.2.1]:25`, or `mx` for each recipient's own mail exchangers. */
  readonly nextHop: string
  /** Networks that may relay. Default: loopback only. */
  readonly allow?: readonly string[]
  /** Domains whose servers may ask for the mail that waits for them (ETRN). Default: none, and it is not offered. */
  readonly etrn?: readonly string[]
  /** Options of the queue and of the outbound transport beyond the defaults. */
  readonly queue?: Partial<MessageQueueOptions>
  readonly smtp?: Partial<SmtpTransportOptions>
  readonly environment?: Partial<Environment>
}

export interface RelayServer {
  readonly mta: Mta
  readonly queue: MessageQueue
  readonly listener: ListenerHandle
}

const LOOPBACK = ['127.0.0.0/8', '::1/128'] as const

/**
 * A durable relay: takes mail from the networks allowed, and sends it on.
 *
 * @example
 * const { mta } = relayServer({ hostname: 'relay.example.org', listen: { host: '127.0.0.1', port: 2525 },
 *   nextHop: '[smarthost.example.net]:587', store: lmdbStore({ directory: './spool' }) })
 * await mta.run(shutdownSignal())
 */
export function relayServer(options: RelayServerOptions): RelayServer {
  const { hostname } = options
  const mta = createMta({ name: 'relay', environment: withCachedDns(options.environment) })
  const router =
    options.nextHop === 'mx'
      ? createRouter({ hostname })
      : fixedRouter({ transport: 'smtp', destination: options.nextHop })
  const queue = mta.use(
    messageQueue({
      hostname,
      store: options.store,
      router,
      transports: { smtp: smtpTransport({ hostname, ...options.smtp }) },
      ...options.queue,
    }),
  )
  const policies = [permitNetworks(options.allow ?? LOOPBACK), hopLimit()]
  const intake = mta.use(mailIntake({ hostname, transport: queue, policies, ...etrnOf(queue, options.etrn) }))
  const listener = mta.use(smtpListener({ intake, ...options.listen, ...unixPeersOf(options) }))
  return { mta, queue, listener }
}

/** The environment given, with a cache before its resolver when it is the system's. */
export function withCachedDns(given: Partial<Environment> = {}): Partial<Environment> {
  if (given.dns !== undefined) return given
  const system = systemEnvironment()
  const clock = given.clock ?? system.clock
  return { ...given, dns: cachingResolver({ inner: system.dns, clock }) }
}
