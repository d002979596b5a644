import { type Policy, policy, reject, reply } from '@mailwright/core'
import { countFields } from '@mailwright/message'

const TOO_MANY_HOPS = reply(554, '5.4.6', 'Too many hops')

/**
 * Rejects a message that has been through more than `most` hosts, by its Received fields: it is in a loop
 * (RFC 5321 §6.3). Default 50.
 */
export function hopLimit(most = 50): Policy {
  return policy('hop-limit', {
    message(message) {
      const hops = countFields(message.head, 'Received')
      return hops > most ? reject(TOO_MANY_HOPS, `${hops} Received fields`) : undefined
    },
  })
}
