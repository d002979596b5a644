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
  type EventOf,
  type Events,
  type Lifecycle,
  type Mailbox,
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
import {
  type DeliveryReport,
  type FeedbackReport,
  firstBytes,
  parseDsn,
  parseFeedbackReport,
  parseVerp,
  type ReportedRecipient,
  type VerpReading,
  type VerpStyle,
} from '@mailwright/message'

export type ReceivedNotice = EventOf<'notice.received'>

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
    let notices: readonly Noticed[] | undefined
    try {
      notices = await this.#read(job, call)
      for (const notice of notices ?? []) await this.#suppress(notice)
    } catch (error) {
      throwIfAborted(call)
      this.#scope.events.emit({ type: 'failure', where: `reading report ${job.id}`, error })
      return sameOutcome(job.envelope, toOutcome(error))
    }
    if (notices === undefined) return this.#otherwise.deliver(job, call)
    tell(this.#scope.events, notices)
    return sameOutcome(job.envelope, { status: 'ok', action: 'delivered', reply: READ })
  }

  /** What the message reports; undefined when that cannot be read or believed. */
  async #read(job: DeliveryJob, call: Call): Promise<readonly Noticed[] | undefined> {
    const bytes = await firstBytes(job.message, call, READ_LIMIT)
    const complaint = parseFeedbackReport(bytes)
    if (complaint !== undefined) return this.#complaints(job, complaint)
    const report = parseDsn(bytes)
    if (report === undefined) return undefined
    const path = this.#pathOf(job.envelope.recipients.map(({ original }) => original))
    if (path === undefined && this.#options.verp?.secret !== undefined) return undefined
    // A return path is about one recipient, whatever else the report may say.
    const worst = report.recipients.find(({ action }) => action === 'failed') ?? report.recipients[0]!
    const recipients = path === undefined ? report.recipients : [worst]
    return recipients.map((about) => noticeOf(job, report, about, path))
  }

  #complaints(job: DeliveryJob, report: FeedbackReport): readonly Noticed[] | undefined {
    const { original, sender } = report
    const path = this.#pathOf([sender, original?.sender, ...job.envelope.recipients.map((each) => each.original)])
    if (path === undefined && this.#options.verp?.secret !== undefined) return undefined
    const about = path === undefined ? report.recipients : [path.recipient]
    const recipients: readonly (Mailbox | undefined)[] = about.length === 0 ? [undefined] : about
    return recipients.map((recipient) => ({
      type: 'notice.received',
      kind: 'complaint',
      message: job.id,
      recipient,
      sender: path?.sender ?? sender ?? original?.sender ?? undefined,
      signed: path?.signed ?? false,
      reportingMta: report.reportingMta,
      envelopeId: report.envelopeId,
      messageId: original?.messageId,
      feedback: report.type,
    }))
  }

  /** The first of the addresses that is a return path of ours. */
  #pathOf(addresses: readonly (Mailbox | null | undefined)[]): VerpReading | undefined {
    const { verp } = this.#options
    if (verp === undefined) return undefined
    for (const address of addresses) {
      const path = address && parseVerp(address, verp)
      if (path) return path
    }
    return undefined
  }

  async #suppress(notice: Noticed): Promise<void> {
    const { suppressions, suppressWhen = isOver } = this.#options
    const { recipient } = notice
    if (suppressions === undefined || recipient === undefined || !suppressWhen(notice)) return
    const suppression: Suppression = {
      address: recipient,
      cause: notice.kind === 'complaint' ? 'complaint' : 'bounce',
      reason: notice.diagnostic ?? notice.status ?? notice.feedback ?? 'a report without a reason',
      since: this.#scope.environment.clock.now(),
    }
    await suppressions.add(suppression)
    notice.suppressed = true
  }
}

type Noticed = { -readonly [Key in keyof ReceivedNotice]: ReceivedNotice[Key] }

function noticeOf(
  job: DeliveryJob,
  report: DeliveryReport,
  about: ReportedRecipient,
  path: VerpReading | undefined,
): Noticed {
  return {
    type: 'notice.received',
    kind: about.action === 'failed' ? 'bounce' : about.action === 'delayed' ? 'delay' : 'success',
    message: job.id,
    recipient: path?.recipient ?? about.original ?? about.address,
    sender: path?.sender ?? report.original?.sender ?? undefined,
    signed: path?.signed ?? false,
    status: about.status,
    diagnostic: about.diagnostic,
    remoteMta: about.remoteMta,
    reportingMta: report.reportingMta,
    envelopeId: report.envelopeId,
    messageId: report.original?.messageId,
  }
}

function isOver({ kind, status, feedback }: ReceivedNotice): boolean {
  if (kind === 'complaint') return feedback !== 'not-spam' && feedback !== 'auth-failure'
  return kind === 'bounce' && status !== undefined && NO_SUCH_ADDRESS.test(status)
}

function tell(events: Events, notices: readonly Noticed[]): void {
  if (events.wants('notice.received')) for (const notice of notices) events.emit(notice)
}
