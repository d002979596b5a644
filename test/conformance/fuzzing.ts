/**
 * Random clients: sequences of commands right and wrong, messages full of traps, and plain noise.
 *
 * Each is played twice. First unit by unit, by a client that knows only framing: a command ends at LF, a message at
 * CRLF . CRLF, a chunk with its last octet; each command must get exactly one answer, a message one too (with LMTP one for each recipient accepted),
 * and half a unit none. Behind the last refusal that is borne there may stand a 421. Then all at once, cut into random pieces: the answers and deliveries must be the same.
 */

import { settle } from '@mailwright/testing'
import fc from 'fast-check'
import type { ConformanceServer, Delivery } from './servers.ts'

export interface RandomClient {
  readonly bytes: Buffer
  /** Where the second playing cuts, as fractions of the whole. */
  readonly cuts: readonly number[]
}

/** The servers that random clients meet. */
export const TARGETS: readonly string[] = [
  'hardErrorLimit=40',
  'protocol=lmtp hardErrorLimit=40',
  'policies=slow hardErrorLimit=40 maxSize=2000',
  'lineEnds=normalize maxCommandLength=512',
  'refuse=at-once maxRecipients=2',
  'auth=ann:secret clear hardErrorLimit=40 capabilities=dsn,binarymime,smtputf8,etrn etrn=example.org',
]

const ADDRESSES = [
  'ann@example.net',
  'bob@example.org',
  '',
  'nobody@example.org',
  'full@example.org',
  'hole@example.org',
]
const STRANGE = [
  '"a b"@x.example',
  'postmaster',
  '@r.example:bob@example.org',
  'a@',
  'jürgen@example.org',
  'busy@example.org',
]
const PARAMETERS = [
  '',
  '',
  '',
  ' SIZE=10',
  ' SIZE=9999999999',
  ' BODY=8BITMIME',
  ' BODY=BINARYMIME',
  ' SMTPUTF8',
  ' FOO=1',
  ' SIZE=x',
  ' NOTIFY=NEVER',
]

const address = fc.constantFrom(...ADDRESSES, ...ADDRESSES, ...STRANGE)
const parameter = fc.constantFrom(...PARAMETERS)
const introduction = fc.constantFrom(
  'EHLO client.example',
  'LHLO client.example',
  'HELO client.example',
  'EHLO bad.example',
)
const mail = fc.tuple(address, parameter).map(([whom, more]) => `MAIL FROM:<${whom}>${more}`)
const rcpt = fc.tuple(address, parameter).map(([whom, more]) => `RCPT TO:<${whom}>${more.replace(/ [SB].*/, '')}`)
const lone = fc.constantFrom(
  ...[
    'RSET',
    'NOOP',
    'HELP',
    'VRFY bob',
    'VRFY',
    'DATA',
    'DATA x',
    'QUIT now',
    'FOO',
    '',
    ' ',
    '.',
    'EXPN x',
    'AUTH PLAIN',
    'AUTH PLAIN AGFubgBzZWNyZXQ=',
    'AUTH LOGIN',
    'AUTH LOGIN YW5u',
    'AGFubgBzZWNyZXQ=',
    '*',
    'ETRN example.org',
  ],
  ...['MAIL', 'RCPT TO:', 'STARTTLS', 'ETRN x', 'MAIL FROM:<a@b', 'RCPT TO:<"', 'EHLO', '\0', '\xff\xfe', 'NOOP\rNOOP'],
)
const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const lineEnd = fc.oneof({ weight: 20, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r\r\n', '\r', ' \r\n'))
const command = fc
  .tuple(
    fc.oneof(
      { weight: 3, arbitrary: introduction },
      { weight: 5, arbitrary: mail },
      { weight: 6, arbitrary: rcpt },
      { weight: 4, arbitrary: lone },
      { weight: 1, arbitrary: noise },
    ),
    lineEnd,
  )
  .map(([line, end]) => line + end)
const TRAPS = [
  'text',
  'Subject: x\r\n',
  '\r\n',
  '\r\n',
  '.',
  '..',
  '\r\n.',
  '\n',
  '\r',
  '\0',
  ' ',
  'QUIT\r\n',
  '\xff',
  'X-Virus\r\n',
]
const message = fc.array(fc.constantFrom(...TRAPS), { maxLength: 15 }).map((pieces) => `${pieces.join('')}\r\n.\r\n`)
const transaction = fc
  .tuple(fc.constantFrom('ann@example.net', ''), fc.array(rcpt, { maxLength: 3 }), message)
  .map(([sender, many, text]) =>
    [`MAIL FROM:<${sender}>`, ...many, 'RCPT TO:<bob@example.org>', 'DATA', text].join('\r\n'),
  )
const chunk = fc
  .tuple(
    fc.array(fc.constantFrom(...TRAPS), { maxLength: 8 }),
    fc.constantFrom(0, 0, 0, 0, 0, 1, -1, 9),
    fc.constantFrom('', ' LAST', ' last'),
  )
  .map(([pieces, more, last]) => {
    const text = pieces.join('')
    return `BDAT ${Math.max(0, text.length + more)}${last}\r\n${text}`
  })
const chunked = fc
  .tuple(fc.array(rcpt, { maxLength: 3 }), fc.array(chunk, { maxLength: 3 }))
  .map(([many, chunks]) =>
    [
      'MAIL FROM:<ann@example.net>',
      ...many,
      'RCPT TO:<bob@example.org>',
      `${chunks.join('')}BDAT 4 LAST`,
      'a\r\n.',
    ].join('\r\n'),
  )

/** A client. What it says before is a proper introduction most of the time. */
export const randomClient: fc.Arbitrary<RandomClient> = fc
  .record({
    hello: fc.constantFrom('EHLO client.example\r\nLHLO client.example\r\n', 'HELO x\r\n', ''),
    said: fc.array(
      fc.oneof(
        { weight: 6, arbitrary: command },
        { weight: 3, arbitrary: transaction },
        { weight: 2, arbitrary: chunked },
        { weight: 1, arbitrary: chunk },
        { weight: 1, arbitrary: message },
        { weight: 1, arbitrary: noise },
      ),
      { maxLength: 12 },
    ),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
  })
  .map(({ hello, said, cuts }) => ({ bytes: Buffer.from(hello + said.join(''), 'latin1'), cuts }))

const never = new AbortController().signal
const REPLY = /(?:(\d{3})-[^\r\n]*\r\n)*(\d{3}) [^\r\n]*\r\n/y

interface Session {
  send(bytes: Buffer): Promise<void>
  /** What the server has said since it was last asked. */
  heard(): string
  readonly over: boolean
  end(): Promise<void>
}

/** Plays a client against a server in memory. Throws where it does not behave. */
export async function meet(client: RandomClient, server: ConformanceServer): Promise<void> {
  const one = await unitByUnit(client.bytes, server)
  const other = await inPieces(client, server)
  if (one.said !== other.said) throw new Error(`cut into pieces it says\n${other.said}\ninstead of\n${one.said}`)
  const [wanted, got] = [JSON.stringify(one.deliveries), JSON.stringify(other.deliveries)]
  if (wanted !== got) throw new Error(`cut into pieces it delivers\n${got}\ninstead of\n${wanted}`)
  if (server.problems.length > 0) throw new Error(server.problems.join('\n'))
}

/** Whether the server still takes mail. */
export async function stillServes(server: ConformanceServer): Promise<void> {
  const hello = server.listener.url.startsWith('lmtp') ? 'LHLO' : 'EHLO'
  const session = `${hello} x\r\nMAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: hi\r\n.\r\nQUIT\r\n`
  const { said, deliveries } = await inPieces({ bytes: Buffer.from(session), cuts: [] }, server)
  if (deliveries.length !== 1 || !said.includes('\r\n221 ')) throw new Error(`the next client is not served:\n${said}`)
}

interface Result {
  readonly said: string
  readonly deliveries: readonly Delivery[]
}

async function unitByUnit(bytes: Buffer, server: ConformanceServer): Promise<Result> {
  const session = await open(server)
  let said = session.heard()
  const lmtp = server.listener.url.startsWith('lmtp')
  let recipients = 0
  for (let at = 0, inData = false, inAuth = false; at < bytes.length && !session.over; ) {
    const end = inData ? endOfData(bytes, at) : inAuth ? bytes.indexOf(10, at) + 1 : endOfCommand(bytes, at)
    const unit = bytes.subarray(at, end === 0 ? bytes.length : end)
    await session.send(unit)
    const answer = session.heard()
    const codes = codesOf(answer)
    said += answer
    const farewell = /^[45]/.test(codes.at(-2) ?? '') && codes.at(-1) === '421' ? 1 : 0
    const many = lmtp && (inData || (!inAuth && isLastChunk(unit) && codes.length === recipients + farewell))
    const wanted = (end === 0 ? 0 : many ? recipients : 1) + farewell
    if (codes.length !== wanted)
      throw new Error(
        `${JSON.stringify(unit.toString('latin1'))} is answered ${codes.length} times, not ${wanted}:\n${said}`,
      )
    if (/^(?:421|521|221)$/.test(codes.at(-1) ?? '') !== session.over && codes.at(-1) !== '554')
      throw new Error(`the connection is ${session.over ? 'closed' : 'open'} after ${answer}`)
    recipients = recipientsAfter(unit, answer, inData, recipients)
    inData = !inData && codes[0] === '354'
    inAuth = codes[0] === '334'
    at += unit.length
  }
  await session.end()
  said += session.heard()
  return { said: withoutIds(said), deliveries: await server.take() }
}

/** Counts what LMTP has to answer: recipients accepted in this transaction. */
function recipientsAfter(unit: Buffer, answer: string, inData: boolean, before: number): number {
  if (inData || isLastChunk(unit)) return 0
  const verb = unit.toString('latin1', 0, 4).toUpperCase()
  if (!answer.startsWith('250')) return before
  if (verb === 'RCPT') return before + 1
  return verb === 'NOOP' || verb === 'BDAT' ? before : 0
}

async function inPieces({ bytes, cuts }: RandomClient, server: ConformanceServer): Promise<Result> {
  const session = await open(server)
  const at = [...new Set([0, ...cuts.map((cut) => Math.floor(cut * bytes.length)), bytes.length])].sort((a, b) => a - b)
  for (let index = 1; index < at.length && !session.over; index++)
    await session.send(bytes.subarray(at[index - 1], at[index]))
  await session.end()
  const said = session.heard()
  codesOf(said)
  return { said: withoutIds(said), deliveries: await server.take() }
}

async function open(server: ConformanceServer): Promise<Session> {
  const wire = await server.net.connect(server.listener.address, { signal: never })
  let unread = ''
  let over = false
  const end = (): void => {
    over = true
  }
  wire.on('data', (bytes: Buffer) => {
    unread += bytes.toString('latin1')
  })
  for (const event of ['end', 'close', 'error']) wire.on(event, end)
  await settle()
  return {
    async send(bytes): Promise<void> {
      if (wire.writable) wire.write(bytes)
      await settle()
    },
    heard(): string {
      const text = unread
      unread = ''
      return text
    },
    get over(): boolean {
      return over
    },
    async end(): Promise<void> {
      if (wire.writable) wire.end()
      await settle()
      wire.destroy()
      await settle()
      if (server.listener.connections > 0) throw new Error('the connection does not end')
    },
  }
}

/** The codes of whole replies; anything else than whole replies in printable text is an error. */
function codesOf(said: string): string[] {
  const codes: string[] = []
  REPLY.lastIndex = 0
  while (REPLY.lastIndex < said.length) {
    const reply = REPLY.exec(said)
    if (reply === null || (reply[1] ?? reply[2]) !== reply[2] || /[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]/.test(reply[0]))
      throw new Error(`no reply: ${JSON.stringify(said)}`)
    codes.push(reply[2]!)
  }
  return codes
}

const CHUNK = /^BDAT (\d{1,15})( +LAST)? *\r\n/i

/** Just behind the line, and the octets of the chunk that it announces; or 0. */
function endOfCommand(bytes: Buffer, from: number): number {
  const end = bytes.indexOf(10, from) + 1
  const size = CHUNK.exec(bytes.toString('latin1', from, end))?.[1]
  if (end === 0 || size === undefined) return end
  return end + Number(size) <= bytes.length ? end + Number(size) : 0
}

function isLastChunk(unit: Buffer): boolean {
  return CHUNK.exec(unit.toString('latin1', 0, 40))?.[2] !== undefined
}

/** Just behind the final dot, or 0. */
function endOfData(bytes: Buffer, from: number): number {
  if (bytes.subarray(from, from + 3).toString('latin1') === '.\r\n') return from + 3
  const end = bytes.indexOf('\r\n.\r\n', from, 'latin1')
  return end < 0 ? 0 : end + 5
}

function withoutIds(said: string): string {
  return said.replace(/queued as \w+/g, 'queued as ID')
}
