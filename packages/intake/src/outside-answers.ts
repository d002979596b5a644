/** Answers from what the host program gave us: a transport, a function. When they fail, the client is refused for now. */
import {
  type Awaitable,
  type Events,
  LOCAL_ERROR,
  type Reply,
  type Session,
  type TransientCode,
  type Transport,
  toRefusal,
} from '@mailwright/core'

/** Why the transport takes nothing now; one that cannot even say so takes nothing. */
export function refusingNow(transport: Transport, events: Events): Reply<TransientCode> | null | undefined {
  try {
    return transport.refusing?.()
  } catch (error) {
    events.emit({ type: 'failure', where: `transport ${transport.name}`, error })
    return LOCAL_ERROR
  }
}

/** What the program says to ETRN. Never throws, never rejects. */
export function askEtrn(
  etrn: (domain: string, session: Session) => Awaitable<Reply>,
  domain: string,
  session: Session,
  events: Events,
): Awaitable<Reply> {
  const failed = (error: unknown): Reply => {
    events.emit({ type: 'failure', where: 'etrn', error })
    return toRefusal(error)
  }
  try {
    const answer = etrn(domain, session)
    return answer instanceof Promise ? answer.catch(failed) : answer
  } catch (error) {
    return failed(error)
  }
}
