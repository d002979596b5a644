/** What goes wrong with a server, as the one error callers know: temporary, and with 452 where there is no room. */
import { MailwrightError, type Reply, reply, type TransientCode } from '@mailwright/core'

/** What a client is told while the server has no room (RFC 3463 X.3.1). */
export const STORAGE_FULL: Reply<TransientCode> = reply(452, '4.3.1', 'Insufficient system storage')
/** What a client is told while the server is away (RFC 3463 X.3.0). */
export const STORAGE_AWAY: Reply<TransientCode> = reply(451, '4.3.0', 'Mail storage is not available')

/** No memory left, or no disk for the append-only file. */
const FULL = /^(?:OOM|MISCONF)\b|\bOOM command not allowed|\bMISCONF\b/
/** Nobody knows whether the command was carried out. */
const LOST = /^(?:Connection is closed|Command aborted due to connection close|Reached the max retries per request)/
/** Not sent at all, by ioredis. */
const UNSENT = /isn't (?:writeable|ready) and enableOfflineQueue/
const SOCKET_CODES: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'ETIMEDOUT'])

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The error to reject with. */
export function storeFailure(error: unknown): MailwrightError {
  if (error instanceof MailwrightError) return error
  const said = FULL.test(textOf(error)) ? STORAGE_FULL : STORAGE_AWAY
  return new MailwrightError('ERR_MAILWRIGHT_STORE', 'Redis failed', { cause: error, reply: said })
}

/** Whether the failure says that there is no room, as against anything else. */
export function isStorageFull(error: unknown): boolean {
  return error instanceof MailwrightError && error.reply === STORAGE_FULL
}

/** Whether the connection went away under a command. */
export function isConnectionLost(error: unknown): boolean {
  return LOST.test(textOf(error)) || SOCKET_CODES.has((error as { code?: unknown }).code)
}

/** Whether the server has said nothing for too long. */
export function isSilence(error: unknown): boolean {
  return textOf(error) === 'Command timed out'
}

/** A request that was not sent. */
export class NotSent extends Error {
  override readonly name: string = 'NotSent'
}

/** Whether it is certain that a failed request changed nothing: it was not sent, or the server has refused it. */
export function changedNothing(error: unknown): boolean {
  const cause = error instanceof MailwrightError ? error.cause : error
  return (
    cause instanceof NotSent ||
    UNSENT.test(textOf(cause)) ||
    (cause instanceof Error && cause.name === 'ReplyError' && !isUnknownScript(cause))
  )
}

/** Whether the server does not know the script, because it was started anew. */
export function isUnknownScript(error: unknown): boolean {
  return textOf(error).startsWith('NOSCRIPT')
}
