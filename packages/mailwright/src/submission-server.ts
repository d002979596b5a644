import type { Authenticator, Environment, ListenTarget, Policy, QueueStore } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import {
  hopLimit,
  permitAuthenticated,
  rejectSenderLoginMismatch,
  restrictions,
  type SenderLoginOptions,
} from '@mailwright/policy'
import { type MessageQueueOptions, messageQueue } from '@mailwright/queue'
import { createRouter, fixedRouter } from '@mailwright/router'
import { type ListenerHandle, type ListenerTls, smtpListener } from '@mailwright/smtp-listener'
import { type SmtpTransportOptions, smtpTransport } from '@mailwright/smtp-transport'
import { type RelayServer, withCachedDns } from './relay-server.ts'

export interface SubmissionServerOptions {
  readonly hostname: string
  /** The address of both listeners: `::` for users from everywhere. */
  readonly host: string
  /** Where STARTTLS is offered, and asked for before anything else. Default 587. */
  readonly port?: number
  /** Where TLS begins with the first byte (RFC 8314). Default 465. */
  readonly tlsPort?: number
  /** The certificate, for both. */
  readonly tls: Omit<ListenerTls, 'mode'>
  /** Checks who the users are. */
  readonly auth: Authenticator
  readonly store: QueueStore
  /** Where everything goes: `[host]:port`, `[192.0.2.1]:25`, or `mx` for each recipient's own mail exchangers. */
  readonly nextHop: string
  /** Whose sender addresses are whose; without it every user may send as anybody. */
  readonly owners?: SenderLoginOptions['owners']
  /** Asked before our own checks. */
  readonly policies?: readonly Policy[]
  /** Options of the queue and of the outbound transport beyond the defaults. */
  readonly queue?: Partial<MessageQueueOptions>
  readonly smtp?: Partial<SmtpTransportOptions>
  readonly environment?: Partial<Environment>
}

export interface SubmissionServer extends RelayServer {
  /** The listener with TLS from the first byte; `listener` is the one with STARTTLS. */
  readonly tlsListener: ListenerHandle
}

/**
 * A submission service (RFC 6409): takes mail from users who have proved who they are, over TLS, adds the Date and
 * Message-ID their programs forgot, and sends it on.
 *
 * @example
 * const { mta } = submissionServer({ hostname: 'mail.example.org', host: '::', tls: { key, cert }, auth: users, nextHop: 'mx',
 *   store: lmdbStore({ directory: './spool' }), owners: { 'ann@example.org': ['ann'] } })
 * await mta.run(shutdownSignal())
 */
export function submissionServer(options: SubmissionServerOptions): SubmissionServer {
  const { hostname, auth, host } = options
  const mta = createMta({ name: 'submission', environment: withCachedDns(options.environment) })
  const router =
    options.nextHop === 'mx'
      ? createRouter({ hostname })
      : fixedRouter({ transport: 'smtp', destination: options.nextHop })
  const transports = { smtp: smtpTransport({ hostname, ...options.smtp }) }
  // Who sends by hand waits for an answer: four hours are long enough not to know.
  const settings = { warnAfter: '4h', ...options.queue } as const
  const queue = mta.use(messageQueue({ hostname, store: options.store, router, transports, ...settings }))
  const policies = [
    ...(options.policies ?? []),
    restrictions([
      ...(options.owners === undefined ? [] : [rejectSenderLoginMismatch({ owners: options.owners })]),
      permitAuthenticated(),
    ]),
    hopLimit(),
  ]
  const intake = mta.use(mailIntake({ hostname, transport: queue, policies }))
  const listen = (port: number, mode: 'starttls' | 'implicit'): ListenerHandle => {
    const target: ListenTarget = { host, port }
    return mta.use(smtpListener({ intake, ...target, profile: 'submission', auth, tls: { ...options.tls, mode } }))
  }
  const listener = listen(options.port ?? 587, 'starttls')
  return { mta, queue, listener, tlsListener: listen(options.tlsPort ?? 465, 'implicit') }
}
