/** Checks of what a client says of itself and of its sender. */
import {
  type Call,
  type Decision,
  type Policy,
  policy,
  type Recipient,
  type Resolver,
  reject,
  reply,
  type Transaction,
} from '@mailwright/core'

const NOT_FQDN = reply(504, '5.5.2', 'Helo command rejected: need fully-qualified hostname')
const NULL_MX = reply(550, '5.7.27', 'Sender address rejected: domain accepts no mail')
const NO_DOMAIN = reply(550, '5.1.8', 'Sender address rejected: domain not found')
const DOMAIN_UNSURE = reply(450, '4.1.8', 'Sender address rejected: domain could not be looked up')
const TOO_MANY = reply(452, '4.5.3', 'Too many recipients')

const FQDN = /^(?=.{1,253}$)[\p{L}\p{N}_]([\p{L}\p{N}_-]{0,62})(\.[\p{L}\p{N}_]([\p{L}\p{N}_-]{0,62}))+\.?$/u
const ADDRESS_LITERAL = /^\[[^\]\s]+\]$/

/** Rejects clients whose HELO is neither a fully-qualified name nor an address literal (RFC 5321 §4.1.1.1): 504 5.5.2. */
export function rejectNonFqdnHelo(): Policy {
  return policy('reject-non-fqdn-helo', {
    helo: (name) =>
      FQDN.test(name) || ADDRESS_LITERAL.test(name) ? undefined : reject(NOT_FQDN, `helo ${JSON.stringify(name)}`),
  })
}

/**
 * Rejects senders nobody could answer: the domain has neither MX nor address (550 5.1.8), or says that it takes no mail
 * (null MX, RFC 7505: 550 5.7.27). What cannot be found out is refused for now (450 4.1.8). The null sender and address
 * literals pass.
 */
export function rejectUnknownSenderDomain(): Policy {
  return {
    name: 'reject-unknown-sender-domain',
    open: (_session, { dns }) => ({
      mail(transaction: Transaction, call: Call): Promise<Decision | undefined> | undefined {
        const domain = transaction.sender?.domain ?? ''
        return domain === '' || domain.startsWith('[') ? undefined : judgeDomain(domain, dns, call)
      },
    }),
  }
}

async function judgeDomain(domain: string, dns: Resolver, call: Call): Promise<Decision | undefined> {
  const exchangers = await dns.resolve(domain, 'MX', call)
  if (exchangers.status === 'failed') return reject(DOMAIN_UNSURE, `MX of ${domain}: ${exchangers.cause}`)
  if (exchangers.status === 'found') {
    const isNull = exchangers.records.every((record) => record.exchange === '')
    return isNull ? reject(NULL_MX, `${domain} has a null MX`) : undefined
  }
  // Without an MX the domain's own address stands for it (RFC 5321 §5.1).
  let unsure: string | undefined
  for (const type of ['A', 'AAAA'] as const) {
    const addresses = await dns.resolve(domain, type, call)
    if (addresses.status === 'found') return undefined
    if (addresses.status === 'failed') unsure = `${type} of ${domain}: ${addresses.cause}`
  }
  return unsure === undefined
    ? reject(NO_DOMAIN, `${domain} has neither MX nor address`)
    : reject(DOMAIN_UNSURE, unsure)
}

/** Refuses further recipients of a message for now, beyond `most`: 452 4.5.3, so that the client sends the rest later. */
export function limitRecipients(most: number): Policy {
  return policy('limit-recipients', {
    rcpt: (_recipient: Recipient, transaction) =>
      transaction.recipients.length >= most ? reject(TOO_MANY, `more than ${most} recipients`) : undefined,
  })
}
