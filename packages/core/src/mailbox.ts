/**
 * Addresses as structured values (RFC 5321 §4.1.2, RFC 6531). Between parts of the program an address is never a string
 * to parse again, and never a path or a command.
 */

/** A mailbox. `local` is unquoted; `domain` is lower case, in U-label or A-label form as given, without a final dot. */
export interface Mailbox {
  readonly local: string
  /** Empty only for the bare `<postmaster>` of RFC 5321 §4.5.1. Address literals keep their brackets. */
  readonly domain: string
}

const ATOM =
  /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+(\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\u{10ffff}]+)*$/u
const QUOTED = /^"((?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*)"$/u
const LABELS =
  /^(?=.{1,253}$)[A-Za-z0-9_\u0080-\u{10ffff}](?:[A-Za-z0-9_\-\u0080-\u{10ffff}]{0,62})(?:\.[A-Za-z0-9_\u0080-\u{10ffff}][A-Za-z0-9_\-\u0080-\u{10ffff}]{0,62})*$/u
const LITERAL = /^\[(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}|IPv6:[0-9A-Fa-f:.]{2,45})\]$/i

/**
 * Reads `local@domain`. Returns undefined for anything that is no mailbox: there is no half-parsed address.
 * Limits: 64 octets of local part, 255 of domain (RFC 5321 §4.5.3.1). A bare `postmaster` has an empty domain.
 *
 * @example
 * parseMailbox('Ann@Example.org') // { local: 'Ann', domain: 'example.org' }
 */
export function parseMailbox(text: string): Mailbox | undefined {
  const at = text.lastIndexOf('@')
  if (at < 0) return /^postmaster$/i.test(text) ? { local: text, domain: '' } : undefined
  const local = parseLocal(text.slice(0, at))
  const domain = text.slice(at + 1)
  if (local === undefined || Buffer.byteLength(local) > 64 || domain.length > 255) return undefined
  if (domain.startsWith('[') ? !isLiteral(domain) : !isDomain(domain)) return undefined
  return { local, domain: domain.toLowerCase() }
}

function isDomain(text: string): boolean {
  return LABELS.test(text) && !text.includes('-.') && !text.endsWith('-')
}

function isLiteral(text: string): boolean {
  if (!LITERAL.test(text)) return false
  const ipv6 = /^\[IPv6:/i.test(text)
  // The reader of URLs knows what an IPv6 address is, and needs no network for it.
  return !ipv6 || URL.canParse(`http://[${text.slice(6)}`)
}

function parseLocal(text: string): string | undefined {
  if (ATOM.test(text)) return text
  const quoted = QUOTED.exec(text)
  return quoted ? quoted[1]!.replace(/\\(.)/g, '$1') : undefined
}

/** Writes a mailbox as it stands on the wire, quoting the local part where it must be. `null` is the null sender: ''. */
export function formatMailbox(mailbox: Mailbox | null): string {
  if (mailbox === null) return ''
  const local = ATOM.test(mailbox.local) ? mailbox.local : `"${mailbox.local.replace(/["\\]/g, '\\$&')}"`
  return mailbox.domain === '' ? local : `${local}@${mailbox.domain}`
}

/** The form under which two spellings of one mailbox are the same: all lower case. For look-ups and duplicate checks. */
export function mailboxKey(mailbox: Mailbox): string {
  return `${mailbox.local.toLowerCase()}@${mailbox.domain}`
}

/** Whether the address can travel only with SMTPUTF8 (RFC 6531). */
export function needsSmtpUtf8(mailbox: Mailbox): boolean {
  return /[^\x00-\x7f]/.test(mailbox.local) || /[^\x00-\x7f]/.test(mailbox.domain)
}
