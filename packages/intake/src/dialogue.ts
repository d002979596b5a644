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
  type Mailbox,
  type MailCommand,
  MailwrightError,
  type RcptCommand,
  type Refusal,
  type RefusalDetail,
  type Reply,
  reply,
  type TlsFacts,
} from '@mailwright/core'
import { ClientCall } from './client-call.ts'
import {
  AUTHENTICATED,
  BINARY_NEEDS_BDAT,
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
import { type BodyOwner, IncomingBody } from './incoming-body.ts'
import { claimSession, type LiveSession, openSession, secureSession } from './live-session.ts'
import { LiveTransaction } from './live-transaction.ts'
import type { IntakeSettings } from './mail-intake.ts'
import { askEtrn, refusingNow } from './outside-answers.ts'
import { type PolicyPanel, policyPanel } from './policy-panel.ts'
import type { Reception } from './receive-message.ts'
import { type Ruling, refusalOf, SILENCE, together } from './stage.ts'
import { type EarlyStage, StageResults } from './stage-results.ts'
import { notReadyToSubmit } from './submission.ts'

/** Why work for a client ends with it. Made once: an abort without a reason builds an error, with its stack, each time. */
const CLIENT_GONE = new MailwrightError('ERR_MAILWRIGHT_CONNECTION', 'the client is gone')

export class MailDialogue implements Dialogue, BodyOwner {
  readonly session: LiveSession
  readonly #settings: IntakeSettings
  readonly #environment: Environment
  readonly #events: Events
  /** What is under way for this client; replaced when a hand-off had to be given up. */
  #call = new ClientCall()
  #policies: PolicyPanel
  #transaction: LiveTransaction | undefined
  readonly #results = new StageResults()
  #body: IncomingBody | undefined
  #messages = 0
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
    this.session = openSession(connection, id, environment.clock.now())
    this.#policies = this.#openPolicies()
    if (events.wants('session.opened')) events.emit({ type: 'session.opened', session: { ...this.session } })
    if (connection.tls !== undefined) this.#tellSecured(connection.tls)
  }

  greet(): Awaitable<Reply> {
    const welcome = reply(220, '2.0.0', `${this.#settings.hostname} ESMTP Mailwright`)
    return this.#policies.ask<Reply>(
      (policy) => policy.connect?.(this.#call),
      (ruling) => {
        this.#results.connected(ruling)
        return this.#keepOrRefuse('connect', ruling) ?? welcome
      },
    )
  }

  helo(verb: 'HELO' | 'EHLO' | 'LHLO', name: string): Awaitable<Reply> {
    this.#forget()
    this.session.helo = name
    this.session.extended = verb !== 'HELO'
    this.#results.forgetHelo()
    const welcome = reply(250, '2.0.0', this.#settings.hostname)
    return this.#policies.ask<Reply>(
      (policy) => policy.helo?.(name, this.#call),
      (ruling) => {
        this.#results.greeted(ruling)
        return this.#keepOrRefuse('helo', ruling) ?? welcome
      },
    )
  }

  secured(tls: TlsFacts): void {
    this.#forget()
    this.#results.forgetHelo()
    secureSession(this.session, tls)
    this.#tellSecured(tls)
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

  claimed(claims: ClientClaims): Awaitable<Reply> {
    this.#forget()
    this.#policies.tell((policy) => policy.close?.())
    claimSession(this.session, claims)
    this.#results.forgetConnect()
    this.#results.forgetHelo()
    this.#policies = this.#openPolicies()
    return this.greet()
  }

  etrn(domain: string): Awaitable<Reply> {
    const { etrn } = this.#settings
    if (etrn === undefined) return NO_ETRN
    const told = (answer: Reply): Reply => (isRefusal(answer) ? this.#report('etrn', answer) : answer)
    const answer = askEtrn(etrn, domain, this.session, this.#events)
    return answer instanceof Promise ? answer.then(told) : told(answer)
  }

  vrfy(_argument: string): Awaitable<Reply> {
    return CANNOT_VRFY
  }

  mail(command: MailCommand): Awaitable<Reply> {
    if (this.#transaction !== undefined) return NESTED_MAIL
    if (this.session.profile === 'submission') {
      const unready = notReadyToSubmit(this.session, this.#settings.submission)
      if (unready !== undefined) return this.#refuseMail(unready, command)
    }
    if ((command.declaredSize ?? 0) > this.#settings.maxSize) return this.#refuseMail(TOO_LARGE, command)
    const busy = refusingNow(this.#settings.transport, this.#events)
    if (busy) return this.#refuseMail(busy, command)
    const transaction = new LiveTransaction(command)
    this.#transaction = transaction
    this.#results.begin()
    return this.#policies.ask<Reply>(
      (policy) => policy.mail?.(transaction, this.#call),
      (ruling) => {
        const refusal = this.#keepOrRefuse('mail', ruling)
        if (refusal !== undefined) this.#forget()
        else this.#results.add(ruling)
        return refusal ?? SENDER_OK
      },
    )
  }

  rcpt(command: RcptCommand): Awaitable<Reply> {
    const transaction = this.#transaction
    if (transaction === undefined) return NO_TRANSACTION
    const kept = this.#results.refusal
    const keptRefusal = kept && refusalOf(kept)
    if (keptRefusal !== undefined) return this.#report('rcpt', keptRefusal, kept, command.recipient)
    if (transaction.recipients.length >= this.#settings.maxRecipients) {
      return this.#report('rcpt', TOO_MANY_RECIPIENTS, undefined, command.recipient)
    }
    if (this.session.protocol === 'smtp' && transaction.has(command.recipient)) return RECIPIENT_OK
    const recipient = transaction.recipient(command)
    return this.#policies.ask<Reply>(
      (policy) => policy.rcpt?.(recipient, transaction, this.#call),
      (ruling) => {
        const refusal = refusalOf(ruling)
        if (refusal !== undefined) return this.#report('rcpt', refusal, ruling, recipient.address)
        // Silence refuses: without somebody who accepts there is no open relay by omission.
        if (!ruling.accepted) return this.#report('rcpt', NOBODY_ACCEPTS, undefined, recipient.address)
        this.#results.add(ruling)
        transaction.accept(recipient)
        return RECIPIENT_OK
      },
    )
  }

  data(form: 'data' | 'bdat' = 'data'): Awaitable<DataAnswer> {
    const transaction = this.#transaction
    if (transaction === undefined) return { kind: 'refuse', reply: NO_TRANSACTION }
    if (transaction.recipients.length === 0) return { kind: 'refuse', reply: NO_RECIPIENTS }
    if (form === 'data' && transaction.options.body === 'binarymime')
      return { kind: 'refuse', reply: this.#report('data', BINARY_NEEDS_BDAT) }
    const busy = refusingNow(this.#settings.transport, this.#events)
    if (busy) return { kind: 'refuse', reply: this.#report('data', busy) }
    return this.#policies.ask<DataAnswer>(
      (policy) => policy.data?.(transaction, this.#call),
      (ruling) => {
        const refusal = refusalOf(ruling)
        // The transaction stands: the client may leave a recipient out, or ask again (RFC 5321 §4.1.1.4).
        if (refusal !== undefined) return { kind: 'refuse', reply: this.#report('data', refusal, ruling) }
        return { kind: 'go', body: this.#openBody(transaction, together(this.#results.forMessage, ruling)) }
      },
    )
  }

  #openBody(transaction: LiveTransaction, before: Ruling): BodySink {
    const reception: Reception = {
      settings: this.#settings,
      environment: this.#environment,
      events: this.#events,
      session: this.session,
      transaction,
      before,
      ask: this.#policies.ask,
      report: (refusal, why, recipient) => this.#report('message', refusal, why, recipient),
      call: this.#call,
      giveUp: () => this.#giveUp(),
      nextRecipientId: () => transaction.nextId(),
    }
    this.#body = new IncomingBody(reception, this)
    return this.#body
  }

  bodyEnded(taken: boolean): void {
    if (taken) this.#messages += 1
    this.#body = undefined
    this.#forget()
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
    this.#body?.abandon()
    this.#body = undefined
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

  #tellSecured(tls: TlsFacts): void {
    if (this.#events.wants('session.secured'))
      this.#events.emit({ type: 'session.secured', session: { ...this.session }, tls })
  }

  /** Ends the transaction, if there is one. */
  #forget(): void {
    this.#results.forgetMail()
    if (this.#transaction === undefined) return
    this.#transaction = undefined
    this.#policies.tell((policy) => policy.reset?.())
  }

  #keepOrRefuse(stage: EarlyStage, ruling: Ruling): Refusal | undefined {
    const refusal = refusalOf(ruling)
    if (refusal === undefined) return undefined
    if (this.#settings.refuse === 'at-rcpt' && !closes(ruling)) {
      this.#results.keepRefusal(stage, ruling)
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
