/**
 * Hosts that may speak for others: XCLIENT and XFORWARD, as Postfix describes them in XCLIENT_README and
 * XFORWARD_README. nginx and filters speak them. Who is trusted is decided by the address of the connection (behind a
 * proxy by the client's, as the proxy gave it), never by one that was claimed.
 *
 * A command is read as a whole: one bad attribute and nothing of it counts. [UNAVAILABLE] and [TEMPUNAVAIL] are unknown:
 * a NAME becomes `unknown`, a PORT 0. An ADDR cannot be unknown here, because the client would then pass for the trusted
 * host itself. Values are checked for what they are to be, so that nothing claimed can break a header or a log line.
 */
import { isUtf8 } from 'node:buffer'
import { type ClientClaims, type ForwardedClient, type Peer, type Refusal, reply } from '@mailwright/core'
import { addressList, canonicalAddress } from './address-list.ts'

/** Who may speak for others, as addresses and networks: `127.0.0.1`, `10.0.0.0/8`. */
export interface TrustedHosts {
  /** Whose word counts as the truth about a client, for policies too. */
  readonly xclient?: readonly string[]
  /** Whose word about the first client is kept for the log. */
  readonly xforward?: readonly string[]
}

export type TrustedVerb = 'XCLIENT' | 'XFORWARD'

/** What a client may claim, from its address; undefined: nothing. */
export type TrustRules = (address: string) => ReadonlySet<TrustedVerb> | undefined

type Attributes = ReadonlyMap<string, string | undefined>

const XCLIENT_ATTRIBUTES = ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'LOGIN', 'DESTADDR', 'DESTPORT']
const XFORWARD_ATTRIBUTES = ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'IDENT', 'SOURCE']
/** What may be claimed to be unknown. */
const UNKNOWN = /^\[(?:UNAVAILABLE|TEMPUNAVAIL)\]$/i
const XTEXT = /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-Fa-f]{2})+$/
const LONGEST = 255
const NAME = /^[\w.-]+$/
const WORD = /^[\x21-\x7e]+$/
/** A user may have any name that is one line. */
const LINE = /^[^\p{Cc}\u2028\u2029]+$/u

const SYNTAX: Refusal = reply(501, '5.5.4', 'Bad attribute')
const SOMEBODY_ALREADY: Refusal = reply(503, '5.5.1', 'The session belongs to a user: name another, or connect again')

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for what is no address and no network. */
export function trustRules({ xclient = [], xforward = [] }: TrustedHosts): TrustRules {
  const mayClaim = addressList('trusted.xclient', xclient)
  const mayForward = addressList('trusted.xforward', xforward)
  return (address) => {
    const verbs = new Set<TrustedVerb>()
    if (mayClaim(address)) verbs.add('XCLIENT')
    if (mayForward(address)) verbs.add('XFORWARD')
    return verbs.size === 0 ? undefined : verbs
  }
}

/** What EHLO offers a trusted host. */
export function trustedKeywords(verbs: ReadonlySet<TrustedVerb>): readonly string[] {
  return [
    ...(verbs.has('XCLIENT') ? [`XCLIENT ${XCLIENT_ATTRIBUTES.join(' ')}`] : []),
    ...(verbs.has('XFORWARD') ? [`XFORWARD ${XFORWARD_ATTRIBUTES.join(' ')}`] : []),
  ]
}

/** What an XCLIENT command claims, or why it is refused. `before` is the session so far. */
export function xclientClaims(
  line: string,
  before: { readonly client: Peer; readonly server: Peer; readonly user?: string | undefined },
): { readonly claims: ClientClaims } | { readonly refusal: Refusal } {
  const given = attributes(line, XCLIENT_ATTRIBUTES)
  if (given === undefined) return { refusal: SYNTAX }
  if (given.has('ADDR') && given.get('ADDR') === undefined) return { refusal: SYNTAX }
  const user = given.get('LOGIN')
  // Nobody can be logged out: the next client would go on as the user of the one before.
  if (before.user !== undefined && user === undefined) return { refusal: SOMEBODY_ALREADY }
  return {
    claims: {
      client: peer(before.client, given, 'ADDR', 'PORT'),
      server: peer(before.server, given, 'DESTADDR', 'DESTPORT'),
      clientName: given.has('NAME') ? (given.get('NAME') ?? 'unknown') : undefined,
      helo: given.get('HELO'),
      user,
    },
  }
}

/** What an XFORWARD command says of the first client; undefined for bad syntax. */
export function xforwardFacts(line: string): ForwardedClient | undefined {
  const given = attributes(line, XFORWARD_ATTRIBUTES)
  if (given === undefined) return undefined
  const port = given.get('PORT')
  return {
    name: given.get('NAME'),
    address: given.get('ADDR'),
    port: port === undefined ? undefined : Number(port),
    protocol: given.get('PROTO'),
    helo: given.get('HELO'),
    ident: given.get('IDENT'),
    source: given.get('SOURCE'),
  }
}

export { SYNTAX as BAD_ATTRIBUTE }

/** `VERB NAME=value …`, decoded and checked; undefined when anything is wrong. An unknown value is there, as undefined. */
function attributes(line: string, allowed: readonly string[]): Attributes | undefined {
  const given = new Map<string, string | undefined>()
  const [, ...words] = line.trimEnd().split(/ +/)
  for (const word of words) {
    const [, key = '', value = ''] = /^([A-Za-z]+)=(.+)$/s.exec(word) ?? []
    const name = key.toUpperCase()
    if (!allowed.includes(name) || given.has(name)) return undefined
    if (UNKNOWN.test(value)) given.set(name, undefined)
    else {
      const text = decoded(value)
      const proper = text === undefined ? undefined : properValue(name, text)
      if (proper === undefined) return undefined
      given.set(name, proper)
    }
  }
  return given.size === 0 ? undefined : given
}

function properValue(name: string, text: string): string | undefined {
  switch (name) {
    case 'ADDR':
    case 'DESTADDR':
      return canonicalAddress(text.replace(/^IPV6:/i, ''))
    case 'PORT':
    case 'DESTPORT':
      return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? text : undefined
    case 'PROTO':
      return /^(?:E?SMTP|LMTP)$/i.test(text) ? text.toUpperCase() : undefined
    case 'SOURCE':
      return /^(?:LOCAL|REMOTE)$/i.test(text) ? text.toUpperCase() : undefined
    case 'NAME':
      return NAME.test(text) ? text : undefined
    case 'LOGIN':
      return LINE.test(text) ? text : undefined
    default:
      return WORD.test(text) ? text : undefined
  }
}

/** xtext (RFC 3461 §4). */
function decoded(value: string): string | undefined {
  if (!XTEXT.test(value)) return undefined
  const latin = value.replace(/\+([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  const bytes = Buffer.from(latin, 'latin1')
  return bytes.length <= LONGEST && isUtf8(bytes) ? bytes.toString('utf8') : undefined
}

/** One end as claimed; undefined when nothing was said of it. */
function peer(before: Peer, given: Attributes, addressName: string, portName: string): Peer | undefined {
  const address = given.get(addressName)
  if (address === undefined && !given.has(portName)) return undefined
  // A port that was not named is that of nobody we know.
  return { address: address ?? before.address, port: Number(given.get(portName) ?? 0) }
}
