import type { Block, Environment, ListenTarget, Policy, QueueStore, Transport } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { maildir } from '@mailwright/local-delivery'
import { hopLimit, permitNetworks, rejectUnauthorizedDestination, restrictions } from '@mailwright/policy'
import { type MessageQueueOptions, messageQueue } from '@mailwright/queue'
import { createRouter, type RouterOptions } from '@mailwright/router'
import { type SmtpListenerOptions, smtpListener } from '@mailwright/smtp-listener'
import { type SmtpTransportOptions, smtpTransport } from '@mailwright/smtp-transport'
import { etrnOf, unixPeersOf } from './preset-options.ts'
import { type RelayServer, withCachedDns } from './relay-server.ts'

export interface MxServerOptions {
  readonly hostname: string
  readonly listen: ListenTarget
  /** Where `listen` is a unix socket: `loopback` has who connects there count as `127.0.0.1`. Default: nobody is served. */
  readonly unixPeers?: SmtpListenerOptions['unixPeers']
  readonly store: QueueStore
  /** Domains whose mailboxes are here. */
  readonly domains: readonly string[]
  /** Mailbox address to the absolute path of its Maildir: `{ 'ann@example.org': '/srv/mail/ann' }`. */
  readonly mailboxes: Readonly<Record<string, string>>
  /** Address to addresses: `{ 'info@example.org': ['ann@example.org'] }`. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  /** Networks that may relay through us. Default: none but loopback. */
  readonly relayNetworks?: readonly string[]
  /** Domains whose servers may ask for the mail that waits for them (ETRN). Default: the router's `relayDomains`. */
  readonly etrn?: readonly string[]
  /** Asked before our own checks. */
  readonly policies?: readonly Policy[]
  readonly tls?: SmtpListenerOptions['tls']
  readonly router?: Partial<RouterOptions>
  readonly queue?: Partial<MessageQueueOptions>
  readonly smtp?: Partial<SmtpTransportOptions>
  /** More transports, by name. */
  readonly transports?: Readonly<Record<string, Transport | Block<Transport>>>
  readonly environment?: Partial<Environment>
}

/**
 * A mail exchanger: takes mail for its own domains from anybody, keeps it in Maildirs, and relays for its networks.
 *
 * @example
 * const { mta } = mxServer({ hostname: 'mx.example.org', listen: { host: '::', port: 25 }, domains: ['example.org'],
 *   mailboxes: { 'ann@example.org': '/srv/mail/ann' }, store: lmdbStore({ directory: '/var/spool/mailwright' }) })
 * await mta.run(shutdownSignal())
 */
export function mxServer(options: MxServerOptions): RelayServer {
  const { hostname } = options
  const mta = createMta({ name: 'mx', environment: withCachedDns(options.environment) })
  const router = createRouter({
    hostname,
    local: options.domains,
    mailboxes: options.mailboxes,
    ...(options.aliases === undefined ? {} : { aliases: options.aliases }),
    ...options.router,
  })
  const transports = {
    local: maildir({ mailboxes: options.mailboxes, hostname }),
    smtp: smtpTransport({ hostname, ...options.smtp }),
    ...options.transports,
  }
  const queue = mta.use(messageQueue({ hostname, store: options.store, router, transports, ...options.queue }))
  const policies = [
    ...(options.policies ?? []),
    restrictions([
      permitNetworks(options.relayNetworks ?? ['127.0.0.0/8', '::1/128']),
      rejectUnauthorizedDestination(router),
    ]),
    hopLimit(),
  ]
  const etrn = etrnOf(queue, options.etrn ?? options.router?.relayDomains)
  const intake = mta.use(mailIntake({ hostname, transport: queue, policies, ...etrn }))
  const tls = options.tls === undefined ? {} : { tls: options.tls }
  const listener = mta.use(smtpListener({ intake, ...options.listen, ...unixPeersOf(options), ...tls }))
  return { mta, queue, listener }
}
