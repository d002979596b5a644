/**
 * From the first byte of data to the final reply: collect the message, ask the policies about it, add our Received
 * field (RFC 5321 §4.4), and hand it to the transport. The positive reply is the commitment; whatever goes wrong before
 * it is a refusal, and then nothing of the message is kept.
 */
import {
  type Awaitable,
  type Call,
  type DeliveryJob,
  type Edit,
  type Environment,
  type Events,
  isRefusal,
  LOCAL_ERROR,
  type MessageId,
  type MessageSource,
  type Outcome,
  type Recipient,
  type RecipientId,
  type Refusal,
  type Reply,
  reply,
  type Session,
  type Transaction,
} from '@mailwright/core'
import { applyEdits, fieldValue, prependToHead, receivedField, withHead } from '@mailwright/message'
import type { IntakeSettings } from './mail-intake.ts'
import { MessageCollector } from './message-collector.ts'
import { inTime, type Question, type Ruling, refusalOf } from './stage.ts'

export interface MessageHandOff {
  write(chunk: Uint8Array): Awaitable<void>
  end(): Awaitable<readonly Reply[]>
  abort(): void
}

export interface Reception {
  readonly settings: IntakeSettings
  readonly environment: Environment
  readonly events: Events
  readonly session: Session
  readonly transaction: Transaction
  /** What the data stage came to: its edits and its vote to hold or discard. */
  readonly before: Ruling
  readonly ask: (question: Question) => Awaitable<Ruling>
  readonly report: (refusal: Refusal, why?: Ruling) => Refusal
  readonly call: Call
  readonly nextRecipientId: () => RecipientId
}

const NO_OUTCOME: Outcome = { status: 'deferred', scope: 'message', reply: LOCAL_ERROR }

/** Begins to receive one message. */
export function receiveMessage(reception: Reception): MessageHandOff {
  const { settings, transaction } = reception
  const collector = new MessageCollector({
    maxSize: settings.maxSize,
    maxHeadSize: settings.maxHeadSize,
    inlineLimit: settings.inlineLimit,
    lineEnds: settings.lineEnds,
    spool: settings.transport.spool === undefined ? undefined : () => settings.transport.spool!(),
  })
  return {
    write: (chunk) => collector.write(chunk),
    abort: () => void collector.abandon(),
    end(): Awaitable<readonly Reply[]> {
      const collected = collector.finish()
      return collected instanceof Promise ? collected.then(judge) : judge(collected)
    },
  }

  function judge(collected: MessageSource | Refusal): Awaitable<readonly Reply[]> {
    if ('code' in collected) return everyone(reception.report(collected))
    const ruling = reception.ask((policy) => policy.message?.(collected, transaction, reception.call))
    return ruling instanceof Promise ? ruling.then((ruled) => act(collected, ruled)) : act(collected, ruling)
  }

  async function act(source: MessageSource, ruling: Ruling): Promise<readonly Reply[]> {
    const refusal = refusalOf(ruling)
    if (refusal !== undefined) {
      await source.spooled?.discard()
      return everyone(reception.report(refusal, ruling))
    }
    const id = settings.nextId()
    const decisive = stronger(reception.before, ruling)
    if (decisive.verdict.kind === 'discard') {
      await source.spooled?.discard()
      if (reception.events.wanted) {
        reception.events.emit({
          type: 'message.discarded',
          session: reception.session,
          message: id,
          policy: decisive.policy,
        })
      }
      return everyone(accepted(id))
    }
    return handOff(id, source, [...reception.before.edits, ...ruling.edits], decisive)
  }

  async function handOff(
    id: MessageId,
    source: MessageSource,
    edits: readonly Edit[],
    decisive: Ruling,
  ): Promise<readonly Reply[]> {
    const job: DeliveryJob = {
      id,
      envelope: { sender: transaction.sender, recipients: withAdded(edits), options: transaction.options },
      message: withHead(source, stampedHead(id, source, edits)),
      arrivedAt: reception.environment.clock.now(),
      attempt: 1,
      ...(decisive.verdict.kind === 'hold' ? { hold: decisive.reason ?? decisive.policy } : {}),
    }
    let outcomes: ReadonlyMap<RecipientId, Outcome>
    try {
      outcomes = await inTime(
        settings.transport.deliver(job, reception.call),
        reception.environment.clock,
        settings.handOffTimeoutMs,
      )
    } catch (error) {
      reception.events.emit({ type: 'failure', where: `hand-off of ${id}`, error })
      await source.spooled?.discard()
      return everyone(reception.report(LOCAL_ERROR))
    }
    const replies = reception.session.protocol === 'lmtp' ? eachReply(id, outcomes) : [oneReply(id, outcomes)]
    if (replies.some((answer) => !isRefusal(answer))) emitAccepted(job)
    else await source.spooled?.discard()
    return replies.map((answer) => (isRefusal(answer) ? reception.report(answer) : answer))
  }

  function stampedHead(id: MessageId, source: MessageSource, edits: readonly Edit[]): Uint8Array {
    const received = receivedField({
      session: reception.session,
      hostname: settings.hostname,
      id,
      options: transaction.options,
      at: reception.environment.clock.now(),
      // One recipient may be named; naming several would tell each of the others (RFC 5321 §7.2).
      ...(transaction.recipients.length === 1 ? { recipient: transaction.recipients[0]!.original } : {}),
    })
    return prependToHead(edits.length === 0 ? source.head : applyEdits(source.head, edits), received)
  }

  function withAdded(edits: readonly Edit[]): readonly Recipient[] {
    const recipients: Recipient[] = [...transaction.recipients]
    for (const edit of edits) {
      if (edit.edit !== 'add-recipient') continue
      recipients.push({
        id: reception.nextRecipientId(),
        address: edit.address,
        original: edit.address,
        notify: ['never'],
      })
    }
    return recipients
  }

  /** One reply for all the client's recipients (RFC 5321 §4.2.5). */
  function oneReply(id: MessageId, outcomes: ReadonlyMap<RecipientId, Outcome>): Reply {
    let worst: Outcome | undefined
    for (const recipient of transaction.recipients) {
      const outcome = outcomes.get(recipient.id) ?? NO_OUTCOME
      // SMTP cannot accept for some only. A deferral makes the client try again for all; a refusal tells the sender.
      if (outcome.status === 'deferred') return outcome.reply
      if (outcome.status === 'failed') worst = outcome
    }
    return worst?.reply ?? accepted(id)
  }

  function eachReply(id: MessageId, outcomes: ReadonlyMap<RecipientId, Outcome>): readonly Reply[] {
    return transaction.recipients.map((recipient) => {
      const outcome = outcomes.get(recipient.id) ?? NO_OUTCOME
      return outcome.status === 'ok' ? accepted(id) : outcome.reply
    })
  }

  function everyone(answer: Reply): readonly Reply[] {
    return reception.session.protocol === 'lmtp' ? transaction.recipients.map(() => answer) : [answer]
  }

  function emitAccepted(job: DeliveryJob): void {
    if (!reception.events.wanted) return
    reception.events.emit({
      type: 'message.accepted',
      session: reception.session,
      message: job.id,
      sender: job.envelope.sender,
      recipients: job.envelope.recipients,
      size: job.message.size,
      messageId: fieldValue(job.message.head, 'Message-ID'),
    })
  }
}

function accepted(id: MessageId): Reply<250> {
  return reply(250, '2.0.0', `Ok: queued as ${id}`)
}

/** Discarding is stronger than holding, and both than nothing; the earlier stage wins a tie. */
function stronger(before: Ruling, now: Ruling): Ruling {
  if (before.verdict.kind === 'discard' || now.verdict.kind === 'discard')
    return before.verdict.kind === 'discard' ? before : now
  return before.verdict.kind === 'hold' ? before : now
}
