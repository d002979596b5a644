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
  type ClientClaims,
  type ClientConnection,
  type DataAnswer,
  type Dialogue,
  type Environment,
  type Events,
  isRefusal,
  LOCAL_ERROR,
  type Mailbox,
  type MailCommand,
  MailwrightError,
  mailboxKey,
  type RcptCommand,
  type Recipient,
  type Refusal,
  type RefusalDetail,
  type Reply,
  reply,
  type Session,
  type TlsFacts,
  type Transaction,
  type TransientCode,
} from '@mailwright/core'
import { ClientCall } from './client-call.ts'
import {
  AUTHENTICATED,
  CANNOT_VRFY,
  closing,
  NESTED_MAIL,
  NO_ETRN,
  NO_RECIPIENTS,
  NO_TRANSACTION,
  NOBODY_ACCEPTS,
  RECIPIENT_OK,
  SENDER_OK,
  TOO_LARGE,
  TOO_MANY_RECIPIENTS,
  unwelcome,
} from './dialogue-replies.ts'
import type { IntakeSettings } from './mail-intake.ts'
import { type PolicyPanel, policyPanel } from './policy-panel.ts'
import { type MessageHandOff, receiveMessage } from './receive-message.ts'
import { type Ruling, refusalOf, SILENCE, together } from './stage.ts'

/** Why work for a client ends with it. Made once: an abort without a reason builds an error, with its stack, each time. */
const CLIENT_GONE = new MailwrightError('ERR_MAILWRIGHT_CONNECTION', 'the client is gone')

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
  /** What is under way for this client; replaced when a hand-off had to be given up. */
  #call = new ClientCall()
  #policies: PolicyPanel
  #transaction: LiveTransaction | undefined
  /** Who was accepted in this transaction: a second RCPT for the same mailbox adds nobody. */
  readonly #recipientKeys = new Set<string>()
  /** Refusals kept for RCPT: of the connection, of HELO, of this MAIL. The earliest is the one answered. */
  readonly #kept: Record<'connect' | 'helo' | 'mail', Ruling | undefined> = {
    connect: undefined,
    helo: undefined,
    mail: undefined,
  }
  #handOff: MessageHandOff | undefined
  /** What HELO and, for the transaction, all stages so far leave for the message: edits, and votes to discard or hold. */
  #fromConnect: Ruling = SILENCE
  #fromHelo: Ruling = SILENCE
  #before: Ruling = SILENCE
  #messages = 0
  #recipientIds = 0
  #closed = false

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
    this.session = {
      id,
      protocol: connection.protocol,
      profile: connection.profile ?? 'mx',
      client: connection.client,
      server: connection.server,
      openedAt: environment.clock.now(),
      helo: undefined,
      extended: false,
      tls: connection.tls,
      user: undefined,
      mechanism: undefined,
      via: connection.via,
      clientName: undefined,
    }
    this.#policies = this.#openPolicies()
    if (events.wants('session.opened')) events.emit({ type: 'session.opened', session: { ...this.session } })
  }

  greet(): Awaitable<Reply> {
    const welcome = reply(220, '2.0.0', `${this.#settings.hostname} ESMTP Mailwright`)
    return this.#policies.ask<Reply>(
      (policy) => policy.connect?.(this.#call),
      (ruling) => {
        this.#fromConnect = together(SILENCE, ruling)
        return this.#keepOrRefuse('connect', ruling) ?? welcome
      },
    )
  }

  helo(verb: 'HELO' | 'EHLO' | 'LHLO', name: string): Awaitable<Reply> {
    this.#forget()
    this.session.helo = name
    this.session.extended = verb !== 'HELO'
    this.#kept.helo = undefined
    this.#fromHelo = SILENCE
    const welcome = reply(250, '2.0.0', this.#settings.hostname)
    return this.#policies.ask<Reply>(
      (policy) => policy.helo?.(name, this.#call),
      (ruling) => {
        this.#fromHelo = together(SILENCE, ruling)
        return this.#keepOrRefuse('helo', ruling) ?? welcome
      },
    )
  }

  secured(tls: TlsFacts): void {
    this.#forget()
    this.session.helo = undefined
    this.session.extended = false
    this.session.tls = tls
    this.#kept.helo = undefined
    this.#fromHelo = SILENCE
    if (this.#events.wants('session.secured'))
      this.#events.emit({ type: 'session.secured', session: { ...this.session }, tls })
  }

  authenticated(user: string, mechanism: string): Awaitable<Reply> {
    this.session.user = user
    this.session.mechanism = mechanism
    if (this.#events.wants('session.authenticated'))
      this.#events.emit({ type: 'session.authenticated', session: { ...this.session }, mechanism })
    return AUTHENTICATED
  }

  notAuthenticated(mechanism: string, reason: string, user: string | undefined, answer: Reply): void {
    if (this.#events.wants('authentication.failed'))
      this.#events.emit({
        type: 'authentication.failed',
        session: { ...this.session },
        mechanism,
        user,
        reason,
        reply: answer,
      })
  }

  claimed({ client, server, clientName, helo, user }: ClientClaims): Awaitable<Reply> {
    this.#forget()
    this.#policies.tell((policy) => policy.close?.())
    if (client !== undefined && this.session.via === undefined) this.session.via = this.session.client
    this.session.client = client ?? this.session.client
    this.session.server = server ?? this.session.server
    this.session.clientName = clientName ?? this.session.clientName
    this.session.user = user ?? this.session.user
    this.session.helo = helo
    this.session.extended = false
    this.#kept.connect = undefined
    this.#kept.helo = undefined
    this.#fromHelo = SILENCE
    this.#policies = this.#openPolicies()
    return this.greet()
  }

  etrn(domain: string): Awaitable<Reply> {
    return this.#settings.etrn === undefined ? NO_ETRN : this.#settings.etrn(domain, this.session)
  }

  vrfy(_argument: string): Awaitable<Reply> {
    return CANNOT_VRFY
  }

  mail(command: MailCommand): Awaitable<Reply> {
    if (this.#transaction !== undefined) return NESTED_MAIL
    if ((command.declaredSize ?? 0) > this.#settings.maxSize) return this.#refuseMail(TOO_LARGE, command)
    const busy = this.#refusing()
    if (busy) return this.#refuseMail(busy, command)
    const transaction: LiveTransaction = { ...command, recipients: [] }
    this.#transaction = transaction
    this.#before = together(this.#fromConnect, this.#fromHelo)
    this.#recipientKeys.clear()
    this.#recipientIds = 0
    this.#kept.mail = undefined
    return this.#policies.ask<Reply>(
      (policy) => policy.mail?.(transaction, this.#call),
      (ruling) => {
        const refusal = this.#keepOrRefuse('mail', ruling)
        if (refusal !== undefined) this.#forget()
        else this.#before = together(this.#before, ruling)
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
    const key = mailboxKey(command.recipient)
    if (this.session.protocol === 'smtp' && this.#recipientKeys.has(key)) return RECIPIENT_OK
    const recipient: Recipient = {
      id: ++this.#recipientIds,
      address: command.recipient,
      original: command.recipient,
      ...(command.orcpt === undefined ? {} : { orcpt: command.orcpt }),
      ...(command.notify === undefined ? {} : { notify: command.notify }),
    }
    return this.#policies.ask<Reply>(
      (policy) => policy.rcpt?.(recipient, transaction, this.#call),
      (ruling) => {
        const refusal = refusalOf(ruling)
        if (refusal !== undefined) return this.#report('rcpt', refusal, ruling, recipient.address)
        // Silence refuses: without somebody who accepts there is no open relay by omission.
        if (!ruling.accepted) return this.#report('rcpt', NOBODY_ACCEPTS, undefined, recipient.address)
        this.#before = together(this.#before, ruling)
        transaction.recipients.push(recipient)
        this.#recipientKeys.add(key)
        return RECIPIENT_OK
      },
    )
  }

  data(_form: 'data' | 'bdat' = 'data'): Awaitable<DataAnswer> {
    const transaction = this.#transaction
    if (transaction === undefined) return { kind: 'refuse', reply: NO_TRANSACTION }
    if (transaction.recipients.length === 0) return { kind: 'refuse', reply: NO_RECIPIENTS }
    const busy = this.#refusing()
    if (busy) return { kind: 'refuse', reply: this.#report('data', busy) }
    return this.#policies.ask<DataAnswer>(
      (policy) => policy.data?.(transaction, this.#call),
      (ruling) => {
        const refusal = refusalOf(ruling)
        // The transaction stands: the client may leave a recipient out, or ask again (RFC 5321 §4.1.1.4).
        if (refusal !== undefined) return { kind: 'refuse', reply: this.#report('data', refusal, ruling) }
        return { kind: 'go', body: this.#openBody(transaction, together(this.#before, ruling)) }
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
      ask: (question, conclude) => this.#policies.ask(question, conclude),
      report: (refusal, why, recipient) => this.#report('message', refusal, why, recipient),
      call: this.#call,
      giveUp: () => this.#giveUp(),
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
      hopeless: () => handOff.hopeless(),
      held: () => handOff.held(),
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

  refused(stage: string, answer: Reply, detail?: RefusalDetail): void {
    const { reason, recipient } = detail ?? {}
    this.#report(stage, answer, reason === undefined ? undefined : { ...SILENCE, reason }, recipient)
  }

  close(): void {
    if (this.#closed) return
    this.#handOff?.abort()
    this.#handOff = undefined
    this.#forget()
    this.#call.end(CLIENT_GONE)
    this.#policies.tell((policy) => policy.close?.())
    if (this.#events.wants('session.closed'))
      this.#events.emit({ type: 'session.closed', session: { ...this.session }, messages: this.#messages })
    this.#closed = true
  }

  #openPolicies(): PolicyPanel {
    const { policies, stageTimeoutMs } = this.#settings
    return policyPanel(policies, this.session, this.#environment, this.#events, stageTimeoutMs)
  }

  /** Ends what still runs for this client, and lets the client go on. */
  #giveUp(): void {
    this.#call.end(new MailwrightError('ERR_MAILWRIGHT_TIMEOUT', 'the hand-off took too long'))
    this.#call = new ClientCall()
  }

  /** Why the transport takes nothing now; one that cannot even say so takes nothing. */
  #refusing(): Reply<TransientCode> | null | undefined {
    try {
      return this.#settings.transport.refusing?.()
    } catch (error) {
      this.#events.emit({ type: 'failure', where: `transport ${this.#settings.transport.name}`, error })
      return LOCAL_ERROR
    }
  }

  /** Ends the transaction, if there is one. */
  #forget(): void {
    this.#kept.mail = undefined
    if (this.#transaction === undefined) return
    this.#transaction = undefined
    this.#policies.tell((policy) => policy.reset?.())
  }

  #keepOrRefuse(stage: 'connect' | 'helo' | 'mail', ruling: Ruling): Refusal | undefined {
    const refusal = refusalOf(ruling)
    if (refusal === undefined) return undefined
    if (this.#settings.refuse === 'at-rcpt' && !closes(ruling)) {
      this.#kept[stage] = ruling
      return undefined
    }
    return this.#report(stage, stage === 'connect' ? unwelcome(refusal) : refusal, ruling)
  }

  /** A refusal before there is a transaction. */
  #refuseMail(refusal: Refusal, { sender }: MailCommand): Reply {
    return this.#report('mail', refusal, undefined, undefined, sender)
  }

  /** Makes a refusal known, and gives it back. A closing verdict becomes a reply that closes. */
  #report<R extends Reply>(
    stage: string,
    answer: R,
    ruling?: Ruling,
    recipient?: Mailbox,
    sender: Mailbox | null | undefined = this.#transaction?.sender,
  ): R {
    const spoken = ruling !== undefined && closes(ruling) ? closing(answer) : answer
    // What a policy still answers when the client has gone is of no interest.
    if (this.#events.wants('dialogue.refused') && !this.#closed) {
      this.#events.emit({
        type: 'dialogue.refused',
        session: { ...this.session },
        stage,
        reply: spoken,
        policy: ruling?.policy || 'intake',
        reason: ruling?.reason,
        sender,
        recipient,
      })
    }
    return spoken as R
  }
}

function closes(ruling: Ruling): boolean {
  return ruling.verdict.kind === 'close'
}
