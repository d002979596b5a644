/**
 * Alias expansion (RFC 5321 §3.9.1): which addresses an address stands for in the end. Aliases of aliases are followed,
 * nobody is named twice, an alias that names its own address keeps it, a circle of aliases adds nothing. An expansion out
 * of bounds, or a target that is no address, is a mistake of the operator's: it throws, which is temporary for the mail.
 */
import { type Mailbox, MailwrightError, mailboxKey, parseMailbox, reply } from '@mailwright/core'
import { type AddressParts, addressParts } from './address-keys.ts'
import type { Hit } from './lookup.ts'
import type { Steps } from './steps.ts'

/** As Postfix's `virtual_alias_expansion_limit` and `virtual_alias_recursion_limit`. */
const MOST_ADDRESSES = 1_000
const MOST_ALIASES = 1_000

export interface AliasRules {
  /** What the table says of an address; undefined where it is no alias. */
  find(parts: AddressParts): Steps<Hit | undefined>
  readonly delimiters: string
  /** Whether a part after the delimiter that the alias does not name is carried over to its targets. */
  readonly unmatchedExtension: 'append' | 'drop'
  /** The domain of a target without one, for an alias of this domain. */
  domainFor(domain: string): string
}

export interface Expansion {
  /** The final addresses, without the one that was expanded. */
  readonly into: readonly Mailbox[]
  /** Whether the address stands for itself as well. */
  readonly keepsItself: boolean
}

/** Expands an address; undefined where it is no alias. */
export function* expandAlias(start: Mailbox, rules: AliasRules): Steps<Expansion | undefined> {
  const startKey = mailboxKey(start)
  const final = new Map<string, Mailbox>()
  const expanded = new Set<string>()
  const open: Mailbox[] = [start]
  for (let address = open.pop(); address !== undefined; address = open.pop()) {
    const key = mailboxKey(address)
    if (expanded.has(key)) continue
    const parts = addressParts(address, rules.delimiters)
    const hit: Hit | undefined = yield* rules.find(parts)
    if (hit === undefined) {
      if (key === startKey) return undefined
      if (!final.has(key)) final.set(key, address)
      continue
    }
    expanded.add(key)
    // From the last to the first, so that they come off the stack in the order they were written.
    for (const target of targetsOf(hit, parts, rules).reverse()) {
      if (mailboxKey(target) === key) final.set(key, address)
      else open.push(target)
    }
    if (final.size + open.length > MOST_ADDRESSES || expanded.size > MOST_ALIASES) throw outOfBounds(startKey)
  }
  const keepsItself = final.delete(startKey)
  return { into: [...final.values()], keepsItself }
}

function targetsOf(hit: Hit, parts: AddressParts, rules: AliasRules): Mailbox[] {
  const texts = hit.value.split(/[,\s]+/).filter((text) => text !== '')
  if (texts.length === 0) throw notUsable(`the alias ${hit.key} stands for nobody`)
  const isCatchAll = hit.key.startsWith('@')
  const namesExtension = hit.key === parts.local || hit.key === `${parts.local}@${parts.domain}`
  const extension = isCatchAll || namesExtension || rules.unmatchedExtension === 'drop' ? '' : parts.extension
  return texts.map((text) => {
    if (isCatchAll && text.startsWith('@')) return { local: parts.address.local, domain: text.slice(1).toLowerCase() }
    const target = parseMailbox(text.includes('@') ? text : `${text}@${rules.domainFor(parts.domain)}`)
    if (target === undefined) throw notUsable(`the alias ${hit.key} names ${text}, which is no address`)
    return extension === '' ? target : { local: target.local + extension, domain: target.domain }
  })
}

function notUsable(problem: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', problem)
}

function outOfBounds(address: string): MailwrightError {
  const problem = `the alias ${address} expands to more than ${MOST_ADDRESSES} addresses or aliases`
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', problem, { reply: reply(451, '4.6.0', 'Alias expansion error') })
}
