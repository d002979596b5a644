/**
 * One attempt at one entry: ask its transport, draw the conclusions, settle. The settlement is retried while storage is
 * in trouble, because the mail may already be delivered: forgetting that would deliver it twice.
 */
import {
  type Call,
  type Claim,
  type DeliveryJob,
  hasCode,
  type Lane,
  type Outcome,
  parseLaneKey,
  type QueueStore,
  type RecipientId,
  type Remainder,
  reply,
  type Settlement,
  sameOutcome,
  sleep,
  type Transport,
  toOutcome,
} from '@mailwright/core'
import { tellAttempt } from './attempt-events.ts'
import { type Bounce, type BounceParts, bounceFor } from './bounce.ts'
import { ERROR_TRANSPORT, errorLaneOutcome } from './error-lane.ts'
import { carryOut, type InstructedParts, isInstructed } from './instructed.ts'
import { type Conclusions, conclude, type RetryRules } from './settlement.ts'

export interface AttemptParts extends BounceParts, InstructedParts {
  readonly store: QueueStore
  readonly transports: ReadonlyMap<string, Transport>
}

/** What the destination made of an attempt. */
export type Reception = 'answered' | 'unreachable'

/** How an attempt ended. */
export interface AttemptResult {
  /** When what was deferred is due again. */
  readonly retryAt: number | undefined
  /** Lanes in which a notice was stored, or to which mail was moved. */
  readonly noticeLanes: readonly string[]
}

const ABANDONED: AttemptResult = { retryAt: undefined, noticeLanes: [] }
const NO_LANES: readonly string[] = []
const SETTLE_RETRY_MS = [1_000, 2_000, 5_000, 10_000, 30_000] as const

/**
 * Runs the attempt to its end. Never rejects. `received` is called once, as soon as the destination is done with it: what
 * follows, the notice and the settlement, is between us and our store.
 */
export async function attempt(
  parts: AttemptParts,
  claim: Claim,
  call: Call,
  received: (reception: Reception) => void,
): Promise<AttemptResult> {
  const startedAt = parts.environment.clock.now()
  const lane = parseLaneKey(claim.entry.lane)
  let now: number
  let conclusions: Conclusions
  try {
    let answered: ReadonlyMap<RecipientId, Outcome>
    if (isInstructed(claim)) {
      const instead = await carryOut(parts, claim, call)
      if ('settlement' in instead) {
        received('answered')
        return await move(parts, claim, instead.settlement, call)
      }
      answered = instead.outcomes
    } else answered = await deliver(parts, claim, lane, call)
    now = parts.environment.clock.now()
    conclusions = conclude(claim, answered, now, parts.retry)
  } catch (error) {
    if (call.signal.aborted) {
      received('answered')
      // The attempt was cut short by shutdown.
      await returnUntried(parts, claim)
      return ABANDONED
    }
    parts.events.emit({ type: 'failure', where: `delivery of ${claim.entry.message} by ${lane.transport}`, error })
    now = parts.environment.clock.now()
    conclusions = conclude(claim, sameOutcome(envelopeOf(claim), toOutcome(error)), now, parts.retry)
  }
  received(conclusions.unreachable ? 'unreachable' : 'answered')
  let bounce: Bounce | 'undeliverable' | undefined
  const { failed, succeeded } = conclusions
  if (failed.length > 0 || succeeded.length > 0) {
    try {
      bounce = await bounceFor(parts, claim, failed, call, succeeded)
    } catch (error) {
      // Whoever should be told cannot be routed now: what failed is kept, and fails again later. What was delivered
      // must not be delivered again for the sake of a notice.
      parts.events.emit({ type: 'failure', where: `notice about ${claim.entry.message}`, error })
      conclusions = postponeFailures(claim, conclusions, now, parts.retry)
    }
  }
  const settlement: Settlement = {
    outcomes: conclusions.outcomes,
    retryAt: conclusions.retryAt,
    counted: true,
    ...(typeof bounce === 'object' ? { also: { message: bounce.message, source: bounce.source } } : {}),
  }
  const remainder = await settle(parts, claim, settlement, call)
  if (remainder === undefined) return ABANDONED
  tellAttempt(parts.events, { claim, lane, conclusions, bounce, remainder, startedAt, endedAt: now })
  return {
    retryAt: conclusions.deferred.length > 0 ? conclusions.retryAt : undefined,
    noticeLanes: typeof bounce === 'object' ? bounce.message.entries.map((each) => each.lane) : NO_LANES,
  }
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
  const envelope = envelopeOf(claim)
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

function envelopeOf(claim: Claim): DeliveryJob['envelope'] {
  return { sender: claim.entry.sender, recipients: claim.entry.recipients, options: claim.options }
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

function postponeFailures(claim: Claim, conclusions: Conclusions, now: number, rules: RetryRules): Conclusions {
  const outcomes = new Map(conclusions.outcomes)
  for (const { recipient, outcome } of conclusions.failed) {
    outcomes.set(recipient.id, {
      status: 'deferred',
      scope: 'recipient',
      reply: reply(451, '4.3.0', `Notice postponed; failed with ${outcome.reply.enhanced}`),
    })
  }
  const wait = rules.schedule({ now, arrivedAt: claim.entry.arrivedAt, attempt: claim.entry.attempts + 1 })
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
