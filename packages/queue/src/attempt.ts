/**
 * One attempt at one entry: ask its transport, draw the conclusions, settle. The settlement is retried while storage is
 * in trouble, because the mail may already be delivered: forgetting that would deliver it twice.
 */
import {
  type Call,
  type Claim,
  type DeliveryJob,
  type Environment,
  type Events,
  hasCode,
  type Lane,
  type Outcome,
  parseLaneKey,
  type QueueStore,
  type RecipientId,
  type Remainder,
  reply,
  type Settlement,
  type SuppressionList,
  sameOutcome,
  sleep,
  type Transport,
  toOutcome,
} from '@mailwright/core'
import { tellAttempt } from './attempt-events.ts'
import { type BounceParts, type Notice, type Notices, noticesFor } from './bounce.ts'
import { lateRecipients } from './delay-warning.ts'
import { ERROR_TRANSPORT, errorLaneOutcome } from './error-lane.ts'
import { expiredUntried } from './expiry.ts'
import { carryOut, type InstructedParts, isInstructed } from './instructed.ts'
import { ageFrom, expiryOf, isTooLate } from './lifetime.ts'
import type { RetryRules, RulesFor } from './retry-rules.ts'
import { type ConcludingParts, type Conclusions, conclude } from './settlement.ts'
import { suppressFailed } from './suppressing.ts'
import type { UnreachableDestinations } from './unreachable.ts'
import { envelopeOf, senderOf, type VerpOptions } from './verp-sender.ts'

export interface AttemptParts extends BounceParts, InstructedParts, ConcludingParts {
  readonly environment: Environment
  readonly events: Events
  readonly store: QueueStore
  readonly transports: ReadonlyMap<string, Transport>
  /** Absent: `retry` for all mail. */
  readonly rulesFor?: RulesFor | undefined
  readonly unreachable: UnreachableDestinations
  readonly suppressions?: SuppressionList | undefined
  /** After how many ms a sender is told that mail is late. Undefined: never. */
  readonly warnAfterMs?: number | undefined
  readonly verp?: VerpOptions | undefined
}

/** What the destination made of an attempt. `untried`: it was not asked. */
export type Reception = 'answered' | 'unreachable' | 'untried'

/** How an attempt ended. */
export interface AttemptResult {
  /** When what was deferred is due again. */
  readonly retryAt: number | undefined
  /** Lanes in which a notice was stored, or to which mail was moved. */
  readonly noticeLanes: readonly string[]
}

const ABANDONED: AttemptResult = { retryAt: undefined, noticeLanes: [] }
const NO_LANES: readonly string[] = []
const NO_NOTICES: Notices = { bounce: undefined, copy: undefined }
const SETTLE_RETRY_MS = [1_000, 2_000, 5_000, 10_000, 30_000] as const

/**
 * Runs the attempt to its end. Never rejects. `received` is called once, as soon as the destination is done with it: what
 * follows, the notice and the settlement, is between us and our store.
 */
export async function attempt(
  parts: AttemptParts,
  claim: Claim,
  call: Call,
  received: (reception: Reception, pausedUntil: number | undefined) => void,
): Promise<AttemptResult> {
  const startedAt = parts.environment.clock.now()
  const { notBefore } = claim.options
  if (notBefore !== undefined && notBefore > startedAt && !isInstructed(claim)) {
    // Whoever made it due, an operator or a clock set back: its sender wants it later.
    received('untried', undefined)
    return putOff(parts, claim, notBefore)
  }
  const lane = parseLaneKey(claim.entry.lane)
  const rules = parts.rulesFor?.(claim) ?? parts.retry
  let untried: ReadonlyMap<RecipientId, Outcome> | undefined
  let now: number
  let conclusions: Conclusions
  try {
    if (isInstructed(claim)) {
      const instead = await carryOut(parts, claim, call)
      if ('settlement' in instead) {
        received('untried', undefined)
        return await move(parts, claim, instead.settlement, call)
      }
      untried = instead.outcomes
    } else untried = overBefore(parts, claim, rules, startedAt)
    const answered = untried ?? (await deliver(parts, claim, lane, call))
    now = parts.environment.clock.now()
    conclusions = conclude(claim, answered, now, rules, parts)
  } catch (error) {
    if (call.signal.aborted) {
      received('answered', undefined)
      // The attempt was cut short by shutdown.
      await returnUntried(parts, claim)
      return ABANDONED
    }
    parts.events.emit({ type: 'failure', where: `delivery of ${claim.entry.message} by ${lane.transport}`, error })
    now = parts.environment.clock.now()
    conclusions = conclude(claim, sameOutcome(envelopeOf(parts.verp, claim), toOutcome(error)), now, rules, parts)
  }
  if (untried === undefined) parts.unreachable.learn(claim.entry.lane, conclusions.unreachable)
  received(receptionOf(untried, conclusions), conclusions.pausedUntil)
  const delayed = lateRecipients(claim, conclusions, now, parts.warnAfterMs)
  const { failed, succeeded } = conclusions
  let notices = NO_NOTICES
  let warned = false
  if (failed.length > 0 || succeeded.length > 0 || delayed.length > 0) {
    try {
      notices = await noticesFor(parts, claim, senderOf(parts.verp, claim), { failed, succeeded, delayed }, call)
      warned = delayed.length > 0
    } catch (error) {
      // Whoever should be told cannot be routed now: what failed is kept, and fails again later. What was delivered
      // must not be delivered again for the sake of a notice.
      parts.events.emit({ type: 'failure', where: `notice about ${claim.entry.message}`, error })
      conclusions = postponeFailures(parts, claim, conclusions, now, rules)
    }
  }
  const { bounce, copy } = notices
  const also = typeof bounce === 'object' ? bounce : copy
  const aside = also === copy ? undefined : await putAside(parts, copy, call)
  const settlement: Settlement = {
    outcomes: conclusions.outcomes,
    retryAt: conclusions.retryAt,
    counted: true,
    ...(warned ? { warned } : {}),
    ...(also === undefined ? {} : { also: { message: also.message, source: also.source } }),
  }
  const remainder = await settle(parts, claim, settlement, call)
  if (remainder === undefined) return ABANDONED
  if (conclusions.failed.length > 0) await suppressFailed(parts, conclusions.failed, now)
  tellAttempt(parts.events, { claim, lane, conclusions, bounce, remainder, startedAt, endedAt: now })
  return {
    retryAt: conclusions.deferred.length > 0 ? conclusions.retryAt : undefined,
    noticeLanes: also === undefined ? NO_LANES : [...lanesOf(also), ...lanesOf(aside)],
  }
}

function receptionOf(untried: unknown, { unreachable }: Conclusions): Reception {
  if (untried !== undefined) return 'untried'
  return unreachable === undefined ? 'answered' : 'unreachable'
}

/**
 * What becomes of mail whose time was over before it could be tried: the sender wants it no more, or its destination
 * could not be reached when it was last tried. Other mail gets an attempt, however late it is: we may have been away.
 */
function overBefore(
  parts: AttemptParts,
  claim: Claim,
  rules: RetryRules,
  now: number,
): ReadonlyMap<RecipientId, Outcome> | undefined {
  if (isTooLate(claim, now)) return expiredUntried(claim, undefined)
  const unreachable = parts.unreachable.of(claim.entry.lane)
  return unreachable !== undefined && now >= expiryOf(claim, rules) ? expiredUntried(claim, unreachable) : undefined
}

/** Gives a claim back until a later time. Never rejects. */
async function putOff(parts: AttemptParts, claim: Claim, dueAt: number): Promise<AttemptResult> {
  await returnUntried(parts, claim, dueAt)
  return { retryAt: dueAt, noticeLanes: NO_LANES }
}

/** Sends it on to other lanes, or leaves it for later where that cannot be said now. Never rejects. */
async function move(parts: AttemptParts, claim: Claim, settlement: Settlement, call: Call): Promise<AttemptResult> {
  const remainder = await settle(parts, claim, settlement, call)
  if (remainder === undefined) return ABANDONED
  const { moved, retryAt } = settlement
  return moved === undefined
    ? { retryAt, noticeLanes: NO_LANES }
    : { retryAt: undefined, noticeLanes: moved.map((entry) => entry.lane) }
}

function deliver(
  parts: AttemptParts,
  claim: Claim,
  lane: Lane,
  call: Call,
): Promise<ReadonlyMap<RecipientId, Outcome>> {
  const envelope = envelopeOf(parts.verp, claim)
  if (lane.transport === ERROR_TRANSPORT)
    return Promise.resolve(sameOutcome(envelope, errorLaneOutcome(lane.destination)))
  const transport = parts.transports.get(lane.transport)
  if (transport === undefined) {
    // A configuration that lost a transport must not bounce its mail.
    const outcome: Outcome = {
      status: 'deferred',
      scope: 'destination',
      reply: reply(451, '4.3.5', `No transport ${lane.transport}`),
    }
    return Promise.resolve(sameOutcome(envelope, outcome))
  }
  const job: DeliveryJob = {
    id: claim.entry.message,
    envelope,
    message: claim.message,
    arrivedAt: claim.entry.arrivedAt,
    lane,
    attempt: claim.entry.attempts + 1,
  }
  return transport.deliver(job, call)
}

/**
 * Stores a copy for the postmaster beside the notice that the settlement carries; nothing that befalls a copy befalls
 * the mail. When we are killed in between, the next attempt makes another.
 */
async function putAside(parts: AttemptParts, copy: Notice | undefined, call: Call): Promise<Notice | undefined> {
  if (copy === undefined) return undefined
  try {
    await parts.store.put(copy.message, copy.source, undefined, call)
    return copy
  } catch (error) {
    parts.events.emit({ type: 'failure', where: `storing the postmaster copy ${copy.message.id}`, error })
    return undefined
  }
}

function lanesOf(notice: Notice | undefined): readonly string[] {
  return notice === undefined ? NO_LANES : notice.message.entries.map((each) => each.lane)
}

/**
 * Gives a claim back, and nothing happened. Without `retryAt` the entry is due as it was, and keeps its place in the line.
 * Never rejects.
 */
export async function returnUntried(
  parts: AttemptParts,
  claim: Claim,
  retryAt: number = claim.entry.dueAt,
): Promise<void> {
  try {
    await parts.store.settle(claim, { outcomes: new Map(), retryAt, counted: false })
  } catch (error) {
    // Lost: there is nothing to give back.
    if (hasCode(error, 'ERR_MAILWRIGHT_CLAIM_LOST')) return
    // The lease ends by itself.
    parts.events.emit({ type: 'failure', where: `handing back ${claim.entry.message}`, error })
  }
}

function postponeFailures(
  parts: AttemptParts,
  claim: Claim,
  conclusions: Conclusions,
  now: number,
  rules: RetryRules,
): Conclusions {
  const outcomes = new Map(conclusions.outcomes)
  for (const { recipient, outcome } of conclusions.failed) {
    outcomes.set(recipient.id, {
      status: 'deferred',
      scope: 'recipient',
      reply: reply(451, '4.3.0', `Notice postponed; failed with ${outcome.reply.enhanced}`),
    })
  }
  const { random } = parts.environment
  const wait = rules.schedule({ now, arrivedAt: ageFrom(claim), attempt: claim.entry.attempts + 1, random })
  const deferred = [...conclusions.deferred, ...conclusions.failed.map((each) => each.recipient)]
  return { ...conclusions, outcomes, failed: [], deferred, retryAt: Math.max(conclusions.retryAt, now + wait) }
}

/** Settles, waiting out storage trouble. Undefined when the claim was lost or the server stops first. */
async function settle(
  parts: AttemptParts,
  claim: Claim,
  settlement: Settlement,
  call: Call,
): Promise<Remainder | undefined> {
  for (let failures = 0; ; failures++) {
    try {
      return await parts.store.settle(claim, settlement)
    } catch (error) {
      parts.events.emit({ type: 'failure', where: `settling ${claim.entry.message}`, error })
      if (hasCode(error, 'ERR_MAILWRIGHT_CLAIM_LOST')) return undefined
      try {
        await sleep(
          parts.environment.clock,
          SETTLE_RETRY_MS[Math.min(failures, SETTLE_RETRY_MS.length - 1)]!,
          call.signal,
        )
      } catch {
        return undefined
      }
    }
  }
}
