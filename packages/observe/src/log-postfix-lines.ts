/** Writes a mail log in Postfix's words: see `postfixLines` for what it says. */
import { pid } from 'node:process'
import type { Events } from '@mailwright/core'
import { printable } from './log-text.ts'
import { type LineOrigin, postfixLines } from './postfix-line.ts'

export interface LogPostfixLinesOptions {
  /** The host in every line. */
  readonly hostname: string
  /** What stands before the slash: `mailwright/smtpd`. Default `mailwright`; readers may want `postfix`. */
  readonly process?: string
  /** Default: the id of this process. */
  readonly pid?: number
}

/**
 * Gives every line to `write`, without a line end, from now until the result is called. `write` must not wait.
 *
 * @example
 * logPostfixLines(mta.events, (line) => file.write(`${line}\n`), { hostname: 'mx' })
 */
export function logPostfixLines(
  events: Events,
  write: (line: string) => void,
  options: LogPostfixLinesOptions,
): () => void {
  const origin: LineOrigin = {
    hostname: word(options.hostname),
    process: word(options.process ?? 'mailwright'),
    pid: options.pid ?? pid,
  }
  return events.subscribe((event, at) => {
    for (const line of postfixLines(event, at, origin)) write(line)
  })
}

function word(text: string): string {
  return printable(text).replace(/\s/g, '?')
}
