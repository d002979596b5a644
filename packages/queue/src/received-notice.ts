/** What a message tells of mail of ours, as events: from a report of its delivery or a complaint, and its return path. */
import type { DeliveryJob, EventOf, Mailbox } from '@mailwright/core'
import {
  type DeliveryReport,
  type FeedbackReport,
  parseDsn,
  parseFeedbackReport,
  parseVerp,
  type ReportedRecipient,
  type VerpReading,
  type VerpStyle,
} from '@mailwright/message'

export type ReceivedNotice = EventOf<'notice.received'>

/**
 * The notices in a message, whose beginning is `bytes`; undefined when there are none, or, with a secret in `verp`, when
 * it neither came to a return path of our making nor quotes one.
 */
export function receivedNotices(
  job: DeliveryJob,
  bytes: Uint8Array,
  verp: VerpStyle | undefined,
): readonly ReceivedNotice[] | undefined {
  const complaint = parseFeedbackReport(bytes)
  const report = complaint === undefined ? parseDsn(bytes) : undefined
  if (complaint === undefined && report === undefined) return undefined
  const cameTo = job.envelope.recipients.map(({ original }) => original)
  const quoted = complaint === undefined ? [] : [complaint.sender, complaint.original?.sender]
  const path = verp && pathAmong([...quoted, ...cameTo], verp)
  if (path === undefined && verp?.secret !== undefined) return undefined
  return complaint === undefined ? reported(job, report!, path) : complained(job, complaint, path)
}

/** The first of the addresses that is a return path of ours. */
function pathAmong(addresses: readonly (Mailbox | null | undefined)[], verp: VerpStyle): VerpReading | undefined {
  for (const address of addresses) {
    const path = address && parseVerp(address, verp)
    if (path) return path
  }
  return undefined
}

function reported(job: DeliveryJob, report: DeliveryReport, path: VerpReading | undefined): readonly ReceivedNotice[] {
  if (path === undefined) return report.recipients.map((about) => noticeOf(job, report, about, path))
  // A return path is about one recipient, whatever else the report may say.
  const worst = report.recipients.find(({ action }) => action === 'failed') ?? report.recipients[0]!
  return [noticeOf(job, report, worst, path)]
}

function noticeOf(
  job: DeliveryJob,
  report: DeliveryReport,
  about: ReportedRecipient,
  path: VerpReading | undefined,
): ReceivedNotice {
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

/** Receivers often leave out who complains: such a complaint is told all the same. */
function complained(
  job: DeliveryJob,
  { original, sender, ...report }: FeedbackReport,
  path: VerpReading | undefined,
): readonly ReceivedNotice[] {
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
