/** What a report returns of the message it is about: the whole or its header. */
import { type Mailbox, parseMailbox } from '@mailwright/core'
import { fieldValue, headLength } from './head.ts'
import type { MimePart } from './mime-parts.ts'

export interface ReturnedMessage {
  /** The header block, as far as it came back. Read it with `fields` and `fieldValue`. */
  readonly head: Uint8Array
  /** The Message-ID field. */
  readonly messageId: string | undefined
  /** The envelope sender, where somebody has written it into a Return-Path; null for the null sender. */
  readonly sender: Mailbox | null | undefined
}

const ENCLOSED = new Set([
  'message/rfc822',
  'message/global',
  'text/rfc822-headers',
  'message/global-headers',
  // Some servers return the header under this name.
  'text/rfc822-header',
])

/** The first message enclosed in a report. */
export function returnedMessage(parts: readonly MimePart[]): ReturnedMessage | undefined {
  const part = parts.find(({ type }) => ENCLOSED.has(type))
  return part && readReturned(part.content)
}

/** Reads a message, or the beginning of one. */
export function readReturned(content: Uint8Array): ReturnedMessage {
  const end = headLength(content)
  const head = end < 0 ? content : content.subarray(0, end)
  const path = fieldValue(head, 'Return-Path')
  const messageId = fieldValue(head, 'Message-ID')
  return {
    head,
    messageId: messageId === '' ? undefined : messageId?.slice(0, 998),
    sender: path === undefined ? undefined : path === '<>' ? null : parseMailbox(path.replace(/^<|>$/g, '')),
  }
}
