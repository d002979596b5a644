/** Under which keys an address is looked up, and in which order (as Postfix's virtual(5) and transport(5)). */
import { domainToASCII } from 'node:url'
import type { Mailbox } from '@mailwright/core'

/** An address taken apart for look-ups. All lower case, the domain as A-labels. */
export interface AddressParts {
  readonly address: Mailbox
  /** The address without its extension; the same object where it has none. */
  readonly base: Mailbox
  /** With its delimiter: `+news`. Empty where there is none. */
  readonly extension: string
  readonly local: string
  readonly baseLocal: string
  readonly domain: string
}

/** Takes an address apart. The first character of `delimiters` in the local part, beyond its start, begins the extension. */
export function addressParts(address: Mailbox, delimiters: string): AddressParts {
  const local = address.local.toLowerCase()
  const domain = domainKey(address.domain)
  let at = -1
  for (let index = 1; index < local.length && at < 0; index++) if (delimiters.includes(local[index]!)) at = index
  if (at < 0) return { address, base: address, extension: '', local, baseLocal: local, domain }
  return {
    address,
    base: { local: address.local.slice(0, at), domain: address.domain },
    extension: address.local.slice(at),
    local,
    baseLocal: local.slice(0, at),
    domain,
  }
}

/** The form under which two spellings of a domain are the same: lower case, A-labels. */
export function domainKey(domain: string): string {
  return /[^\x00-\x7f]/.test(domain) ? domainToASCII(domain) : domain.toLowerCase()
}

/** `user+ext@domain`, `user@domain`. */
export function exactKeys({ local, baseLocal, domain }: AddressParts): readonly string[] {
  return local === baseLocal ? [`${local}@${domain}`] : [`${local}@${domain}`, `${baseLocal}@${domain}`]
}

/** `user+ext@domain`, `user@domain`, and for a local domain the bare names `user+ext`, `user`. */
export function aliasKeys(parts: AddressParts, domain: 'local' | 'foreign'): readonly string[] {
  if (domain === 'foreign') return exactKeys(parts)
  const { local, baseLocal } = parts
  return local === baseLocal ? [...exactKeys(parts), local] : [...exactKeys(parts), local, baseLocal]
}

/** `user+ext@domain`, `user@domain`, `domain`, `.parent` for each level, `*`. */
export function transportKeys(parts: AddressParts): readonly string[] {
  const keys = [...exactKeys(parts), parts.domain]
  for (let dot = parts.domain.indexOf('.'); dot >= 0; dot = parts.domain.indexOf('.', dot + 1))
    keys.push(parts.domain.slice(dot))
  keys.push('*')
  return keys
}
