/**
 * What postscreen(8) looks for, on the live session: clients that speak before they may, of which mail servers are
 * none. Nothing is looked at unless it is configured.
 *
 * - early talker: bytes come before our greeting is complete. With a `greetDelay` we say half of it and wait.
 * - pipelining: a command behind one that has to be the last of a group (RFC 2920 §3.1), or behind any when the client
 *   has not said EHLO, or message data before our 354.
 * - bare newline: a command line that ends in LF alone. It is no command in any case.
 * - other protocol: a request in HTTP, made by a browser that somebody tricked. Without this test it is hung up on at once.
 *
 * `ignore` reports and goes on, `enforce` refuses every recipient, so that the operator sees whom the mail was for, and
 * `drop` hangs up with 521. A failure is reported once per session and test. A client that is known to have passed a
 * test is not tested again while that is remembered.
 */
import { type Refusal, reply } from '@mailwright/core'
import type { Barrier } from './client-gate.ts'

export type ProtocolTest = 'earlyTalker' | 'pipelining' | 'bareNewline' | 'otherProtocol'
export type TestAction = 'ignore' | 'enforce' | 'drop'
export type TestActions = Readonly<Partial<Record<ProtocolTest, TestAction>>>

/** What a failed test asks the connection to do. */
export interface TestFailure {
  readonly action: TestAction
  /** For `drop` the reply to hang up with; otherwise for the event. */
  readonly reply: Refusal
  readonly reason: string
}

const REASONS: Readonly<Record<ProtocolTest, string>> = {
  earlyTalker: 'early talker',
  pipelining: 'command pipelining',
  bareNewline: 'bare newline',
  otherProtocol: 'other protocol',
}
const PROTOCOL_ERROR = reply(550, '5.5.1', 'Protocol error')
const GOODBYE = reply(521, '5.5.1', 'Protocol error')

/** Commands that may have others behind them in one group (RFC 2920 §3.1), in a session begun with EHLO or LHLO. */
const GROUPABLE = /^(?:MAIL|RCPT|RSET|BDAT)(?: |$)/i
const DATA = /^DATA$/i
const EXTENDED = /^(?:EHLO|LHLO)(?: |$)/i
const PLAIN = /^HELO(?: |$)/i

/** The tests of one session. */
export class ProtocolTests {
  readonly #actions: TestActions
  #skipped: ReadonlySet<ProtocolTest> | undefined
  readonly #failed = new Set<ProtocolTest>()
  #enforced: Barrier | undefined
  /** The next command may come before the answer to the last one. */
  #grouping = false
  #extended = false
  /** The last command was DATA: its 354 has to be waited for. With BDAT there is none. */
  #dataAsked = false

  constructor(actions: TestActions) {
    this.#actions = actions
  }

  /** The client has passed these before. */
  skip(passed: ReadonlySet<ProtocolTest>): void {
    this.#skipped = passed
  }

  /** Whether there is a test for it that the client still has to take. */
  pending(test: ProtocolTest): boolean {
    return this.#actions[test] !== undefined && this.#skipped?.has(test) !== true
  }

  /** Whether whoever fails it is let go on for now. */
  tolerates(test: ProtocolTest): boolean {
    return this.#actions[test] === 'ignore' || this.#actions[test] === 'enforce'
  }

  /** The configured tests that were taken and not failed. */
  passed(): readonly ProtocolTest[] {
    return (Object.keys(REASONS) as ProtocolTest[]).filter((test) => this.pending(test) && !this.#failed.has(test))
  }

  /** A command came, while all before it was answered or while a reply was still on its way. */
  command(line: string, before: 'answered' | 'unanswered'): TestFailure | undefined {
    const ahead = before === 'unanswered' && !this.#grouping
    if (EXTENDED.test(line)) this.#extended = true
    else if (PLAIN.test(line)) this.#extended = false
    this.#grouping = this.#extended && GROUPABLE.test(line)
    this.#dataAsked = DATA.test(line)
    return ahead ? this.fail('pipelining') : undefined
  }

  /** Bytes of a message came. */
  data(before: 'answered' | 'unanswered'): TestFailure | undefined {
    return before === 'unanswered' && this.#dataAsked ? this.fail('pipelining') : undefined
  }

  /** The end of a message may have commands behind it, as the first of a group (RFC 2920 §3.1). */
  dataOver(): void {
    this.#grouping = this.#extended
  }

  /** The client did what it must not. Undefined when that is nothing new. */
  fail(test: ProtocolTest): TestFailure | undefined {
    const action = this.#actions[test]
    if (action === undefined || !this.pending(test) || this.#failed.has(test)) return undefined
    this.#failed.add(test)
    const reason = REASONS[test]
    if (action === 'enforce') this.#enforced ??= { reply: PROTOCOL_ERROR, reason }
    return { action, reason, reply: action === 'drop' ? GOODBYE : PROTOCOL_ERROR }
  }

  /** What every recipient is refused with. */
  barrier(): Barrier | undefined {
    return this.#enforced
  }
}
