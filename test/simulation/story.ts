/** What happened in a simulation, in order, in virtual time: a line each. */
import { formatMailbox, type MailEvent, replyLine } from '@mailwright/core'

/** `1d 02:03:04.005`: how long after the beginning. */
export function elapsed(ms: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0')
  const time = `${two((ms / 3_600_000) % 24)}:${two((ms / 60_000) % 60)}:${two((ms / 1_000) % 60)}`
  return `${Math.floor(ms / 86_400_000)}d ${time}.${String(Math.floor(ms % 1_000)).padStart(3, '0')}`
}

/** An event of a server as a line, or undefined for those that say nothing about mail. */
export function eventLine(event: MailEvent): string | undefined {
  switch (event.type) {
    case 'message.accepted':
      return `accepted ${event.message} from <${formatMailbox(event.sender)}>, ${event.messageId ?? 'no Message-ID'}, by port ${event.session.client.port}`
    case 'recipient.settled': {
      const { outcome } = event
      const later = outcome.status === 'deferred' ? ` (${outcome.scope})` : ''
      return `${event.message} <${formatMailbox(event.recipient.address)}> attempt ${event.attempt}: ${outcome.status}${later} ${replyLine(outcome.reply)}`
    }
    case 'message.bounced':
      return `${event.message} returned to <${formatMailbox(event.sender)}> by ${event.dsn}`
    case 'message.undeliverable':
      return `${event.message} undeliverable, and nobody to tell`
    case 'dialogue.refused':
      return `refused port ${event.session.client.port} at ${event.stage}: ${replyLine(event.reply)}`
    case 'lane.state':
      return `${event.lane} is ${event.state}`
    case 'store.recovered':
      return `found ${event.messages} messages in the store`
    case 'failure':
      return `FAILURE ${event.where}: ${String(event.error)}`
    default:
      return undefined
  }
}
