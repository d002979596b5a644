/**
 * Questions and answers as the wire has them (RFC 1035 §4): one question with EDNS(0) (RFC 6891) and the AD bit, which
 * asks a validating resolver to say whether it validated (RFC 6840 §5.7); and what its answer means for mail.
 *
 * A chain of CNAMEs is followed within the answer, as a recursive resolver gives it. Records of other names are ignored.
 */
import type { DnsAnswer, RecordType, RecordTypes } from '@mailwright/core'
import { type Answer, AUTHENTIC_DATA, type DecodedPacket, decode, encode, RECURSION_DESIRED } from 'dns-packet'

/** A question as it was sent: what an answer must repeat. */
export interface Question {
  readonly id: number
  /** A-labels, lower case, no final dot. */
  readonly name: string
  readonly type: RecordType
}

/** What came back: an answer, or word that it did not fit (RFC 2181 §9). */
export type Response = { readonly kind: 'answer'; readonly answer: DnsAnswer<unknown> } | { readonly kind: 'truncated' }

/** Octets of an answer that a network carries unbroken: what flag day 2020 settled for. */
export const UDP_PAYLOAD = 1_232
/** Most CNAMEs followed in one answer. */
const CHAIN_LIMIT = 8
/** How long to believe that there is nothing where the zone does not say, ms. */
const DEFAULT_NEGATIVE_MS = 300_000

type Reader = (answer: Answer) => unknown

const READERS: { readonly [T in RecordType]: Reader } = {
  A: dataOf,
  AAAA: dataOf,
  CNAME: nameOf,
  NS: nameOf,
  PTR: nameOf,
  MX: (answer) => {
    const { preference, exchange } = dataOf(answer) as { preference?: number; exchange: string }
    return { preference: preference ?? 0, exchange: hostName(exchange) }
  },
  TXT: (answer) => [dataOf(answer)].flat().map(String),
  TLSA: (answer) => {
    const { usage, selector, matchingType, certificate } = dataOf(answer) as Record<string, unknown>
    return { usage, selector, matching: matchingType, data: new Uint8Array(certificate as Uint8Array) }
  },
}

const EDNS: Answer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: UDP_PAYLOAD,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}

/** The octets of a question. */
export function encodeQuestion({ id, name, type }: Question): Uint8Array {
  return encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED | AUTHENTIC_DATA,
    questions: [{ type, name }],
    additionals: [EDNS],
  })
}

/**
 * Reads what came for a question. Undefined for what is no answer to it: garbage, or somebody's guess.
 *
 * @param trust whether the AD bit of whoever answered counts
 */
export function decodeResponse(
  bytes: Uint8Array,
  question: Question,
  trust: 'trusted' | 'untrusted',
): Response | undefined {
  const packet = parse(bytes)
  if (packet === undefined || packet.type !== 'response' || packet.id !== question.id) return undefined
  const asked = packet.questions?.[0]
  if (asked === undefined || asked.type !== question.type || hostName(asked.name) !== question.name) return undefined
  if (packet.flag_tc) return { kind: 'truncated' }
  return { kind: 'answer', answer: meaning(packet, question, trust === 'trusted' && packet.flag_ad) }
}

function parse(bytes: Uint8Array): DecodedPacket | undefined {
  try {
    return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch {
    return undefined
  }
}

function meaning(packet: DecodedPacket, question: Question, secure: boolean): DnsAnswer<unknown> {
  // dns-packet gives the code a name, which its types do not tell.
  const { rcode } = packet as DecodedPacket & { readonly rcode: string }
  if (rcode !== 'NOERROR' && rcode !== 'NXDOMAIN') return { status: 'failed', cause: rcode }
  const answers = packet.answers ?? []
  const { name, ttl } = endOfChain(answers, question)
  if (name === undefined) return { status: 'failed', cause: `a chain of more than ${CHAIN_LIMIT} CNAMEs` }
  const found = answers.filter((answer) => answer.type === question.type && hostName(answer.name) === name)
  if (found.length === 0) {
    const ttlMs = Math.min(negativeMs(packet.authorities ?? []), ttl * 1_000)
    return { status: 'none', reason: rcode === 'NXDOMAIN' ? 'no-name' : 'no-data', ttlMs, secure }
  }
  const records = found.map(READERS[question.type]) as readonly RecordTypes[RecordType][]
  return { status: 'found', records, ttlMs: Math.min(ttl, ...found.map(ttlOf)) * 1_000, secure }
}

/** Where the aliases lead, and for how long all of them are good, in seconds. */
function endOfChain(
  answers: readonly Answer[],
  { name: first, type }: Question,
): { readonly name: string | undefined; readonly ttl: number } {
  let name = first
  let ttl = Number.POSITIVE_INFINITY
  if (type === 'CNAME') return { name, ttl }
  for (let links = 0; links <= CHAIN_LIMIT; links++) {
    const alias = answers.find((answer) => answer.type === 'CNAME' && hostName(answer.name) === name)
    if (alias === undefined) return { name, ttl }
    name = nameOf(alias)
    ttl = Math.min(ttl, ttlOf(alias))
  }
  return { name: undefined, ttl }
}

/** RFC 2308 §5: the lesser of the SOA's own TTL and its minimum. */
function negativeMs(authorities: readonly Answer[]): number {
  const soa = authorities.find((answer) => answer.type === 'SOA')
  if (soa === undefined) return DEFAULT_NEGATIVE_MS
  const { minimum } = dataOf(soa) as { minimum?: number }
  return Math.min(ttlOf(soa), minimum ?? Number.POSITIVE_INFINITY) * 1_000
}

function ttlOf(answer: Answer): number {
  return 'ttl' in answer ? (answer.ttl ?? 0) : 0
}

/** What its own types do not know of every record. */
function dataOf(answer: Answer): unknown {
  return (answer as { readonly data?: unknown }).data
}

function nameOf(answer: Answer): string {
  return hostName(String(dataOf(answer)))
}

/** Lower case, without final dot; the root, which a null MX names, is empty. */
function hostName(name: string): string {
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase()
}
