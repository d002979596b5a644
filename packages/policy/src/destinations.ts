/** Relay control: whose mail we take, asked of the router that will have to deliver it. */
import {
  accept,
  type Decision,
  type Destination,
  formatMailbox,
  type Policy,
  policy,
  type Recipient,
  type Router,
  reject,
  reply,
} from '@mailwright/core'

const RELAY_DENIED = reply(554, '5.7.1', 'Relay access denied')

/**
 * Accepts recipients that are ours or that we relay for, rejects those that are known not to exist, and rejects everybody
 * else's. The last of a restriction list. A router that fails makes it throw: a temporary refusal.
 *
 * @example
 * restrictions([permitNetworks(['10.0.0.0/8']), permitAuthenticated(), rejectUnauthorizedDestination(router)])
 */
export function rejectUnauthorizedDestination(router: Pick<Router, 'destination'>): Policy {
  return askRouter('reject-unauthorized-destination', router, (destination, recipient) => {
    const address = formatMailbox(recipient.address)
    if (destination.refusal !== null) return reject(destination.refusal, `${address} cannot be delivered`)
    return destination.kind === 'elsewhere'
      ? reject(RELAY_DENIED, `${address} is neither ours nor relayed`)
      : accept(`${address} is ${destination.kind === 'ours' ? 'ours' : 'relayed'}`)
  })
}

/**
 * Rejects recipients of ours that are known not to exist, whoever asks: so that a trusted client hears it at once
 * instead of by a bounce. Has no opinion on all others.
 */
export function rejectUnlistedRecipient(router: Pick<Router, 'destination'>): Policy {
  return askRouter('reject-unlisted-recipient', router, ({ kind, refusal }, recipient) =>
    kind === 'elsewhere' || refusal === null
      ? undefined
      : reject(refusal, `${formatMailbox(recipient.address)} cannot be delivered`),
  )
}

function askRouter(
  name: string,
  router: Pick<Router, 'destination'>,
  judge: (destination: Destination, recipient: Recipient) => Decision | undefined,
): Policy {
  return policy(name, {
    rcpt(recipient, _transaction, call) {
      const destination = router.destination(recipient.address, call)
      return destination instanceof Promise
        ? destination.then((found) => judge(found, recipient))
        : judge(destination, recipient)
    },
  })
}
