/** ETRN's argument (RFC 1985): a domain whose waiting mail is wanted. Queues by name (`#queue`) are not known here. */
import { parseMailbox } from '@mailwright/core'

/**
 * The domain an ETRN line asks for, in lower case; undefined when it names none. `@domain`, which means its subdomains
 * too, is read as the domain.
 *
 * @example
 * etrnDomain('ETRN example.org') // 'example.org'
 */
export function etrnDomain(line: string): string | undefined {
  const argument = line.slice(5)
  const domain = argument.startsWith('@') ? argument.slice(1) : argument
  return parseMailbox(`postmaster@${domain}`)?.domain
}
