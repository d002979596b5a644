/** The values of a transport table: `transport:nexthop`, either half may be missing (as Postfix's transport(5)). */
import {
  type Lane,
  MailwrightError,
  type PermanentCode,
  type Refusal,
  reply,
  type TransientCode,
} from '@mailwright/core'

export type TransportRule =
  | { readonly kind: 'lane'; readonly lane: Lane }
  | { readonly kind: 'refuse'; readonly reply: Refusal }

/**
 * What a value makes of the lane an address would take without it.
 *
 * `:` changes nothing; `smtp:` sets the transport and the recipient's domain as the next hop; `:[relay]:26` sets the next
 * hop; `error:5.1.6 moved` and `retry:4.3.2 closed` refuse.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a value without a colon: a guess would send mail astray.
 */
export function transportRule(value: string, usual: Lane, domain: string, localTransport: string): TransportRule {
  const colon = value.startsWith('[') ? -1 : value.indexOf(':')
  if (colon < 0 && !value.startsWith('['))
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `a transport table's value needs a colon: ${value}`)
  const transport = value.slice(0, Math.max(colon, 0)).trim()
  const nexthop = value.slice(colon + 1).trim()
  if (transport === 'error') return { kind: 'refuse', reply: refusal('5', nexthop) }
  if (transport === 'retry') return { kind: 'refuse', reply: refusal('4', nexthop) }
  if (transport === '') return { kind: 'lane', lane: nexthop === '' ? usual : { ...usual, destination: nexthop } }
  const reset = transport === localTransport ? '' : domain
  return { kind: 'lane', lane: { transport, destination: nexthop === '' ? reset : nexthop } }
}

function refusal(kind: '4' | '5', text: string): Refusal {
  const match = /^([45])\.(\d{1,3})\.(\d{1,3})(?:\s+(.*))?$/.exec(text)
  const [subject, detail] = match?.[1] === kind ? [Number(match[2]), Number(match[3])] : [0, 0]
  const said = (match === null ? text : match[4]) || 'Address not served here'
  return kind === '4'
    ? reply<TransientCode>(450, `4.${subject}.${detail}`, said)
    : reply<PermanentCode>(550, `5.${subject}.${detail}`, said)
}
