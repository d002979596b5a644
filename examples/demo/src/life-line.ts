import { formatMailbox, type Mta, replyLine } from 'mailwright'

/** Tells the life of every message of a server, a line for each step, for people. */
export function tellLife(mta: Mta, tell: (line: string) => void): void {
  mta.events.subscribe((event) => {
    const who = mta.name.padEnd(6)
    if (event.type === 'message.accepted')
      tell(`${who} accepted   ${event.message} from <${formatMailbox(event.sender)}>, ${event.size} bytes`)
    else if (event.type === 'message.queued') tell(`${who} queued     ${event.message} for ${event.lanes.join(', ')}`)
    else if (event.type === 'recipient.settled') {
      const { outcome } = event
      const word = outcome.status === 'ok' ? outcome.action : outcome.status
      tell(
        `${who} ${word.padEnd(10)} ${event.message} to <${formatMailbox(event.recipient.address)}>: ${outcome.remote?.lines.join(' ') ?? replyLine(outcome.reply)}`,
      )
    } else if (event.type === 'message.bounced')
      tell(`${who} bounced    ${event.message}: notice ${event.dsn} to <${formatMailbox(event.sender)}>`)
    else if (event.type === 'dialogue.refused') tell(`${who} refused    ${event.stage}: ${replyLine(event.reply)}`)
    else if (event.type === 'failure') tell(`${who} failure    ${event.where}: ${String(event.error)}`)
  })
}
