/**
 * Outcomes: what a remote answer, or the lack of one, means for our recipients. Their answer is kept verbatim in
 * `remote`; our own reply has their class, an enhanced code that fits, and never a code that would end or change the
 * session of a client it may be passed on to (421, 521, 530 …).
 */
import {
  type DeferredOutcome,
  type EnhancedCode,
  type FailedOutcome,
  type OkOutcome,
  type Outcome,
  type PermanentCode,
  type RemoteAnswer,
  type RemoteTls,
  reply,
  type TransientCode,
} from '@mailwright/core'
import type { ServerReply } from './reply-reader.ts'

/** Their codes that mean the same when we say them. */
const PASSED_TRANSIENT: ReadonlySet<number> = new Set([450, 451, 452])
const PASSED_PERMANENT: ReadonlySet<number> = new Set([550, 551, 552, 553, 554, 556])
const ENHANCED = /^([245])\.(\d{1,3})\.(\d{1,3})(?= |$)/

/** How a connection can fail without an answer. */
export type Loss = 'closed' | 'timeout' | 'garbage' | 'stopped'

/** Who answers. */
export interface Server {
  /** E.g. `mx.example.org[192.0.2.1]:25`. */
  readonly label: string
  /** Absent for clear text. */
  readonly tls?: RemoteTls | undefined
}

/** Their answer as outcomes carry it. */
export function remoteAnswer({ label: host, tls }: Server, answer: ServerReply): RemoteAnswer {
  const { code, lines } = answer
  const enhanced = ENHANCED.exec(lines[0]!)?.[0]
  if (tls !== undefined)
    return enhanced === undefined ? { host, code, lines, tls } : { host, code, enhanced, lines, tls }
  return enhanced === undefined ? { host, code, lines } : { host, code, enhanced, lines }
}

/** They took the message; with DSN they also took what the sender wants to hear. */
export function relayed(server: Server, answer: ServerReply, offered: 'dsn' | 'no dsn' = 'no dsn'): OkOutcome {
  const remote = remoteAnswer(server, answer)
  return {
    status: 'ok',
    action: 'relayed',
    reply: reply(250, fitting(remote.enhanced, 2), said(server, answer)),
    remote,
    reportedBy: offered === 'dsn' ? 'next-hop' : undefined,
  }
}

/** They put it into a recipient's mailbox: LMTP is the last hop. */
export function delivered(server: Server, answer: ServerReply, offered: 'dsn' | 'no dsn'): OkOutcome {
  return { ...relayed(server, answer, offered), action: 'delivered' }
}

/**
 * They refused: 4xx for now, 5xx for good. Whatever else they said where only a refusal or consent makes sense is no
 * SMTP, and temporary.
 */
export function refused(
  server: Server,
  answer: ServerReply,
  scope: DeferredOutcome['scope'],
): DeferredOutcome | FailedOutcome {
  const remote = remoteAnswer(server, answer)
  if (answer.code >= 500) {
    const code = (PASSED_PERMANENT.has(answer.code) ? answer.code : 554) as PermanentCode
    return { status: 'failed', reply: reply(code, fitting(remote.enhanced, 5), said(server, answer)), remote }
  }
  return refusedForNow(server, answer, scope)
}

/** They refused, and it is temporary for us whatever they said: a host that will not talk, 552 at RCPT. */
export function refusedForNow(server: Server, answer: ServerReply, scope: DeferredOutcome['scope']): DeferredOutcome {
  const remote = remoteAnswer(server, answer)
  const code = (PASSED_TRANSIENT.has(answer.code) ? answer.code : answer.code === 552 ? 452 : 451) as TransientCode
  const enhanced = answer.code === 552 ? '4.5.3' : fitting(remote.enhanced, 4)
  return { status: 'deferred', scope, reply: reply(code, enhanced, said(server, answer)), remote }
}

/** They broke the protocol: a positive answer where none can be, or an answer to nothing. */
export function nonsense(server: Server, answer: ServerReply, where: string): DeferredOutcome {
  return {
    status: 'deferred',
    scope: 'destination',
    reply: reply(451, '4.5.0', `host ${server.label} gave an answer that cannot be in ${where}`),
    remote: remoteAnswer(server, answer),
  }
}

/** The dialogue ended without an answer. `where`: what we were doing, as in "while …". */
export function lost(host: string, loss: Loss, where: string, scope: DeferredOutcome['scope']): DeferredOutcome {
  switch (loss) {
    case 'closed':
      return deferred(scope, '4.4.2', `lost connection with ${host} ${where}`)
    case 'timeout':
      return deferred(scope, '4.4.2', `${host} timed out ${where}`)
    case 'garbage':
      return deferred(scope, '4.5.0', `${host} did not speak SMTP ${where}`)
    case 'stopped':
      return deferred('message', '4.3.2', `delivery to ${host} was interrupted ${where}`)
  }
}

/** A temporary failure of ours or of the way there. */
export function deferred(
  scope: DeferredOutcome['scope'],
  enhanced: EnhancedCode<4>,
  text: string,
  cause?: unknown,
): DeferredOutcome {
  const outcome: DeferredOutcome = { status: 'deferred', scope, reply: reply(451, enhanced, text) }
  return cause === undefined ? outcome : { ...outcome, cause }
}

/** A failure for good that we found out ourselves. */
export function failed(code: PermanentCode, enhanced: EnhancedCode<5>, text: string): Outcome {
  return { status: 'failed', reply: reply(code, enhanced, text) }
}

function fitting<C extends 2 | 4 | 5>(enhanced: string | undefined, statusClass: C): EnhancedCode<C> {
  return (enhanced?.startsWith(String(statusClass)) === true ? enhanced : `${statusClass}.0.0`) as EnhancedCode<C>
}

function said({ label }: Server, answer: ServerReply): string {
  return `host ${label} said: ${answer.code} ${answer.lines.length === 1 ? answer.lines[0] : answer.lines.join(' ')}`
}
