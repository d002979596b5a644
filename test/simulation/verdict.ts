/** What must hold when all is over, as seen from outside: by the clients, and in the mailboxes. */
import type { Charge } from './ledger.ts'
import type { Submission } from './mail-client.ts'
import type { Arrival } from './mailboxes.ts'
import { ADDRESSEES, DAY, type Letter, SENDERS } from './scenario.ts'

export interface Outcome {
  readonly letter: Letter
  readonly submission: Submission
  /** When it was first sent, ms since the epoch: the server may have had it since, whatever it answered. */
  readonly sentAt: number
}

/** Everything that is wrong with the mail, in words. */
export function judge(
  outcomes: readonly Outcome[],
  arrivals: readonly Arrival[],
  charges: readonly Charge[],
): readonly string[] {
  const problems: string[] = []
  const letters = new Map(outcomes.map(({ letter }) => [letter.messageId, letter]))
  for (const arrival of arrivals) problems.push(...judgeArrival(arrival, letters))
  for (const outcome of outcomes) {
    if (outcome.submission === 'refused') problems.push(`${outcome.letter.messageId}: refused, though all is in order`)
    for (const recipient of outcome.letter.recipients) {
      const problem = judgeRecipient(outcome, recipient, arrivals, charges)
      if (problem !== undefined) problems.push(`${outcome.letter.messageId} <${recipient}>: ${problem}`)
    }
  }
  return problems
}

function judgeArrival(arrival: Arrival, letters: ReadonlyMap<string, Letter>): readonly string[] {
  const where = `${arrival.messageId} at ${arrival.place}`
  if (arrival.original !== undefined) {
    const original = letters.get(arrival.original)
    if (arrival.sender !== '') return [`${where}: a notice that could bounce`]
    if (original?.sender !== arrival.recipient) return [`${where}: a notice for ${arrival.recipient}, who sent nothing`]
    const strangers = arrival.about.filter((recipient) => !original.recipients.includes(recipient))
    return strangers.map((recipient) => `${where}: a notice about ${recipient}, to whom nothing was sent`)
  }
  const letter = letters.get(arrival.messageId)
  if (letter === undefined) return [`${where}: nobody wrote this`]
  const problems: string[] = []
  if (!letter.recipients.includes(arrival.recipient)) problems.push(`${where}: not meant for ${arrival.recipient}`)
  if (letter.sender !== arrival.sender) problems.push(`${where}: comes from <${arrival.sender}>`)
  if (letter.body !== arrival.body) problems.push(`${where}: the body is not what was sent`)
  if (ADDRESSEES[arrival.recipient] !== 'delivered') problems.push(`${where}: delivered to ${arrival.recipient}`)
  return problems
}

function judgeRecipient(
  { letter, submission, sentAt }: Outcome,
  recipient: string,
  arrivals: readonly Arrival[],
  charges: readonly Charge[],
): string | undefined {
  const fate = ADDRESSEES[recipient]!
  const notices = arrivals.filter(({ original, about }) => original === letter.messageId && about.includes(recipient))
  if (fate === 'delivered' && notices.length > 0) return 'returned, though it could be delivered'
  if (fate === 'expired' && notices.some((notice) => notice.at < sentAt + 5 * DAY)) return 'returned before its time'
  if (submission !== 'acknowledged') return undefined
  if (fate === 'delivered') {
    const copies = arrivals.filter((each) => each.messageId === letter.messageId && each.recipient === recipient)
    return copies.length > 0 ? undefined : 'acknowledged, but lost'
  }
  if (SENDERS.includes(letter.sender))
    return notices.length > 0 ? undefined : 'acknowledged, but the sender never heard'
  const ended = charges.some(
    (charge) =>
      charge.messageId === letter.messageId &&
      charge.recipient === recipient &&
      (charge.state === 'returned' || charge.state === 'dropped'),
  )
  return ended ? undefined : 'acknowledged, but it never failed'
}
