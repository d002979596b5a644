/**
 * Outbound SMTP as a block (RFC 5321). Wires the pool to the `Transport` interface: which next hop a job has, and one
 * outcome for every recipient whatever happens. See the README for the failure table.
 */
import {
  type Block,
  type Call,
  type Capability,
  type DeliveryJob,
  type Lifecycle,
  type Outcome,
  type Recipient,
  type RecipientId,
  reply,
  type Scope,
  sameOutcome,
  type Transport,
  toOutcome,
} from '@mailwright/core'
import { ConnectionPool } from './connection-pool.ts'
import { identityOf, type SmtpCredentials, type SmtpCredentialsSource } from './credentials.ts'
import { deferred } from './delivery.ts'
import { type Settings, type SmtpTransportOptions, settingsOf } from './options.ts'

/**
 * A transport that delivers by SMTP to `nextHop`, or else to the destination of the job's lane, or else to each
 * recipient's domain. Connections are kept while there is work and `idleTimeout` longer.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 * @example
 * const smtp = mta.use(smtpTransport({ hostname: 'mail.example.org', nextHop: '[smarthost.example.net]:587' }))
 */
export function smtpTransport(options: SmtpTransportOptions): Block<Transport> {
  const settings = settingsOf(options)
  return {
    name: settings.name,
    create(scope: Scope): Transport & Lifecycle {
      const pool = new ConnectionPool(settings, scope)
      return {
        name: settings.name,
        capabilities: settings.binaryMime === 'offered' ? HONOURED_WITH_BINARY : HONOURED,
        deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
          if (call.signal.aborted) return Promise.reject(call.signal.reason)
          if (pool.phase !== 'running') return Promise.resolve(sameOutcome(job.envelope, SHUTTING_DOWN))
          const nextHop = settings.nextHop ?? job.lane?.destination
          if (nextHop === undefined || nextHop === '') return deliverByDomain(pool, settings, job, call)
          const { recipients } = job.envelope
          if (recipients.length === 0) return Promise.resolve(new Map())
          if (settings.auth !== undefined) return deliverAsSomebody(pool, settings.auth, nextHop, job, recipients, call)
          return pool.destination(nextHop).submit(job, recipients, call)
        },
        drain: (call: Call): Promise<void> => pool.drain(call),
        stop: async (): Promise<void> => pool.stop(),
      }
    },
  }
}

/**
 * A transport that delivers by LMTP (RFC 2033), e.g. to Dovecot: the same as `smtpTransport` with `protocol: 'lmtp'`.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for options that cannot work.
 * @example
 * const mailboxes = mta.use(lmtpTransport({ hostname: 'mail.example.org', nextHop: 'unix:/run/dovecot/lmtp' }))
 */
export function lmtpTransport(options: Omit<SmtpTransportOptions, 'protocol'>): Block<Transport> {
  return smtpTransport({ ...options, protocol: 'lmtp' })
}

/**
 * DSN parameters and priorities go on to servers that know them. What a server would break is refused for it instead:
 * international addresses without SMTPUTF8, REQUIRETLS without it, mail to be returned by a time without DELIVERBY.
 */
const HONOURED: ReadonlySet<Capability> = new Set(['deliverby', 'dsn', 'mt-priority', 'requiretls', 'smtputf8'])
/** Where senders may hand in binary mail too: it bounces wherever the next server does not take it. */
const HONOURED_WITH_BINARY: ReadonlySet<Capability> = new Set([...HONOURED, 'binarymime'])

const SHUTTING_DOWN: Outcome = deferred('message', '4.3.2', 'the mail system is shutting down')

const NO_DOMAIN: Outcome = { status: 'failed', reply: reply(550, '5.1.2', 'the address has no domain to send to') }

/** A job straight from an intake, without a lane: each recipient's domain is a destination. */
async function deliverByDomain(
  pool: ConnectionPool,
  { auth }: Settings,
  job: DeliveryJob,
  call: Call,
): Promise<ReadonlyMap<RecipientId, Outcome>> {
  const outcomes = new Map<RecipientId, Outcome>()
  const domains = new Map<string, Recipient[]>()
  for (const recipient of job.envelope.recipients) {
    const { domain } = recipient.address
    if (domain === '') outcomes.set(recipient.id, NO_DOMAIN)
    else if (domains.has(domain)) domains.get(domain)!.push(recipient)
    else domains.set(domain, [recipient])
  }
  const parts = [...domains].map(([domain, recipients]) =>
    auth === undefined
      ? pool.destination(domain).submit(job, recipients, call)
      : deliverAsSomebody(pool, auth, domain, job, recipients, call),
  )
  for (const part of await Promise.all(parts)) for (const [id, outcome] of part) outcomes.set(id, outcome)
  return outcomes
}

/** Each identity has connections of its own. */
async function deliverAsSomebody(
  pool: ConnectionPool,
  auth: SmtpCredentialsSource,
  destination: string,
  job: DeliveryJob,
  recipients: readonly Recipient[],
  call: Call,
): Promise<ReadonlyMap<RecipientId, Outcome>> {
  let credentials: SmtpCredentials | undefined
  try {
    credentials = typeof auth === 'function' ? await auth(destination, job.envelope.sender, call) : auth
  } catch (error) {
    if (call.signal.aborted) throw error
    return sameOutcome({ ...job.envelope, recipients }, toOutcome(error, 'destination'))
  }
  call.signal.throwIfAborted()
  if (pool.phase !== 'running') return sameOutcome({ ...job.envelope, recipients }, SHUTTING_DOWN)
  if (credentials === undefined) return pool.destination(destination).submit(job, recipients, call)
  const key = `${destination} ${identityOf(credentials)}`
  return pool.by({ key, destination, credentials }).submit(job, recipients, call)
}
