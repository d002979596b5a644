/**
 * A transport for the address that bounces and complaints come to: reads them, tells about them as `notice.received`,
 * and may put addresses on a suppression list. Readers of reports answer 250: a report is never sent back. What is no
 * report, or cannot be read, goes on to another transport, so that nothing accepted is lost; when the suppression list
 * fails, the report is deferred and read again later, and nothing is told yet.
 *
 * Whoever knows an address of ours can send reports. With a VERP secret only those to return paths of our making are
 * read; complaints, which come to an address that everybody may know, count for the signed return path they quote.
 */
import {
  type Block,
  type Call,
  type Capability,
  type DeliveryJob,
  type Lifecycle,
  type Outcome,
  type RecipientId,
  reply,
  type Scope,
  type Suppression,
  type SuppressionList,
  sameOutcome,
  type Transport,
  throwIfAborted,
  toOutcome,
} from '@mailwright/core'
import { firstBytes, type VerpStyle } from '@mailwright/message'
import { type ReceivedNotice, receivedNotices } from './received-notice.ts'

export interface ReportReaderOptions {
  /** Where mail goes that is no report we can read, e.g. a mailbox that somebody looks into. */
  readonly otherwise: Transport | Block<Transport>
  /** How the return paths of our mail are made; as the `verp` of the queue. */
  readonly verp?: VerpStyle
  /** Where addresses are put that are not to be written to any more. Default nowhere. */
  readonly suppressions?: SuppressionList
  /** Which reports put an address there. Default complaints, and failures that say there is no such address. */
  readonly suppressWhen?: (notice: ReceivedNotice) => boolean
}

/** As much of a message as is read, in octets. */
const READ_LIMIT = 1_048_576
const READ = reply(250, '2.0.0', 'Ok: report read')
/** No such mailbox, domain or address; moved; disabled (RFC 3463 §3.2, §3.3). */
const NO_SUCH_ADDRESS = /^5\.(?:1\.(?:1|2|3|6|10)|2\.1)$/

/**
 * Makes a reader of reports.
 *
 * @example
 * messageQueue({ …, verp: { secret }, transports: {
 *   reports: reportReader({ verp: { secret }, suppressions, otherwise: maildir({ mailboxes }) }), smtp } })
 */
export function reportReader(options: ReportReaderOptions): Block<Transport> {
  return { name: 'report-reader', create: (scope) => new ReportReader(options, scope) }
}

class ReportReader implements Transport, Lifecycle {
  readonly name = 'report-reader'
  readonly capabilities?: ReadonlySet<Capability>
  readonly #options: ReportReaderOptions
  readonly #scope: Scope
  readonly #otherwise: Transport & Lifecycle

  constructor(options: ReportReaderOptions, scope: Scope) {
    this.#options = options
    this.#scope = scope
    const { otherwise } = options
    this.#otherwise = 'create' in otherwise ? otherwise.create(scope) : otherwise
    const { capabilities } = this.#otherwise
    if (capabilities !== undefined) this.capabilities = capabilities
  }

  async start(call: Call): Promise<void> {
    if ('create' in this.#options.otherwise) await this.#otherwise.start?.(call)
  }

  async drain(call: Call): Promise<void> {
    if ('create' in this.#options.otherwise) await this.#otherwise.drain?.(call)
  }

  async stop(): Promise<void> {
    if ('create' in this.#options.otherwise) await this.#otherwise.stop?.()
  }

  refusing(): ReturnType<NonNullable<Transport['refusing']>> {
    return this.#otherwise.refusing?.() ?? null
  }

  async deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
    let notices: readonly ReceivedNotice[] | undefined
    try {
      const bytes = await firstBytes(job.message, call, READ_LIMIT)
      notices = receivedNotices(job, bytes, this.#options.verp)
      if (notices !== undefined) notices = await Promise.all(notices.map((notice) => this.#suppressed(notice)))
    } catch (error) {
      throwIfAborted(call)
      this.#scope.events.emit({ type: 'failure', where: `reading report ${job.id}`, error })
      return sameOutcome(job.envelope, toOutcome(error))
    }
    if (notices === undefined) return this.#otherwise.deliver(job, call)
    const { events } = this.#scope
    if (events.wants('notice.received')) for (const notice of notices) events.emit(notice)
    return sameOutcome(job.envelope, { status: 'ok', action: 'delivered', reply: READ })
  }

  /** Puts whom a notice is about on the list, where that is due. */
  async #suppressed(notice: ReceivedNotice): Promise<ReceivedNotice> {
    const { suppressions, suppressWhen = isOver } = this.#options
    const { recipient } = notice
    if (suppressions === undefined || recipient === undefined || !suppressWhen(notice)) return notice
    const suppression: Suppression = {
      address: recipient,
      cause: notice.kind === 'complaint' ? 'complaint' : 'bounce',
      reason: notice.diagnostic ?? notice.status ?? notice.feedback ?? 'a report without a reason',
      since: this.#scope.environment.clock.now(),
    }
    await suppressions.add(suppression)
    return { ...notice, suppressed: true }
  }
}

function isOver({ kind, status, feedback }: ReceivedNotice): boolean {
  if (kind === 'complaint') return feedback !== 'not-spam' && feedback !== 'auth-failure'
  return kind === 'bounce' && status !== undefined && NO_SUCH_ADDRESS.test(status)
}
