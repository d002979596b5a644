/** The part of a notice that people read: what happened, to whom, and in whose words. */
import { formatMailbox, mailboxKey, wireText } from '@mailwright/core'
import type { DsnKind, DsnRecipient, DsnReport } from './dsn.ts'
import { remoteLine } from './dsn-fields.ts'

const WIDTH = 76

const EXPLANATION: Readonly<Record<DsnKind, readonly string[]>> = {
  failed: ['Your message could not be delivered to one or more recipients.', 'It will not be tried again.'],
  delayed: [
    'Your message could not be delivered yet to one or more recipients.',
    'It will be tried again. You do not need to send it again.',
  ],
  delivered: ['Your message was delivered, or passed on, to the recipients below.'],
  mixed: ['This is what became of your message for the recipients below.'],
}

/** The text, with CRLF line ends and no line longer than a line of mail may be. */
export function noticeText(report: DsnReport): string {
  const lines = [`This is the mail system at host ${wireText(report.hostname)}.`, '', ...EXPLANATION[report.kind], '']
  for (const about of report.recipients) lines.push(...wrap(`${nameOf(about)}: ${explain(about)}`), '')
  return `${lines.join('\r\n')}\r\n`
}

function nameOf({ recipient }: DsnRecipient): string {
  const address = `<${formatMailbox(recipient.address)}>`
  if (mailboxKey(recipient.address) === mailboxKey(recipient.original)) return address
  return `${address} (expanded from <${formatMailbox(recipient.original)}>)`
}

function explain(about: DsnRecipient): string {
  const said = remoteLine(about)
  if (about.remote !== undefined) return `host ${about.remote.host} said: ${said}`
  return about.action === 'failed' || about.action === 'delayed' ? said : `${about.action}: ${said}`
}

/** Breaks a paragraph at blanks, and a word that would not fit into a line of mail anywhere. */
function wrap(paragraph: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of wireText(paragraph).split(/[ \t]+/)) {
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
