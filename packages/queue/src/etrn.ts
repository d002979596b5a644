/**
 * ETRN (RFC 1985): a server that was out of reach asks for the mail that waits for its domain. Nobody gets anybody's
 * mail by asking: it goes where it goes anyhow, only now. So whoever asks is answered, for the domains listed; the work
 * of an answer is bounded, and those who ask for the same domain meanwhile share it.
 */
import { MailwrightError, type Reply, reply } from '@mailwright/core'
import type { MessageQueue } from './message-queue.ts'

export interface EtrnOptions {
  readonly queue: Pick<MessageQueue, 'entries' | 'flush'>
  /** Whose mail may be asked for; `.example.org` stands for all below it. Any other domain is refused with 459. */
  readonly domains: readonly string[]
}

const STARTED = reply(250, '2.0.0', 'Queuing started')
const NOT_KEPT = reply(459, '4.7.1', 'No mail is kept for that domain')
const UNABLE = reply(458, '4.3.0', 'Unable to start that mail now')
/** Entries looked at to learn where the mail of a domain goes. One lane is the rule. */
const LOOKED_AT = 100

/**
 * What an intake answers ETRN with: the waiting mail of the domain is due now, also where its server was taken for dead.
 * Mail that an operator holds stays. It is `250` too where nothing waits: a stranger does not learn that. A queue that
 * fails makes it `458`, and a `failure` event of the intake.
 *
 * @example
 * const etrn = etrnAnswers({ queue, domains: ['branch.example.org'] })
 * const intake = mta.use(mailIntake({ hostname, transport: queue, policies, etrn }))
 */
export function etrnAnswers({ queue, domains }: EtrnOptions): (domain: string) => Promise<Reply> {
  const listed = new Set(domains.map((domain) => domain.toLowerCase()))
  const underWay = new Map<string, Promise<Reply>>()

  async function start(recipient: string): Promise<Reply> {
    const waiting = await queue.entries({ selection: { recipient, held: false }, limit: LOOKED_AT })
    // Lane by lane: other destinations that are taken for dead are none of this client's business.
    for (const lane of new Set(waiting.map((entry) => entry.lane))) await queue.flush({ recipient, lane, held: false })
    return STARTED
  }

  return async (given) => {
    const domain = given.toLowerCase()
    if (!isListed(domain, listed)) return NOT_KEPT
    let answer = underWay.get(domain)
    if (answer === undefined) {
      answer = start(`@${domain}`).finally(() => underWay.delete(domain))
      underWay.set(domain, answer)
    }
    return answer.catch((error: unknown) => {
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', `ETRN ${domain}`, { cause: error, reply: UNABLE })
    })
  }
}

function isListed(domain: string, listed: ReadonlySet<string>): boolean {
  if (listed.has(domain)) return true
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1))
    if (listed.has(domain.slice(dot))) return true
  return false
}
