/**
 * From the first byte of data to the final reply: collect the message, ask the policies about it, add our Received
 * field (RFC 5321 §4.4), and hand it to the transport. The positive reply is the commitment; whatever goes wrong before
 * it is a refusal, and then nothing of the message is kept.
 */
import {
  type Awaitable,
  type Call,
  type DeferredOutcome,
  type DeliveryJob,
  type Edit,
  type Environment,
  type Events,
  type FailedOutcome,
  hasCode,
  isRefusal,
  LOCAL_ERROR,
  type Mailbox,
  type MessageId,
  type MessageSource,
  mailboxKey,
  type Outcome,
  type Recipient,
  type RecipientId,
  type Refusal,
  type Reply,
  reply,
  replyLine,
  type Session,
  type Transaction,
  throwIfAborted,
} from '@mailwright/core'
import { applyEdits, fieldValue, prependToHead, receivedField, withHead } from '@mailwright/message'
import { withLabels } from './labels.ts'
import type { IntakeSettings } from './mail-intake.ts'
import { MessageCollector } from './message-collector.ts'
import type { PolicyPanel } from './policy-panel.ts'
import { inTime, type Ruling, refusalOf, SILENCE, together } from './stage.ts'
import { missingFields } from './submission.ts'

export interface MessageHandOff {
  write(chunk: Uint8Array): Awaitable<void>
  hopeless(): Refusal | undefined
  /** Bytes in memory now. */
  held(): number
  end(): Awaitable<readonly Reply[]>
  abort(): void
}

export interface Reception {
  readonly settings: IntakeSettings
  readonly environment: Environment
  readonly events: Events
  readonly session: Session
  readonly transaction: Transaction
  /** What the stages before came to: their edits, and their votes to hold or discard. */
  readonly before: Ruling
  readonly ask: PolicyPanel['ask']
  readonly report: (refusal: Refusal, why?: Ruling, recipient?: Mailbox) => Refusal
  readonly call: Call
  /** Aborts the call, because the transport took too long. */
  readonly giveUp: () => void
  readonly nextRecipientId: () => RecipientId
}

type RefusingOutcome = DeferredOutcome | FailedOutcome

const NO_OUTCOME: DeferredOutcome = { status: 'deferred', scope: 'message', reply: LOCAL_ERROR }

/** Begins to receive one message. */
export function receiveMessage(reception: Reception): MessageHandOff {
  const { settings, transaction } = reception
  const collector = new MessageCollector({
    maxSize: settings.maxSize,
    maxHeadSize: settings.maxHeadSize,
    inlineLimit: settings.inlineLimit,
    lineEnds: transaction.options.body === 'binarymime' ? 'any' : settings.lineEnds,
    spool: settings.transport.spool === undefined ? undefined : () => settings.transport.spool!(),
  })
  return {
    write: (chunk) => collector.write(chunk),
    hopeless: () => collector.hopeless(),
    held: () => collector.held,
    abort: () => void collector.abandon(),
    end(): Awaitable<readonly Reply[]> {
      const collected = collector.finish()
      return collected instanceof Promise ? collected.then(judge) : judge(collected)
    },
  }

  function judge(collected: MessageSource | Refusal): Awaitable<readonly Reply[]> {
    if ('code' in collected) return everyone(reception.report(collected))
    return reception.ask<Awaitable<readonly Reply[]>>(
      (policy) => policy.message?.(collected, transaction, reception.call),
      (ruling) => act(collected, ruling),
    ) as Awaitable<readonly Reply[]>
  }

  async function act(source: MessageSource, ruling: Ruling): Promise<readonly Reply[]> {
    try {
      return await conclude(source, ruling)
    } catch (error) {
      // Whoever is cut off because the client has gone has not failed.
      if (!reception.call.signal.aborted) reception.events.emit({ type: 'failure', where: 'intake', error })
      await source.spooled?.discard()
      return everyone(reception.report(LOCAL_ERROR))
    }
  }

  async function conclude(source: MessageSource, ruling: Ruling): Promise<readonly Reply[]> {
    const refusal = refusalOf(ruling)
    if (refusal !== undefined) {
      await source.spooled?.discard()
      return everyone(reception.report(refusal, ruling))
    }
    // A client that has gone gets no reply and will come again: taking the message would make it two.
    throwIfAborted(reception.call)
    const id = settings.nextId()
    const decisive = together(reception.before, ruling)
    if (decisive.verdict.kind !== 'discard') return handOff(id, source, decisive)
    await source.spooled?.discard()
    if (reception.events.wants('message.discarded')) {
      const session = { ...reception.session }
      reception.events.emit({ type: 'message.discarded', session, message: id, policy: decisive.policy })
    }
    return everyone(accepted(id))
  }

  async function handOff(id: MessageId, source: MessageSource, decisive: Ruling): Promise<readonly Reply[]> {
    const { edits } = decisive
    const job: DeliveryJob = {
      id,
      envelope: {
        sender: transaction.sender,
        recipients: withAdded(edits),
        options: edits.length === 0 ? transaction.options : withLabels(transaction.options, edits),
      },
      message: withHead(source, stampedHead(id, source, edits)),
      arrivedAt: reception.environment.clock.now(),
      attempt: 1,
      ...(decisive.verdict.kind === 'hold' ? { hold: decisive.reason ?? decisive.policy } : {}),
    }
    const delivering = settings.transport.deliver(job, reception.call)
    let outcomes: ReadonlyMap<RecipientId, Outcome>
    try {
      outcomes = await inTime(delivering, reception.environment.clock, settings.handOffTimeoutMs)
    } catch (error) {
      if (!hasCode(error, 'ERR_MAILWRIGHT_TIMEOUT')) throw error
      return tooLate(id, source, delivering, error)
    }
    const replies = repliesTo(job, outcomes)
    if (replies.every(isRefusal)) await source.spooled?.discard()
    else emitAccepted(job, outcomes)
    return replies
  }

  /** The transport still has the body in its hands: it is removed when it lets go, unless it has kept it. */
  function tooLate(
    id: MessageId,
    source: MessageSource,
    delivering: Promise<unknown>,
    error: unknown,
  ): readonly Reply[] {
    const remove = async (): Promise<void> => source.spooled?.discard()
    delivering.then(remove, remove).catch(() => {})
    reception.events.emit({ type: 'failure', where: `hand-off of ${id}`, error })
    reception.giveUp()
    return everyone(reception.report(LOCAL_ERROR))
  }

  function stampedHead(id: MessageId, source: MessageSource, edits: readonly Edit[]): Uint8Array {
    const { session } = reception
    const { hostname } = settings
    const at = reception.environment.clock.now()
    const received = receivedField({
      session,
      hostname,
      id,
      options: transaction.options,
      at,
      // One recipient may be named; naming several would tell each of the others (RFC 5321 §7.2).
      ...(transaction.recipients.length === 1 ? { recipient: transaction.recipients[0]!.original } : {}),
    })
    const head = edits.length === 0 ? source.head : applyEdits(source.head, edits)
    if (session.profile !== 'submission' || session.user === undefined) return prependToHead(head, received)
    return prependToHead(head, received + missingFields(head, id, hostname, at))
  }

  function withAdded(edits: readonly Edit[]): readonly Recipient[] {
    if (edits.length === 0) return transaction.recipients
    const recipients: Recipient[] = [...transaction.recipients]
    for (const edit of edits) {
      if (edit.edit !== 'add-recipient') continue
      const key = mailboxKey(edit.address)
      if (recipients.some(({ address }) => mailboxKey(address) === key)) continue
      recipients.push({
        id: reception.nextRecipientId(),
        address: edit.address,
        original: edit.address,
        notify: ['never'],
      })
    }
    return recipients
  }

  function repliesTo({ id, envelope }: DeliveryJob, outcomes: ReadonlyMap<RecipientId, Outcome>): readonly Reply[] {
    // A copy that a policy asked for is part of accepting. What went wrong with it is not for the client, which never
    // named that address.
    for (let index = transaction.recipients.length; index < envelope.recipients.length; index++) {
      const copy = envelope.recipients[index]!
      const outcome = outcomes.get(copy.id) ?? NO_OUTCOME
      if (outcome.status !== 'ok') return everyone(reception.report(LOCAL_ERROR, copyFailed(outcome), copy.address))
    }
    return reception.session.protocol === 'lmtp' ? eachReply(id, outcomes) : [oneReply(id, outcomes)]
  }

  /** One reply for all the client's recipients (RFC 5321 §4.2.5). */
  function oneReply(id: MessageId, outcomes: ReadonlyMap<RecipientId, Outcome>): Reply {
    let worst: RefusingOutcome | undefined
    for (const recipient of transaction.recipients) {
      const outcome = outcomes.get(recipient.id) ?? NO_OUTCOME
      // SMTP cannot accept for some only. A deferral makes the client try again for all; a refusal tells the sender.
      if (outcome.status === 'deferred') return reception.report(outcome.reply)
      if (outcome.status === 'failed') worst ??= outcome
    }
    return worst === undefined ? accepted(id) : reception.report(worst.reply)
  }

  function eachReply(id: MessageId, outcomes: ReadonlyMap<RecipientId, Outcome>): readonly Reply[] {
    return transaction.recipients.map((recipient) => {
      const outcome = outcomes.get(recipient.id) ?? NO_OUTCOME
      return outcome.status === 'ok' ? accepted(id) : reception.report(outcome.reply, undefined, recipient.original)
    })
  }

  function everyone(answer: Reply): readonly Reply[] {
    return reception.session.protocol === 'lmtp' ? transaction.recipients.map(() => answer) : [answer]
  }

  function emitAccepted(job: DeliveryJob, outcomes: ReadonlyMap<RecipientId, Outcome>): void {
    if (!reception.events.wants('message.accepted')) return
    const { recipients, sender } = job.envelope
    const taken = recipients.every(({ id }) => outcomes.get(id)?.status === 'ok')
    reception.events.emit({
      type: 'message.accepted',
      session: { ...reception.session },
      message: job.id,
      sender,
      // With LMTP some may have been refused.
      recipients: taken ? recipients : recipients.filter(({ id }) => outcomes.get(id)?.status === 'ok'),
      size: job.message.size,
      messageId: fieldValue(job.message.head, 'Message-ID'),
    })
  }
}

function accepted(id: MessageId): Reply<250> {
  return reply(250, '2.0.0', `Ok: queued as ${id}`)
}

/** Why a message is refused whose copy went wrong: for the events. */
function copyFailed(outcome: RefusingOutcome): Ruling {
  return { ...SILENCE, policy: 'intake', reason: `an added recipient was refused: ${replyLine(outcome.reply)}` }
}
