/**
 * Whom to tell about recipients that failed, that are late, or that were served where the sender asked to hear of it: a
 * delivery status notification to the sender (RFC 3461, RFC 3464), stored in the same transaction as what it reports,
 * and where the host wants it a copy to the postmaster. Notices make no notices: the null sender is never told, nor is
 * anybody about a message that is a report itself.
 */
import {
  type Call,
  type Claim,
  type Environment,
  type Events,
  type FailedOutcome,
  type Mailbox,
  MailwrightError,
  type MessageId,
  type MessageSource,
  mailboxKey,
  type NewMessage,
  type OkOutcome,
  type Recipient,
  type Router,
} from '@mailwright/core'
import {
  buildDsn,
  type DsnAction,
  type DsnRecipient,
  type DsnReport,
  dsnOptions,
  fieldValue,
  POSTMASTER_NOTICES,
  UNRETURNABLE_NOTICES,
} from '@mailwright/message'
import type { DelayedRecipient } from './delay-warning.ts'
import { type NoticeOptions, withStyle, writeNotice } from './notice-style.ts'
import { concernsPostmaster, type PostmasterOptions } from './postmaster.ts'
import { entriesOf, type Routed, routeAll } from './routing.ts'
import type { FailedRecipient, SucceededRecipient } from './settlement.ts'

export interface BounceParts {
  readonly hostname: string
  readonly router: Router
  readonly environment: Environment
  readonly events: Events
  readonly nextId: () => MessageId
  readonly notices?: NoticeOptions | undefined
  readonly postmaster?: Required<PostmasterOptions> | undefined
}

/** What there is to tell of an attempt. */
export interface Told {
  readonly failed: readonly FailedRecipient[]
  readonly succeeded: readonly SucceededRecipient[]
  readonly delayed: readonly DelayedRecipient[]
}

/** A notice ready to be stored. */
export interface Notice {
  readonly message: NewMessage
  readonly source: MessageSource
}

export interface Bounce extends Notice {
  readonly to: Mailbox
  readonly recipients: readonly Recipient[]
  readonly about: 'failure' | 'success' | 'delay' | 'both'
}

export interface Notices {
  /** To the sender; `undeliverable` when there is nobody to tell of a failure. */
  readonly bounce: Bounce | 'undeliverable' | undefined
  /** To the postmaster. */
  readonly copy: Notice | undefined
}

type ToldOfOne = FailedRecipient | SucceededRecipient | DelayedRecipient

const KINDS = { failure: 'failed', success: 'delivered', delay: 'delayed', both: 'mixed' } as const

/**
 * The notices about these recipients of mail that left with `sender`. Success or delay that nobody can be told of is
 * no failure. Rejects when the address of the sender cannot be routed now.
 */
export async function noticesFor(
  parts: BounceParts,
  claim: Claim,
  sender: Mailbox | null,
  told: Told,
  call: Call,
): Promise<Notices> {
  const wanted: Told = {
    failed: told.failed.filter(({ recipient }) => wantsFailureNotice(recipient)),
    succeeded: told.succeeded,
    delayed: told.delayed.filter(wantsDelayNotice),
  }
  const bounce = await bounceFor(parts, claim, sender, wanted, call)
  return { bounce, copy: await postmasterCopy(parts, claim, sender, told, bounce, call) }
}

async function bounceFor(
  parts: BounceParts,
  claim: Claim,
  sender: Mailbox | null,
  { failed, succeeded, delayed }: Told,
  call: Call,
): Promise<Bounce | 'undeliverable' | undefined> {
  const all: readonly ToldOfOne[] = [...failed, ...delayed, ...succeeded]
  if (all.length === 0) return undefined
  const nobodyToTell = failed.length > 0 ? 'undeliverable' : undefined
  if (sender === null || isReport(claim, sender)) return nobodyToTell
  const routed = await routeNotice(parts, sender, call)
  if (routed === undefined) return nobodyToTell
  const about = subjectOf(all.length, failed, succeeded, delayed)
  const report = reportOf(parts, claim, sender, sender, KINDS[about], all)
  const source = writeNotice(report, parts.notices ?? {}, parts.events)
  const recipients = all.map((each) => each.recipient)
  return { ...noticeOf(report, source, routed), to: sender, recipients, about }
}

function subjectOf(
  all: number,
  failed: Told['failed'],
  succeeded: Told['succeeded'],
  delayed: Told['delayed'],
): Bounce['about'] {
  if (failed.length === all) return 'failure'
  if (succeeded.length === all) return 'success'
  return delayed.length === all ? 'delay' : 'both'
}

/** The copy for the postmaster; the notice itself where nobody else can be told, and then it is not given up. */
async function postmasterCopy(
  parts: BounceParts,
  claim: Claim,
  sender: Mailbox | null,
  told: Told,
  bounce: Notices['bounce'],
  call: Call,
): Promise<Notice | undefined> {
  const { postmaster } = parts
  const audience = bounce === 'undeliverable' ? 'nobody' : 'sender'
  if (postmaster === undefined || !concernsPostmaster(postmaster, told, audience)) return undefined
  const { address } = postmaster
  if (sender === null && audience === 'sender') return undefined
  // Who is told as the sender needs no copy.
  if (sender !== null && mailboxKey(sender) === mailboxKey(address)) return undefined
  try {
    const routed = await routeNotice(parts, address, call)
    if (routed === undefined) return undefined
    const kind = told.delayed.length === 0 ? 'failed' : told.failed.length === 0 ? 'delayed' : 'mixed'
    const about = reportOf(parts, claim, sender, address, kind, [...told.failed, ...told.delayed])
    const template = audience === 'nobody' ? UNRETURNABLE_NOTICES : POSTMASTER_NOTICES
    const report: DsnReport = { ...withStyle(about, parts.notices ?? {}), purpose: 'copy', template }
    return noticeOf(report, buildDsn(report), routed)
  } catch (error) {
    if (audience === 'nobody') throw error
    // The mail does not wait for a copy.
    parts.events.emit({ type: 'failure', where: `postmaster copy about ${claim.entry.message}`, error })
    return undefined
  }
}

/** Where a notice to this address goes; undefined when it goes nowhere. Rejects when that cannot be said now. */
async function routeNotice(parts: BounceParts, to: Mailbox, call: Call): Promise<readonly Routed[] | undefined> {
  const routed = await routeAll(parts.router, null, [{ id: 1, address: to, original: to }], call)
  if (routed.some((each) => each.refusal === undefined)) return routed
  const temporary = routed.find((each) => each.refusal!.code < 500)?.refusal
  if (temporary === undefined) return undefined
  throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'the sender cannot be routed now', { reply: temporary })
}

function reportOf(
  parts: BounceParts,
  { entry, options, message }: Claim,
  sender: Mailbox | null,
  to: Mailbox,
  kind: DsnReport['kind'],
  about: readonly ToldOfOne[],
): DsnReport {
  return {
    kind,
    hostname: parts.hostname,
    id: parts.nextId(),
    at: parts.environment.clock.now(),
    to,
    original: { id: entry.message, sender, arrivedAt: entry.arrivedAt, options, source: message },
    recipients: about.map(recipientOf),
  }
}

function recipientOf(about: ToldOfOne): DsnRecipient {
  const { recipient, outcome } = about
  return {
    recipient,
    reply: outcome.reply,
    action: actionOf(outcome),
    ...(outcome.remote === undefined ? {} : { remote: outcome.remote }),
    ...('retryUntil' in about ? { retryUntil: about.retryUntil } : {}),
  }
}

function noticeOf(report: DsnReport, source: MessageSource, routed: readonly Routed[]): Notice {
  const { id, at } = report
  const entries = entriesOf(routed, routed.length, at, undefined)
  return { message: { id, sender: null, options: dsnOptions(report, source), arrivedAt: at, entries }, source }
}

/** RFC 3464 §2.3.3. Mail that an operator has thrown away counts as delivered. */
function actionOf(outcome: FailedOutcome | OkOutcome | DelayedRecipient['outcome']): DsnAction {
  if (outcome.status === 'failed') return 'failed'
  if (outcome.status === 'deferred') return 'delayed'
  return outcome.action === 'relayed' || outcome.action === 'expanded' ? outcome.action : 'delivered'
}

/** NOTIFY absent means failures are reported; NEVER, or a list without FAILURE, means they are not (RFC 3461 §4.1). */
function wantsFailureNotice(recipient: Recipient): boolean {
  return recipient.notify === undefined || recipient.notify.includes('failure')
}

/** The same of DELAY; who has set a time for the mail wants to hear of that unless NEVER. */
function wantsDelayNotice({ recipient: { notify }, asked }: DelayedRecipient): boolean {
  return notify === undefined || notify.includes('delay') || (asked && !notify.includes('never'))
}

/** Reports of servers that give them a sender of their own: an answer would be answered. */
function isReport({ message }: Claim, sender: Mailbox): boolean {
  if (sender.local.toLowerCase() === 'mailer-daemon') return true
  const type = fieldValue(message.head, 'Content-Type')
  return (
    type !== undefined &&
    /^multipart\/report\b.*\breport-type="?(?:delivery-status|disposition-notification)\b/is.test(type)
  )
}
