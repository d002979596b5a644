/**
 * Where a recipient goes. The classes are Postfix's, in its order: a domain of ours, a domain we relay for, everything
 * else; then relayhost and the transport table choose the lane. A table that fails throws: the mail is deferred and never
 * refused for it. Two things differ from Postfix on purpose: a catch-all alias does not hide a mailbox that exists, and a
 * domain in two classes is an error instead of a warning.
 */
import {
  type Awaitable,
  type Call,
  type Destination,
  formatMailbox,
  type Lane,
  laneKey,
  type Mailbox,
  MailwrightError,
  type Refusal,
  type Router,
  type Routing,
  reply,
  replyLine,
} from '@mailwright/core'
import { type AddressParts, addressParts, aliasKeys, domainKey, exactKeys, transportKeys } from './address-keys.ts'
import { type AliasRules, expandAlias } from './alias-expansion.ts'
import { type Finder, finder, type Hit, type Lookup } from './lookup.ts'
import { run, type Steps } from './steps.ts'
import { transportRule } from './transport-map.ts'

export interface RouterOptions {
  /** The server's name: the home of a bare `postmaster` if it is one of the local domains. */
  readonly hostname?: string
  /** Domains whose mail ends here. */
  readonly local?: readonly string[]
  /** Mailboxes of the local domains, by address or `@domain`. Default: every name exists, the local transport knows. */
  readonly mailboxes?: Lookup
  /** Addresses that stand for others, separated by commas or spaces; `@domain` catches what nothing else does. */
  readonly aliases?: Lookup
  /** Domains we accept mail for and pass on; `.example.org` stands for all below it. */
  readonly relayDomains?: readonly string[]
  /** Recipients in the relay domains. Default: every name exists. */
  readonly relayRecipients?: Lookup
  /** Next hop of all that is not local, such as `[smarthost.example.net]:587`. Default: the recipient's domain. */
  readonly relayhost?: string
  /** Overrides, by address, domain, `.parent` or `*`: `transport:nexthop`. */
  readonly transports?: Lookup
  /** Characters that begin an extension. Default `+`; empty: there are none. */
  readonly recipientDelimiter?: string
  /** Whether `ann+news` of the alias `ann: bob` becomes `bob+news`. Default `append`. */
  readonly unmatchedExtension?: 'append' | 'drop'
  /** Default `local`. */
  readonly localTransport?: string
  /** Default `smtp`. */
  readonly relayTransport?: string
  /** Default `smtp`. */
  readonly defaultTransport?: string
}

/** One step of a decision, for people. */
export interface RouteStep {
  readonly rule: 'address' | 'alias' | 'class' | 'recipient' | 'nexthop' | 'transports' | 'result'
  readonly text: string
}

export interface ExplainingRouter extends Router {
  /** How the decision about an address comes about, step by step. Throws as `route` does. */
  explain(address: Mailbox, call: Call): Promise<readonly RouteStep[]>
}

type AddressClass = 'local' | 'relay' | 'default'
type Note = (rule: RouteStep['rule'], text: string) => void

const KINDS = { local: 'ours', relay: 'relay', default: 'elsewhere' } as const
const UNKNOWN = reply(550, '5.1.1', 'User unknown')
const NO_RELAY = reply(550, '5.7.1', 'Relaying by routing characters denied')
const BAD_ADDRESS = reply(550, '5.1.3', 'Bad recipient address syntax')
const ALIAS_LOOP = reply(550, '5.4.6', 'Alias loop')

/**
 * Makes a router.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a domain in two classes.
 * @example
 * createRouter({ local: ['example.org'], mailboxes: new Set(['ann@example.org']), relayhost: '[smarthost.example.net]:587' })
 */
export function createRouter(options: RouterOptions = {}): ExplainingRouter {
  const local = new Set((options.local ?? []).map(domainKey))
  const relay = new Set((options.relayDomains ?? []).map(domainKey))
  for (const domain of local)
    if (relay.has(domain))
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${domain} is both a local and a relay domain`)
  const home = homeDomain(options, local)
  const delimiters = options.recipientDelimiter ?? '+'
  const localTransport = options.localTransport ?? 'local'
  const mailboxes = optionalFinder(options.mailboxes)
  const aliases = optionalFinder(options.aliases)
  const relayRecipients = optionalFinder(options.relayRecipients)
  const transports = optionalFinder(options.transports)

  const classOf = (domain: string): AddressClass =>
    local.has(domain) ? 'local' : isListed(domain, relay) ? 'relay' : 'default'

  function aliasRules(call: Call): AliasRules {
    return {
      find: (parts) => findAlias(parts, call),
      delimiters,
      unmatchedExtension: options.unmatchedExtension ?? 'append',
      domainFor: (domain) => (local.has(domain) ? domain : (home ?? domain)),
    }
  }

  function* findAlias(parts: AddressParts, call: Call): Steps<Hit | undefined> {
    if (aliases === undefined) return undefined
    const { address, base } = parts
    const keys = aliasKeys(parts, local.has(parts.domain) ? 'local' : 'foreign')
    const hit = yield* aliases(keys, address, base, call)
    if (hit !== undefined) return hit
    if (mailboxes !== undefined && local.has(parts.domain)) {
      const mailbox = yield* mailboxes(exactKeys(parts), address, base, call)
      if (mailbox !== undefined) return undefined
    }
    // A function has been asked already, with the whole address.
    return typeof options.aliases === 'function' ? undefined : yield* aliases([`@${parts.domain}`], address, base, call)
  }

  /** Why an address of ours cannot be delivered, as far as the tables know. */
  function* refusalFor(parts: AddressParts, kind: AddressClass, call: Call, note?: Note): Steps<Refusal | null> {
    if (kind === 'default') return null
    const table = kind === 'local' ? mailboxes : relayRecipients
    if (table !== undefined) {
      const hit = yield* table([...exactKeys(parts), `@${parts.domain}`], parts.address, parts.base, call)
      note?.('recipient', hit === undefined ? 'not in the table' : `in the table as ${hit.key}`)
      // An address that is listed exactly as it stands is meant, whatever characters it has.
      if (hit !== undefined && !hit.key.startsWith('@')) return null
      if (hit === undefined && !isPostmaster(parts)) return hasRouting(parts.local) ? NO_RELAY : UNKNOWN
    }
    if (hasRouting(parts.local)) return NO_RELAY
    return parts.local.startsWith('-') ? BAD_ADDRESS : null
  }

  function* laneOf(parts: AddressParts, kind: AddressClass, call: Call, note?: Note): Steps<Routing> {
    const refusal = yield* refusalFor(parts, kind, call, note)
    if (refusal !== null) return { kind: 'refuse', reply: refusal }
    const usual = usualLane(parts.domain, kind)
    note?.(
      'nexthop',
      kind !== 'local' && options.relayhost !== undefined ? `relayhost ${options.relayhost}` : laneKey(usual),
    )
    if (transports === undefined) return { kind: 'send', lane: usual }
    const hit = yield* transports(transportKeys(parts), parts.address, parts.base, call)
    if (hit === undefined) return { kind: 'send', lane: usual }
    note?.('transports', `${hit.key}: ${hit.value}`)
    const rule = transportRule(hit.value, usual, parts.domain, localTransport)
    return rule.kind === 'lane' ? { kind: 'send', lane: rule.lane } : rule
  }

  function usualLane(domain: string, kind: AddressClass): Lane {
    if (kind === 'local') return { transport: localTransport, destination: '' }
    const transport = (kind === 'relay' ? options.relayTransport : options.defaultTransport) ?? 'smtp'
    return { transport, destination: options.relayhost ?? domain }
  }

  function* routing(given: Mailbox, call: Call, note?: Note): Steps<Routing> {
    const address = atHome(given)
    if (address === undefined) return { kind: 'refuse', reply: UNKNOWN }
    const expansion = aliases === undefined ? undefined : yield* expandAlias(address, aliasRules(call))
    if (expansion !== undefined)
      note?.('alias', `stands for ${expansion.into.map(formatMailbox).join(', ') || 'itself'}`)
    if (expansion !== undefined && expansion.into.length === 0 && !expansion.keepsItself)
      return { kind: 'refuse', reply: ALIAS_LOOP }
    if (expansion !== undefined && !expansion.keepsItself) return { kind: 'expand', into: expansion.into }
    const parts = addressParts(address, delimiters)
    const kind = classOf(parts.domain)
    note?.('class', `${parts.domain} is ${CLASS_NAMES[kind]}`)
    const own = yield* laneOf(parts, kind, call, note)
    if (expansion === undefined || expansion.into.length === 0) return own
    // An alias that names its own address without there being a mailbox: the others still get the mail.
    return own.kind === 'send'
      ? { kind: 'expand', into: expansion.into, keep: own.lane }
      : { kind: 'expand', into: expansion.into }
  }

  function* destination(given: Mailbox, call: Call): Steps<Destination> {
    const address = atHome(given)
    if (address === undefined) return { kind: 'ours', refusal: UNKNOWN }
    const parts = addressParts(address, delimiters)
    const kind = classOf(parts.domain)
    const alias = yield* findAlias(parts, call)
    if (alias !== undefined) return { kind: KINDS[kind], refusal: null }
    return { kind: KINDS[kind], refusal: yield* refusalFor(parts, kind, call) }
  }

  /** Gives a bare `postmaster` a domain (RFC 5321 §4.5.1); undefined when there is none to give. */
  function atHome(address: Mailbox): Mailbox | undefined {
    if (address.domain !== '') return address
    return home === undefined ? undefined : { local: address.local, domain: home }
  }

  return {
    route: (address: Mailbox, _sender: Mailbox | null, call: Call): Awaitable<Routing> => run(routing(address, call)),
    destination: (address: Mailbox, call: Call): Awaitable<Destination> => run(destination(address, call)),
    async explain(address: Mailbox, call: Call): Promise<readonly RouteStep[]> {
      const steps: RouteStep[] = [{ rule: 'address', text: formatMailbox(atHome(address) ?? address) }]
      const result = await run(routing(address, call, (rule, text) => steps.push({ rule, text })))
      return [...steps, { rule: 'result', text: routingText(result) }]
    },
  }
}

const CLASS_NAMES = { local: 'a local domain', relay: 'a domain we relay for', default: 'elsewhere' } as const

function optionalFinder(lookup: Lookup | undefined): Finder | undefined {
  return lookup === undefined ? undefined : finder(lookup)
}

function homeDomain({ hostname, local = [] }: RouterOptions, domains: ReadonlySet<string>): string | undefined {
  if (hostname !== undefined && (domains.has(domainKey(hostname)) || local.length === 0)) return domainKey(hostname)
  return local[0] === undefined ? undefined : domainKey(local[0])
}

function isListed(domain: string, domains: ReadonlySet<string>): boolean {
  if (domains.has(domain)) return true
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1))
    if (domains.has(domain.slice(dot))) return true
  return false
}

/** `user%elsewhere@ours`, `elsewhere!user@ours`, `"user@elsewhere"@ours`: old ways to make a host relay. */
function hasRouting(local: string): boolean {
  return /[%!@]/.test(local)
}

/** Every domain of ours has one, listed or not (RFC 5321 §4.5.1): the local transport decides who reads it. */
function isPostmaster(parts: AddressParts): boolean {
  return parts.local === 'postmaster'
}

function routingText(routing: Routing): string {
  if (routing.kind === 'send') return `send by ${laneKey(routing.lane)}`
  if (routing.kind === 'refuse') return `refuse: ${replyLine(routing.reply)}`
  const kept = routing.keep === undefined ? '' : `, and keep by ${laneKey(routing.keep)}`
  return `expand into ${routing.into.map(formatMailbox).join(', ')}${kept}`
}
