/**
 * MAIL, RCPT, DATA or BDAT, and the message (RFC 5321 §3.3), one transaction after the other. It minds the order, the
 * syntax and the number of recipients; whether mail is wanted is the dialogue's to say.
 *
 * A sink that fails is aborted, the rest of the message is read and thrown away, and the answer is 451 4.3.0. A message
 * that does not come to its end is aborted too, and so is one that its sink calls hopeless: then the connection ends.
 * It never answers a message twice, and never leaves one unanswered.
 */
import {
  type Awaitable,
  type BodySink,
  closesConnection,
  type DataAnswer,
  type Dialogue,
  isPositive,
  LOCAL_ERROR,
  type Reply,
} from '@mailwright/core'
import { type ChunkedMessage, Chunking } from './chunking.ts'
import { type Line, later } from './line.ts'
import type { Manners } from './manners.ts'
import { type MailTerms, parseMail, parseRcpt } from './parameters.ts'
import * as replies from './replies.ts'

export class Transaction implements ChunkedMessage {
  readonly #dialogue: Dialogue
  readonly #line: Line
  readonly #manners: Manners
  readonly #protocol: 'smtp' | 'lmtp'
  readonly #maxRecipients: number
  readonly #maxSize: number
  /** MAIL was accepted. */
  #open = false
  #international = false
  #binary = false
  #recipients = 0
  #chunks: Chunking | undefined
  #sink: BodySink | null = null
  #over = false

  constructor(
    dialogue: Dialogue,
    line: Line,
    manners: Manners,
    rules: { readonly protocol: 'smtp' | 'lmtp'; readonly maxRecipients: number; readonly maxSize: number },
  ) {
    this.#dialogue = dialogue
    this.#line = line
    this.#manners = manners
    this.#protocol = rules.protocol
    this.#maxRecipients = rules.maxRecipients
    this.#maxSize = rules.maxSize
  }

  /** A transaction is under way: it may be finished even while the server stops. */
  get open(): boolean {
    return this.#open
  }

  get recipients(): number {
    return this.#recipients
  }

  get receipts(): number {
    return this.#protocol === 'lmtp' ? Math.max(1, this.#recipients) : 1
  }

  get receiving(): boolean {
    return this.#sink !== null
  }

  /** BDAT: made when the first one comes. */
  get chunks(): Chunking {
    this.#chunks ??= new Chunking(this, this.#line, this.#manners, this.#maxSize)
    return this.#chunks
  }

  /** RSET, EHLO, and the like. What has come of a message in chunks is given up. */
  end(): void {
    // Only a message in chunks can be under way when a command comes.
    if (this.#sink !== null) this.abort()
    this.#open = false
    this.#international = false
    this.#binary = false
    this.#recipients = 0
    this.#chunks?.reset()
  }

  answer(answer: Reply): true {
    this.#manners.pass('bdat', answer)
    return true
  }

  forget(): void {
    this.end()
    this.#dialogue.reset()
  }

  /** `terms`: what EHLO offered; undefined after HELO, when no parameter may be used. */
  mail(line: string, terms: MailTerms | undefined): boolean {
    if (this.#open) return this.#manners.refuse('mail', replies.NESTED_MAIL)
    const { command, refusal } = parseMail(line, terms)
    if (refusal !== undefined) return this.#manners.refuse('mail', refusal)
    if (this.#manners.barred('mail')) return true
    this.#international = command.options.smtputf8 === true
    this.#binary = command.options.body === 'binarymime'
    const answer = this.#dialogue.mail(command)
    if (answer instanceof Promise) return this.#later(answer, (it) => this.#mailAnswered(it))
    this.#mailAnswered(answer)
    return true
  }

  rcpt(line: string, terms: MailTerms | undefined): boolean {
    if (!this.#open) return this.#manners.refuse('rcpt', replies.MAIL_FIRST)
    if (this.#chunks?.begun === true) return this.#manners.refuse('rcpt', replies.BDAT_UNDER_WAY)
    const { command, refusal } = parseRcpt(line, this.#international ? 'international' : 'ascii', terms)
    if (refusal !== undefined) return this.#manners.refuse('rcpt', refusal)
    // No mistake: a long list is sent in several messages (RFC 5321 §4.5.3.1.10).
    if (this.#recipients >= this.#maxRecipients) return this.#manners.decline('rcpt', replies.TOO_MANY_RECIPIENTS)
    if (this.#manners.barred('rcpt', command.recipient)) return true
    const answer = this.#dialogue.rcpt(command)
    if (answer instanceof Promise) return this.#later(answer, (it) => this.#rcptAnswered(it))
    this.#rcptAnswered(answer)
    return true
  }

  data(): boolean {
    if (!this.#open) return this.#manners.refuse('data', replies.MAIL_FIRST)
    if (this.#chunks?.begun === true) return this.#manners.refuse('data', replies.BDAT_UNDER_WAY)
    if (this.#recipients === 0) {
      return this.#manners.refuse(
        'data',
        this.#protocol === 'lmtp' ? replies.NO_LMTP_RECIPIENTS : replies.NO_RECIPIENTS,
      )
    }
    if (this.#binary) return this.#manners.refuse('data', replies.BINARY_NEEDS_BDAT)
    const answer = this.#dialogue.data()
    if (answer instanceof Promise) return this.#later(answer, (it) => this.#dataAnswered(it))
    this.#dataAnswered(answer)
    return true
  }

  beginChunks(): Awaitable<Reply | undefined> {
    const answer = this.#dialogue.data('bdat')
    if (answer instanceof Promise) return answer.then((it) => this.#chunksBegun(it))
    return this.#chunksBegun(answer)
  }

  /** Bytes of the message. A promise asks to stop reading; it never rejects. */
  write(data: Uint8Array): Awaitable<void> {
    const sink = this.#sink
    if (sink === null) return
    try {
      const written = sink.write(data)
      if (written instanceof Promise) {
        return written.then(
          () => this.#minded(),
          (error: unknown) => this.#sinkFailed(error),
        )
      }
      this.#mind(sink)
    } catch (error) {
      this.#sinkFailed(error)
    }
  }

  /** The final dot, or the end of the last chunk. */
  finish(): boolean {
    const sink = this.#sink
    this.#sink = null
    try {
      const receipts = sink === null ? [] : sink.end()
      if (receipts instanceof Promise) {
        return later(
          this.#line,
          receipts,
          (them) => this.#sendReceipts(them),
          (why) => this.#endFailed(why),
        )
      }
      this.#sendReceipts(receipts)
    } catch (error) {
      this.#endFailed(error)
    }
    return true
  }

  /** The message will not come to its end. */
  abort(): void {
    const sink = this.#sink
    this.#sink = null
    try {
      sink?.abort()
    } catch (error) {
      this.#line.bug('body abort', error)
    }
  }

  /** The connection is gone: an answer that comes now has nobody to go to. */
  lost(): void {
    this.#over = true
    this.abort()
  }

  /** A message whose rest nobody wants, such as one far over the limit, is not read to its end: we answer and hang up. */
  #mind(sink: BodySink): void {
    const refusal = sink.hopeless()
    if (refusal === undefined) return
    this.#manners.dismiss('message', refusal)
    this.abort()
  }

  #mailAnswered(answer: Reply): void {
    this.#open = isPositive(answer)
    this.#manners.pass('mail', answer)
  }

  #rcptAnswered(answer: Reply): void {
    if (isPositive(answer)) this.#recipients++
    this.#manners.pass('rcpt', answer)
  }

  #dataAnswered(answer: DataAnswer): void {
    if (answer.kind === 'refuse') {
      this.#manners.pass('data', answer.reply)
      return
    }
    this.#sink = this.#line.watched(answer.body)
    if (this.#over) {
      this.abort()
      return
    }
    this.#line.say(replies.GO_AHEAD)
    this.#line.startData()
  }

  #chunksBegun(answer: DataAnswer): Reply | undefined {
    if (answer.kind === 'refuse') return answer.reply
    this.#sink = this.#line.watched(answer.body)
    if (this.#over) this.abort()
    return undefined
  }

  /** One reply, or with LMTP one per accepted recipient; a sink that gave too few is made up for. */
  #sendReceipts(receipts: readonly Reply[]): void {
    const wanted = this.#protocol === 'lmtp' ? this.#recipients : 1
    this.end()
    this.#manners.forgive(receipts)
    let closes = false
    for (let index = 0; index < wanted; index++) {
      const answer = receipts[index] ?? LOCAL_ERROR
      this.#line.say(replies.wireReply(answer))
      closes ||= closesConnection(answer)
    }
    if (closes) this.#line.close()
    else this.#manners.blame(receipts)
  }

  #later<A>(answer: Promise<A>, settle: (answer: A) => void): false {
    return later(this.#line, answer, settle, (error) => this.#failed(error))
  }

  #failed(error: unknown): void {
    this.#line.bug('transaction', error)
    this.#line.say(replies.wireReply(LOCAL_ERROR))
  }

  #endFailed(error: unknown): void {
    this.#line.bug('body end', error)
    this.#sendReceipts([])
  }

  #minded(): void {
    const sink = this.#sink
    try {
      if (sink !== null) this.#mind(sink)
    } catch (error) {
      this.#sinkFailed(error)
    }
  }

  #sinkFailed(error: unknown): void {
    this.#line.bug('body write', error)
    this.abort()
  }
}
