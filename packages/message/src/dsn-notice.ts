/** The part of a notice that people read: what happened, to whom, and in whose words. */
import { formatMailbox, mailboxKey, wireText } from '@mailwright/core'
import type { DsnRecipient, DsnReport } from './dsn.ts'
import { remoteLine } from './dsn-fields.ts'
import { fieldValue } from './head.ts'
import type { NoticeFacts, NoticeRecipient } from './notice-template.ts'

const WIDTH = 76
/** The longest text a template gets to say. */
const TEXT_LIMIT = 200_000

/** What a template is told of a report. */
export function noticeFacts(report: DsnReport, returned: NoticeFacts['returned']): NoticeFacts {
  const { original } = report
  const subject = fieldValue(original.source.head, 'Subject')
  return {
    kind: report.kind,
    hostname: wireText(report.hostname),
    queueId: original.id,
    sender: wireText(formatMailbox(original.sender)),
    subject: subject === undefined ? undefined : wireText(subject),
    arrivedAt: original.arrivedAt,
    recipients: report.recipients.map(recipientFacts),
    returned,
  }
}

function recipientFacts(about: DsnRecipient): NoticeRecipient {
  const { recipient } = about
  const same = mailboxKey(recipient.address) === mailboxKey(recipient.original)
  return {
    address: wireText(formatMailbox(recipient.address)),
    original: same ? undefined : wireText(formatMailbox(recipient.original)),
    action: about.action,
    host: about.remote === undefined ? undefined : wireText(about.remote.host),
    said: wireText(remoteLine(about)),
    retryUntil: about.retryUntil,
  }
}

/** Text as a body: CRLF line ends, and no line longer than a line of mail may be. */
export function bodyText(text: string): string {
  const lines = text
    .slice(0, TEXT_LIMIT)
    .toWellFormed()
    .trimEnd()
    .split(/\r\n|\r|\n/)
  return `${lines.flatMap(wrap).join('\r\n')}\r\n`
}

/** Breaks a line at blanks, and a word that would not fit into a line of mail anywhere. */
function wrap(text: string): string[] {
  const clean = wireText(text)
  if (clean.length <= WIDTH) return [clean.trimEnd()]
  const lines: string[] = []
  let line = ''
  for (const word of clean.split(/[ \t]+/)) {
    for (const piece of word.match(/.{1,200}/gsu) ?? []) {
      if (line !== '' && line.length + 1 + piece.length > WIDTH) {
        lines.push(line)
        line = `    ${piece}`
      } else line = line === '' ? piece : `${line} ${piece}`
    }
  }
  lines.push(line)
  return lines
}
