/**
 * One session with a server, message after message (RFC 5321 §3, RFC 2920). With PIPELINING an envelope is one write,
 * and the next envelope goes in the write that ends the message before: it is `staged` until that message is answered.
 *
 * Failure: a 4xx or 5xx is an outcome of whom it concerns. When the dialogue ends without an answer, the message whose
 * data is sent is deferred and may be delivered twice, as SMTP has it; an envelope staged behind it has sent no data
 * and goes back to the destination, as does one that a kept connection lost before answering anything.
 * It does not connect, does not choose its work, and does not convert messages.
 */
import type { Clock, Outcome } from '@mailwright/core'
import type { ConnectionOwner } from './connection-owner.ts'
import { deferred, delivered, type Loss, lost, nonsense, refused, refusedForNow, relayed } from './delivery.ts'
import type { Errand } from './errand.ts'
import type { OpenSession } from './handshake.ts'
import { LongMessage } from './long-message.ts'
import { sendBuffered, sendChunk } from './message-data.ts'
import type { Settings } from './options.ts'
import type { ReplyListener } from './reply-channel.ts'
import type { ServerReply } from './reply-reader.ts'
import { DOING, pipelined, recordAccepted, recordEarly, type Transaction, transactionFor } from './transaction.ts'

export class ClientConnection implements ReplyListener {
  readonly #session: OpenSession
  readonly #settings: Settings
  readonly #clock: Clock
  readonly #owner: ConnectionOwner
  readonly #background: (work: () => Promise<void>) => void
  /** Whether the destination has servers that have not had their chance. */
  readonly #further: 'yes' | 'no'
  readonly #openedAt: number
  #state: 'idle' | 'busy' | 'quitting' | 'closed' = 'idle'
  #current: Transaction | undefined
  #staged: Transaction | undefined
  /** Transactions begun. */
  #begun = 0
  /** A transaction was given up after MAIL was accepted: RSET comes before the next. */
  #needsReset = false
  /** What sends the message in hand, while that is a long one. */
  #writer: LongMessage | undefined

  constructor(
    session: OpenSession,
    further: 'yes' | 'no',
    settings: Settings,
    clock: Clock,
    owner: ConnectionOwner,
    background: (work: () => Promise<void>) => void,
  ) {
    this.#session = session
    this.#further = further
    this.#settings = settings
    this.#clock = clock
    this.#owner = owner
    this.#background = background
    this.#openedAt = clock.now()
    session.channel.listen(this)
  }

  /** Whether an envelope can be staged now: the data of the message before is sent, and nothing is behind it. */
  get ready(): boolean {
    return this.#current?.stage === 'end' && this.#canStage()
  }

  /** Whether an envelope can be staged when the message in hand sends its data. */
  get soonReady(): boolean {
    return this.#current !== undefined && this.#current.stage !== 'end' && this.#canStage()
  }

  /** Takes up work: an errand given, or whatever the owner has. */
  work(first?: Errand): void {
    for (let errand: Errand | 'retire' | undefined = first ?? this.#nextErrand(); ; errand = this.#nextErrand()) {
      if (errand === undefined) {
        this.#rest()
        return
      }
      if (errand === 'retire') {
        this.retire()
        return
      }
      const transaction = this.#transaction(errand)
      if (transaction !== undefined) {
        this.#begin(transaction)
        return
      }
    }
  }

  /** Sends an errand's envelope behind the message that waits for its answer. Only when `ready`. */
  stage(errand: Errand): void {
    const transaction = this.#transaction(errand)
    if (transaction === undefined) return
    this.#staged = transaction
    this.#session.channel.send(pipelined(transaction.commands))
  }

  /** Says QUIT and closes. Only when idle. */
  retire(): void {
    if (this.#state === 'closed' || this.#state === 'quitting') return
    this.#state = 'quitting'
    this.#owner.leaving(this)
    this.#session.channel.send('QUIT\r\n')
    this.#session.channel.within(this.#settings.timeoutsMs.quit)
  }

  /** Closes at once; errands in hand are deferred or returned. */
  stop(): void {
    this.#end('stopped')
  }

  /** The caller of an errand gave up. Answers whether the errand was here. */
  abandon(errand: Errand): boolean {
    if (this.#current?.errand === errand) {
      this.#end('stopped')
      return true
    }
    // A staged envelope cannot be taken back. The message before it must not suffer: see `#finish`.
    return this.#staged?.errand === errand
  }

  expired(): void {
    if (this.#state === 'idle') this.retire()
    else this.#end('timeout')
  }

  lost(loss: Loss): void {
    this.#end(loss)
  }

  drained(): void {
    this.#writer?.drained()
  }

  replied(answer: ServerReply): void {
    const transaction = this.#current
    // The answer to QUIT, a 421 before the server closes an idle connection, or chatter: the connection is done.
    if (transaction === undefined) {
      this.#end('closed')
      return
    }
    if (answer.code === 421) {
      this.#serviceClosing(transaction, answer)
      return
    }
    const { timeoutsMs } = this.#settings
    switch (transaction.stage) {
      case 'reset':
        this.#needsReset = false
        transaction.stage = 'mail'
        this.#session.channel.within(timeoutsMs.mail)
        if (!this.#pipelining) this.#session.channel.send(transaction.commands.mail)
        return
      case 'mail':
        this.#mailAnswered(transaction, answer)
        return
      case 'rcpt':
        this.#rcptAnswered(transaction, answer)
        return
      case 'data':
        this.#dataAnswered(transaction, answer)
        return
      case 'body':
        this.#answeredTooEarly(transaction, answer)
        return
      case 'end':
        this.#endAnswered(transaction, answer)
        return
      case 'empty-end':
        this.#finish(transaction)
    }
  }

  get #pipelining(): boolean {
    return this.#session.capabilities.pipelining
  }

  #canStage(): boolean {
    return this.#pipelining && this.#state === 'busy' && this.#staged === undefined && !this.#spent()
  }

  /** Whether the connection has done its share. */
  #spent(): boolean {
    return this.#begun >= this.#settings.maxMessages || this.#clock.now() - this.#openedAt >= this.#settings.maxAgeMs
  }

  #nextErrand(): Errand | 'retire' | undefined {
    return this.#spent() ? 'retire' : this.#owner.next(this)
  }

  #transaction(errand: Errand): Transaction | undefined {
    const transaction = transactionFor(errand, this.#session.capabilities, this.#session.security, this.#clock)
    if (transaction !== undefined) this.#begun++
    return transaction
  }

  #rest(): void {
    this.#state = 'idle'
    this.#session.channel.within(this.#settings.idleMs)
  }

  #begin(transaction: Transaction): void {
    this.#state = 'busy'
    this.#current = transaction
    const { channel } = this.#session
    const { commands } = transaction
    if (this.#needsReset) transaction.stage = 'reset'
    channel.within(this.#needsReset ? this.#settings.timeoutsMs.reset : this.#settings.timeoutsMs.mail)
    if (this.#pipelining) channel.send(this.#needsReset ? `RSET\r\n${pipelined(commands)}` : pipelined(commands))
    else channel.send(this.#needsReset ? 'RSET\r\n' : commands.mail)
  }

  #mailAnswered(transaction: Transaction, answer: ServerReply): void {
    transaction.answered = 'yes'
    const { commands } = transaction
    if (answer.code >= 400) {
      const outcome = refused(this.#session, answer, 'message')
      for (const recipient of commands.recipients) recordEarly(transaction, recipient, outcome)
      if (!this.#pipelining) {
        this.#finish(transaction)
        return
      }
      transaction.mailRefused = 'yes'
    } else if (answer.code >= 300) {
      this.#outOfStep(transaction, answer)
      return
    }
    transaction.stage = 'rcpt'
    this.#session.channel.within(this.#settings.timeoutsMs.rcpt)
    if (!this.#pipelining) this.#session.channel.send(commands.rcpts[0]!)
  }

  #rcptAnswered(transaction: Transaction, answer: ServerReply): void {
    const { commands, accepted } = transaction
    const { channel } = this.#session
    const recipient = commands.recipients[transaction.rcptAnswers++]!
    if (answer.code >= 400) {
      // RFC 5321 §4.5.3.1.10: 552 here means too many recipients, and is temporary.
      const outcome =
        answer.code === 552
          ? refusedForNow(this.#session, answer, 'recipient')
          : refused(this.#session, answer, 'recipient')
      // Where MAIL was refused, that is the word that counts.
      if (transaction.mailRefused === 'no') recordEarly(transaction, recipient, outcome)
    } else if (answer.code >= 300) {
      this.#outOfStep(transaction, answer)
      return
    } else if (transaction.mailRefused === 'no') accepted.push(recipient)

    if (transaction.rcptAnswers < commands.rcpts.length) {
      channel.within(this.#settings.timeoutsMs.rcpt)
      if (!this.#pipelining) channel.send(commands.rcpts[transaction.rcptAnswers]!)
      return
    }
    if (accepted.length > 0 && commands.transfer === 'bdat') {
      this.#sendMessage(transaction)
      return
    }
    transaction.stage = 'data'
    channel.within(this.#settings.timeoutsMs.dataInit)
    if (this.#pipelining && commands.transfer === 'data') return
    if (accepted.length > 0) channel.send('DATA\r\n')
    else this.#giveUpTransaction(transaction)
  }

  #dataAnswered(transaction: Transaction, answer: ServerReply): void {
    if (answer.code === 354) {
      if (transaction.accepted.length > 0) {
        this.#sendMessage(transaction)
        return
      }
      // RFC 2033 §4.2 has no answer for a message to nobody, and wants DATA refused: this server is out of step.
      if (this.#settings.protocol === 'lmtp') {
        this.#outOfStep(transaction, answer)
        return
      }
      // RFC 2920 §3.1: with DATA sent already and nobody accepted, an empty message must be ended. The server refuses it.
      transaction.stage = 'empty-end'
      this.#session.channel.within(this.#settings.timeoutsMs.dataEnd)
      this.#session.channel.send('.\r\n')
      return
    }
    if (answer.code < 400) {
      this.#outOfStep(transaction, answer)
      return
    }
    const outcome = refused(this.#session, answer, 'message')
    for (const recipient of transaction.accepted) recordEarly(transaction, recipient, outcome)
    this.#giveUpTransaction(transaction)
  }

  #endAnswered(transaction: Transaction, answer: ServerReply): void {
    if (answer.code >= 300 && answer.code < 400) {
      this.#outOfStep(transaction, answer)
      return
    }
    const offered = this.#session.capabilities.dsn ? 'dsn' : 'no dsn'
    if (this.#settings.protocol === 'lmtp') {
      this.#recipientAnswered(transaction, answer, offered)
      return
    }
    const outcome =
      answer.code < 300 ? relayed(this.#session, answer, offered) : refused(this.#session, answer, 'message')
    recordAccepted(transaction, outcome)
    this.#owner.answered(this.#clock.now() - transaction.endedAt)
    this.#finish(transaction)
  }

  /** LMTP (RFC 2033 §4.2): each of those accepted has an answer of his own, in the order of their RCPTs. */
  #recipientAnswered(transaction: Transaction, answer: ServerReply, offered: 'dsn' | 'no dsn'): void {
    const { accepted, errand } = transaction
    const outcome =
      answer.code < 300 ? delivered(this.#session, answer, offered) : refused(this.#session, answer, 'recipient')
    errand.record(accepted[transaction.endAnswers++]!, outcome)
    if (transaction.endAnswers === 1) this.#owner.answered(this.#clock.now() - transaction.endedAt)
    if (transaction.endAnswers === accepted.length) this.#finish(transaction)
    else this.#session.channel.within(this.#settings.timeoutsMs.dataEnd)
  }

  /** The transaction ends without data. */
  #giveUpTransaction(transaction: Transaction): void {
    this.#needsReset = transaction.mailRefused === 'no'
    this.#finish(transaction)
  }

  /** Ends the errand, those without an outcome with this one; or has other servers asked for those put off. */
  #settle(transaction: Transaction, rest?: Outcome): void {
    const { errand, stage } = transaction
    if (rest !== undefined && stage !== 'end' && stage !== 'body') {
      for (const recipient of errand.recipients) {
        if (!errand.knows(recipient)) recordEarly(transaction, recipient, rest)
      }
    }
    if (transaction.postponed === undefined || this.#further === 'no') errand.settle(rest)
    else {
      for (const recipient of errand.recipients) if (rest !== undefined) errand.record(recipient, rest)
      this.#owner.unfinished(errand, transaction.postponed, this.#session.label)
    }
  }

  /** Every recipient has an outcome: on with what is staged, or with what waits. */
  #finish(transaction: Transaction): void {
    this.#settle(transaction)
    this.#current = this.#staged
    this.#staged = undefined
    if (this.#current === undefined) {
      this.work()
      return
    }
    // After 354 there is no way back but to close, so an abandoned envelope costs the connection.
    if (this.#current.errand.abandoned) {
      this.#end('stopped')
      return
    }
    this.#session.channel.within(this.#settings.timeoutsMs.mail)
  }

  #sendMessage(transaction: Transaction): void {
    const { message } = transaction.errand.job
    const { transfer } = transaction.commands
    const { channel } = this.#session
    if (message.buffered === undefined) {
      transaction.stage = 'body'
      const writer = new LongMessage(channel, message, transfer, this.#settings.timeoutsMs.dataBlock)
      this.#writer = writer
      this.#background(() => this.#sendLongMessage(transaction, writer))
      return
    }
    if (transfer === 'data') sendBuffered(channel, message.head, message.buffered, this.#stageBehind())
    else sendChunk(channel, message.head, message.buffered, this.#stageBehind())
    this.#dataSent(transaction)
  }

  #dataSent(transaction: Transaction): void {
    transaction.stage = 'end'
    transaction.endedAt = this.#clock.now()
    this.#session.channel.within(this.#settings.timeoutsMs.dataEnd)
  }

  /** The commands of an envelope to stage, or nothing. */
  #stageBehind(): string {
    while (this.#canStage()) {
      const errand = this.#owner.behind()
      if (errand === undefined) return ''
      this.#staged = this.#transaction(errand)
      if (this.#staged !== undefined) return pipelined(this.#staged.commands)
    }
    return ''
  }

  async #sendLongMessage(transaction: Transaction, writer: LongMessage): Promise<void> {
    const { channel } = this.#session
    try {
      await writer.send(transaction.errand.call)
    } catch (cause) {
      if (this.#writer !== writer) return
      recordAccepted(transaction, deferred('message', '4.3.0', 'the message could not be read', cause))
      this.#end('stopped')
      return
    }
    // Given up while it was being sent: `#end` has dealt with it.
    if (this.#writer !== writer) return
    this.#writer = undefined
    channel.hold()
    channel.send(writer.end())
    channel.send(this.#stageBehind())
    channel.release()
    this.#dataSent(transaction)
  }

  /** The server has answered before the final dot. A refusal stands, but only closing ends the data now. */
  #answeredTooEarly(transaction: Transaction, answer: ServerReply): void {
    if (answer.code < 400) {
      this.#outOfStep(transaction, answer)
      return
    }
    recordAccepted(transaction, refused(this.#session, answer, 'message'))
    this.#end('closed')
  }

  /** 421: the server closes, whatever it was asked. */
  #serviceClosing(transaction: Transaction, answer: ServerReply): void {
    if (this.#mayReturn(transaction)) {
      this.#end('closed')
      return
    }
    this.#current = undefined
    this.#settle(transaction, refusedForNow(this.#session, answer, 'destination'))
    this.#end('closed')
  }

  #outOfStep(transaction: Transaction, answer: ServerReply): void {
    this.#current = undefined
    this.#settle(transaction, nonsense(this.#session, answer, DOING[transaction.stage]))
    this.#end('garbage')
  }

  /** A kept connection may have died while nobody looked: an envelope without any answer can go by another. */
  #mayReturn(transaction: Transaction): boolean {
    return transaction.answered === 'no' && this.#begun > 1 && !transaction.errand.retried
  }

  #end(loss: Loss): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#session.channel.destroy()
    const current = this.#current
    const staged = this.#staged
    this.#current = undefined
    this.#staged = undefined
    this.#writer?.giveUp()
    this.#writer = undefined
    if (current !== undefined) {
      if (loss === 'closed' && this.#mayReturn(current)) this.#return(current.errand)
      else {
        const scope = current.stage === 'end' ? 'message' : 'destination'
        const outcome = lost(this.#session.label, loss, DOING[current.stage], scope)
        if (loss === 'stopped') current.errand.settle(outcome)
        else this.#settle(current, outcome)
      }
    }
    if (staged !== undefined) {
      if (!staged.errand.retried) this.#return(staged.errand)
      else staged.errand.settle(lost(this.#session.label, loss, DOING.mail, 'destination'))
    }
    this.#owner.leaving(this)
    this.#owner.closed(this)
  }

  #return(errand: Errand): void {
    if (errand.abandoned) return
    errand.retried = true
    this.#owner.returned(errand)
  }
}
