/**
 * One client's conversation: what has been said, what the policies made of it, and where the message goes.
 * It knows no sockets and no syntax; the protocol engine in front of it does. Every method answers, none throws.
 *
 * Refusals at connect, helo and mail are kept until RCPT (as Postfix's `smtpd_delay_reject`), so that the operator sees
 * whom the mail was for; `refuse: 'at-once'` answers where the policy spoke. Closing verdicts are never delayed.
 */
import {
  type Awaitable,
  type BodySink,
  type Call,
  type ClientConnection,
  closesConnection,
  type DataAnswer,
  type Dialogue,
  type Environment,
  type Events,
  isRefusal,
  LOCAL_ERROR,
  type Mailbox,
  type MailCommand,
  mailboxKey,
  type Policy,
  type RcptCommand,
  type Recipient,
  type Refusal,
  type Reply,
  reply,
  type Session,
  type TlsFacts,
  type Transaction,
} from '@mailwright/core'
import type { IntakeSettings } from './mail-intake.ts'
import { type MessageHandOff, receiveMessage } from './receive-message.ts'
import { askAll, type OpenPolicy, type Question, type Ruling, refusalOf } from './stage.ts'

const NO_TRANSACTION = reply(503, '5.5.1', 'Need MAIL first')
const NESTED_MAIL = reply(503, '5.5.1', 'A mail transaction is already under way')
const NO_RECIPIENTS = reply(554, '5.5.1', 'No valid recipients')
const TOO_MANY_RECIPIENTS = reply(452, '4.5.3', 'Too many recipients')
const TOO_LARGE = reply(552, '5.3.4', 'Message size exceeds fixed maximum message size')
const NOBODY_ACCEPTS = reply(550, '5.7.1', 'Relay access denied')
const SENDER_OK = reply(250, '2.1.0', 'Ok')
const RECIPIENT_OK = reply(250, '2.1.5', 'Ok')

/** A session whose facts the dialogue updates as it learns them. */
type LiveSession = { -readonly [K in keyof Session]: Session[K] }
/** A transaction under way. */
interface LiveTransaction extends Transaction {
  readonly recipients: Recipient[]
}

export class MailDialogue implements Dialogue {
  readonly session: LiveSession
  readonly #settings: IntakeSettings
  readonly #environment: Environment
  readonly #events: Events
  readonly #call: Call
  readonly #end = new AbortController()
  readonly #policies: readonly OpenPolicy[]
  #transaction: LiveTransaction | undefined
  /** Refusals kept for RCPT: of the connection, of HELO, of this MAIL. The earliest is the one answered. */
  #kept: { connect?: Ruling; helo?: Ruling; mail?: Ruling } = {}
  #handOff: MessageHandOff | undefined
  #messages = 0
  #recipientIds = 0

  constructor(
    settings: IntakeSettings,
    environment: Environment,
    events: Events,
    connection: ClientConnection,
    id: string,
  ) {
    this.#settings = settings
    this.#environment = environment
    this.#events = events
    this.#call = { signal: this.#end.signal }
    this.session = {
      id,
      protocol: connection.protocol,
      client: connection.client,
      server: connection.server,
      openedAt: environment.clock.now(),
      helo: undefined,
      extended: false,
      tls: connection.tls,
      user: undefined,
    }
    this.#policies = settings.policies.map((policy) => this.#open(policy))
    if (events.wanted) events.emit({ type: 'session.opened', session: { ...this.session } })
  }

  /** A policy that cannot even open refuses everything: failure is never a pass. */
  #open(policy: Policy): OpenPolicy {
    try {
      return { name: policy.name, session: policy.open(this.session, this.#environment) }
    } catch (error) {
      const fail = (): never => {
        throw error
      }
      return { name: policy.name, session: { connect: fail, rcpt: fail } }
    }
  }

  greet(): Awaitable<Reply> {
    const welcome = reply(220, '2.0.0', `${this.#settings.hostname} ESMTP Mailwright`)
    return this.#stage(
      (policy) => policy.connect?.(this.#call),
      (ruling) => {
        const refusal = refusalOf(ruling)
        if (refusal === undefined) return welcome
        if (this.#settings.refuse === 'at-rcpt' && !closes(ruling)) {
          this.#kept.connect = ruling
          return welcome
        }
        return this.#report('connect', refusal, ruling)
      },
    )
  }

  helo(verb: 'HELO' | 'EHLO' | 'LHLO', name: string): Awaitable<Reply> {
    this.#forget()
    this.session.helo = name
    this.session.extended = verb !== 'HELO'
    delete this.#kept.helo
    const welcome = reply(250, '2.0.0', this.#settings.hostname)
    return this.#stage(
      (policy) => policy.helo?.(name, this.#call),
      (ruling) => this.#keepOrRefuse('helo', ruling) ?? welcome,
    )
  }

  secured(tls: TlsFacts): void {
    this.#forget()
    this.session.helo = undefined
    this.session.extended = false
    this.session.tls = tls
    delete this.#kept.helo
    if (this.#events.wanted) this.#events.emit({ type: 'session.secured', session: { ...this.session }, tls })
  }

  mail(command: MailCommand): Awaitable<Reply> {
    if (this.#transaction !== undefined) return NESTED_MAIL
    if ((command.declaredSize ?? 0) > this.#settings.maxSize) return this.#report('mail', TOO_LARGE)
    const busy = this.#settings.transport.refusing?.()
    if (busy) return this.#report('mail', busy)
    const transaction: LiveTransaction = { ...command, recipients: [] }
    this.#transaction = transaction
    this.#recipientIds = 0
    delete this.#kept.mail
    return this.#stage(
      (policy) => policy.mail?.(transaction, this.#call),
      (ruling) => {
        const refusal = this.#keepOrRefuse('mail', ruling)
        if (refusal !== undefined) this.#forget()
        return refusal ?? SENDER_OK
      },
    )
  }

  rcpt(command: RcptCommand): Awaitable<Reply> {
    const transaction = this.#transaction
    if (transaction === undefined) return NO_TRANSACTION
    const kept = this.#kept.connect ?? this.#kept.helo ?? this.#kept.mail
    const keptRefusal = kept && refusalOf(kept)
    if (keptRefusal !== undefined) return this.#report('rcpt', keptRefusal, kept, command.recipient)
    if (transaction.recipients.length >= this.#settings.maxRecipients) {
      return this.#report('rcpt', TOO_MANY_RECIPIENTS, undefined, command.recipient)
    }
    if (this.session.protocol === 'smtp' && hasRecipient(transaction, command.recipient)) return RECIPIENT_OK
    const recipient: Recipient = {
      id: ++this.#recipientIds,
      address: command.recipient,
      original: command.recipient,
      ...(command.orcpt === undefined ? {} : { orcpt: command.orcpt }),
      ...(command.notify === undefined ? {} : { notify: command.notify }),
    }
    return this.#stage(
      (policy) => policy.rcpt?.(recipient, transaction, this.#call),
      (ruling) => {
        // Silence refuses: without somebody who accepts there is no open relay by omission.
        const refusal = refusalOf(ruling) ?? (ruling.verdict.kind === 'next' ? NOBODY_ACCEPTS : undefined)
        if (refusal !== undefined) return this.#report('rcpt', refusal, ruling, recipient.address)
        transaction.recipients.push(recipient)
        return RECIPIENT_OK
      },
    )
  }

  data(): Awaitable<DataAnswer> {
    const transaction = this.#transaction
    if (transaction === undefined) return { kind: 'refuse', reply: NO_TRANSACTION }
    if (transaction.recipients.length === 0) return { kind: 'refuse', reply: NO_RECIPIENTS }
    const busy = this.#settings.transport.refusing?.()
    if (busy) return { kind: 'refuse', reply: this.#report('data', busy) }
    return this.#stage<DataAnswer>(
      (policy) => policy.data?.(transaction, this.#call),
      (ruling) => {
        const refusal = refusalOf(ruling)
        if (refusal !== undefined) {
          this.#forget()
          return { kind: 'refuse', reply: this.#report('data', refusal, ruling) }
        }
        return { kind: 'go', body: this.#openBody(transaction, ruling) }
      },
    )
  }

  #openBody(transaction: LiveTransaction, ruling: Ruling): BodySink {
    const handOff = receiveMessage({
      settings: this.#settings,
      environment: this.#environment,
      events: this.#events,
      session: this.session,
      transaction,
      before: ruling,
      ask: (question) => this.#ask(question),
      report: (refusal, why) => this.#report('message', refusal, why),
      call: this.#call,
      nextRecipientId: () => ++this.#recipientIds,
    })
    this.#handOff = handOff
    const done = (replies: readonly Reply[]): readonly Reply[] => {
      if (replies.some((each) => !isRefusal(each))) this.#messages += 1
      this.#handOff = undefined
      this.#forget()
      return replies
    }
    const failed = (error: unknown): readonly Reply[] => {
      this.#events.emit({ type: 'failure', where: 'intake', error })
      return done(
        transaction.recipients.slice(0, this.session.protocol === 'lmtp' ? undefined : 1).map(() => LOCAL_ERROR),
      )
    }
    return {
      write: (chunk) => handOff.write(chunk),
      end(): Awaitable<readonly Reply[]> {
        try {
          const replies = handOff.end()
          return replies instanceof Promise ? replies.then(done, failed) : done(replies)
        } catch (error) {
          return failed(error)
        }
      },
      abort: () => {
        handOff.abort()
        this.#handOff = undefined
        this.#forget()
      },
    }
  }

  reset(): void {
    this.#forget()
  }

  refused(stage: string, answer: Reply): void {
    this.#report(stage, answer)
  }

  close(): void {
    this.#handOff?.abort()
    this.#handOff = undefined
    this.#forget()
    this.#end.abort()
    for (const policy of this.#policies) this.#guard(policy, () => policy.session.close?.())
    if (this.#events.wanted)
      this.#events.emit({ type: 'session.closed', session: { ...this.session }, messages: this.#messages })
  }

  /** Ends the transaction, if there is one. */
  #forget(): void {
    delete this.#kept.mail
    if (this.#transaction === undefined) return
    this.#transaction = undefined
    for (const policy of this.#policies) this.#guard(policy, () => policy.session.reset?.())
  }

  #guard(policy: OpenPolicy, run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#events.emit({ type: 'failure', where: `policy ${policy.name}`, error })
    }
  }

  #ask(question: Question): Awaitable<Ruling> {
    return askAll(this.#policies, question, this.#environment.clock, this.#settings.stageTimeoutMs)
  }

  /** Asks all policies and turns the ruling into an answer, with a promise only if one of them needed one. */
  #stage<T = Reply>(question: Question, conclude: (ruling: Ruling) => T): Awaitable<T> {
    const ruling = this.#ask(question)
    return ruling instanceof Promise ? ruling.then(conclude) : conclude(ruling)
  }

  #keepOrRefuse(stage: 'helo' | 'mail', ruling: Ruling): Refusal | undefined {
    const refusal = refusalOf(ruling)
    if (refusal === undefined) return undefined
    if (this.#settings.refuse === 'at-rcpt' && !closes(ruling)) {
      this.#kept[stage] = ruling
      return undefined
    }
    return this.#report(stage, refusal, ruling)
  }

  /** Makes a refusal known, and gives it back. A closing verdict becomes a reply that closes. */
  #report<R extends Reply>(stage: string, answer: R, ruling?: Ruling, recipient?: Mailbox): R {
    const spoken = ruling !== undefined && closes(ruling) ? closing(answer) : answer
    if (this.#events.wanted) {
      this.#events.emit({
        type: 'dialogue.refused',
        session: { ...this.session },
        stage,
        reply: spoken,
        policy: ruling?.policy || 'intake',
        reason: ruling?.reason,
        sender: this.#transaction?.sender,
        recipient,
      })
    }
    return spoken as R
  }
}

function closes(ruling: Ruling): boolean {
  return ruling.verdict.kind === 'close'
}

/** The same words under a code that ends the connection: 421 for now, 521 for good (RFC 7504). */
function closing(answer: Reply): Reply {
  if (closesConnection(answer)) return answer
  return answer.code >= 500
    ? reply(521, answer.enhanced as '5.7.1', answer.text)
    : reply(421, (answer.code >= 400 ? answer.enhanced : '4.3.2') as '4.3.2', answer.text)
}

function hasRecipient(transaction: Transaction, mailbox: Mailbox): boolean {
  if (transaction.recipients.length === 0) return false
  const key = mailboxKey(mailbox)
  return transaction.recipients.some((recipient) => mailboxKey(recipient.original) === key)
}
