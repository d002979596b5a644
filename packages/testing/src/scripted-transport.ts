/**
 * A transport that does what a script says, recipient by recipient and attempt by attempt, and remembers every job.
 * It denies by default: a recipient nobody wrote about is deferred and remembered, and `assertDone` names it.
 */
import {
  type Call,
  type Capability,
  type Clock,
  type DeliveryJob,
  type Duration,
  formatMailbox,
  MailwrightError,
  mailboxKey,
  milliseconds,
  type Outcome,
  type Recipient,
  type RecipientId,
  type Reply,
  sleep,
  type TransientCode,
  type Transport,
} from '@mailwright/core'
import { deferred, delivered, outcomeOf, type ScriptedOutcome } from './scripted-outcome.ts'

/**
 * By address, without case; `*` is everybody else. A list is used up, one for each attempt at that address; a single
 * outcome lasts. A function is asked each time; undefined from it is unexpected.
 */
export type OutcomeScript =
  | Readonly<Record<string, ScriptedOutcome | readonly ScriptedOutcome[]>>
  | ((recipient: Recipient, job: DeliveryJob) => ScriptedOutcome | undefined)

export interface ScriptedTransportOptions {
  /** Default `scripted`. */
  readonly name?: string
  /** Default: SMTPUTF8. */
  readonly capabilities?: readonly Capability[]
  /** Default: nobody is expected. */
  readonly outcomes?: OutcomeScript
  /** How long each delivery takes, on the clock given. */
  readonly takes?: Duration
  readonly clock?: Clock
}

export interface ScriptedTransport extends Transport {
  /** Every job, in the order `deliver` was called. */
  readonly jobs: readonly DeliveryJob[]
  /** Addresses that reached an `ok`, in order. */
  readonly delivered: readonly string[]
  /** Addresses that nobody wrote about. */
  readonly unexpected: readonly string[]
  /** Deliveries under way. */
  readonly busy: number
  /** The most deliveries that were ever under way at once. */
  readonly mostBusy: number
  /** What `refusing` answers from now on. */
  refuse(answer: Reply<TransientCode> | null): void
  /** Lets no delivery finish until `release`. */
  pause(): void
  release(): void
  /** Throws unless every scripted list is used up and nobody came unexpected. */
  assertDone(): void
}

/**
 * Makes a scripted transport.
 *
 * @example
 * const smtp = scriptedTransport({ name: 'smtp', outcomes: { 'ann@example.org': ['450 4.2.0 later', 'ok'] } })
 */
export function scriptedTransport(options: ScriptedTransportOptions = {}): ScriptedTransport {
  const { outcomes = {}, clock } = options
  const takesMs = milliseconds(options.takes ?? 0)
  if (takesMs > 0 && clock === undefined)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'a scripted transport that takes time needs a clock')
  const byAddress = new Map<string, ScriptedOutcome | ScriptedOutcome[]>()
  if (typeof outcomes !== 'function') {
    for (const [address, scripted] of Object.entries(outcomes))
      byAddress.set(address.toLowerCase(), Array.isArray(scripted) ? [...scripted] : (scripted as ScriptedOutcome))
  }
  const jobs: DeliveryJob[] = []
  const reached: string[] = []
  const unexpected: string[] = []
  let busy = 0
  let mostBusy = 0
  let refusal: Reply<TransientCode> | null = null
  let gate: PromiseWithResolvers<void> | undefined

  function outcomeFor(recipient: Recipient, job: DeliveryJob): Outcome {
    const key = mailboxKey(recipient.address)
    let scripted: ScriptedOutcome | undefined
    if (typeof outcomes === 'function') scripted = outcomes(recipient, job)
    else {
      const entry = byAddress.get(key) ?? byAddress.get('*')
      scripted = Array.isArray(entry) ? entry.shift() : entry
    }
    if (scripted === undefined) {
      unexpected.push(`${formatMailbox(recipient.address)} (attempt ${job.attempt})`)
      return deferred('451 4.3.0 nobody scripted this')
    }
    const outcome = scripted === 'ok' ? delivered() : outcomeOf(scripted)
    if (outcome.status === 'ok') reached.push(formatMailbox(recipient.address))
    return outcome
  }

  return {
    name: options.name ?? 'scripted',
    capabilities: new Set(options.capabilities ?? ['smtputf8']),
    jobs,
    delivered: reached,
    unexpected,
    get busy(): number {
      return busy
    },
    get mostBusy(): number {
      return mostBusy
    },
    async deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
      call.signal.throwIfAborted()
      jobs.push(job)
      mostBusy = Math.max(mostBusy, ++busy)
      try {
        if (gate !== undefined) await opened(gate.promise, call.signal)
        if (takesMs > 0) await sleep(clock!, takesMs, call.signal)
        return new Map(job.envelope.recipients.map((recipient) => [recipient.id, outcomeFor(recipient, job)]))
      } finally {
        busy--
      }
    },
    refusing: (): Reply<TransientCode> | null => refusal,
    refuse(answer: Reply<TransientCode> | null): void {
      refusal = answer
    },
    pause(): void {
      gate ??= Promise.withResolvers()
    },
    release(): void {
      gate?.resolve()
      gate = undefined
    },
    assertDone(): void {
      const left = [...byAddress].flatMap(([address, entry]) =>
        Array.isArray(entry) && entry.length > 0 ? [`${entry.length} more for ${address}`] : [],
      )
      const problems = [...left.map((one) => `not used: ${one}`), ...unexpected.map((one) => `unexpected: ${one}`)]
      if (problems.length > 0) throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', problems.join('; '))
    },
  }
}

/** Waits for the gate, or rejects when the signal aborts first. */
async function opened(gate: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([gate, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
