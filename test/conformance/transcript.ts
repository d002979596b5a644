/**
 * Transcripts of SMTP dialogues as text: what a client says, what the server must answer, and what must be delivered.
 *
 *     file: RFC 1870, message size        the title of the file; its options hold for every dialogue in it
 *     pending: why                        all of it is a plan, not yet a promise; also allowed in one dialogue
 *     server: protocol=lmtp tls           the server it runs against: see `servers.ts`
 *     setup: ehlo                         which lines come first: none, greeting (default), or a name from SETUPS
 *
 *     === §4 a size that is too large is refused at MAIL
 *     each: 1001                          optional, repeated: one dialogue for each value, which stands for {}
 *     alone: why                          the bytes may not be cut or pipelined: only turn by turn, each turn whole
 *     C: MAIL FROM:<ann@example.net> SIZE={}      a line, CRLF is added; nothing in it is an escape
 *     B: NOOP\r\nNO\x00                           bytes; \r \n \t \\ \xNN are escapes, nothing is added
 *     C*25: FOO                                   the same line 25 times (B and S too)
 *     S: 552 5.3.4 …                              one line of an answer; … is any text within the line
 *     S: 250* SIZE 1000 | !DSN                    a whole answer, of any number of lines; holds a line, lacks another
 *     S: <closed>                                 the server has ended the connection
 *     ! starttls                                  a handshake; also: ! wait 5m, ! close (FIN), ! vanish (RST),
 *                                                 ! silence (nothing has come; in memory only, so beside ! wait),
 *                                                 ! stop (the server is told to stop; it is then nobody else's)
 *     D: <ann@example.net> -> <bob@example.org>   delivered, in order; without any D nothing may be delivered
 *     D> Subject: hi\r\n\r\nHello\r\n             the bytes of that message below our Received field, in as many lines as needed
 *
 * Lines that begin with `#` are notes. It only reads; a line it does not know is an error with its number.
 */
import { MailwrightError } from '@mailwright/core'

export type Step =
  | { readonly kind: 'say'; readonly bytes: Buffer }
  | { readonly kind: 'hear'; readonly line: string }
  | { readonly kind: 'closed' }
  | { readonly kind: 'do'; readonly action: string; readonly argument: string }

/** A delivery that must have happened. */
export interface WantedDelivery {
  readonly envelope: string
  /** Latin-1; undefined when any will do. */
  readonly message: string | undefined
}

export interface WireDialogue {
  readonly name: string
  readonly server: string
  readonly steps: readonly Step[]
  readonly deliveries: readonly WantedDelivery[]
  readonly pending: string | undefined
  readonly alone: string | undefined
}

export interface TranscriptFile {
  readonly title: string
  readonly dialogues: readonly WireDialogue[]
}

const EHLO = ['S: 220 …', 'C: EHLO client.example', 'S: 250*']
const MAIL = [...EHLO, 'C: MAIL FROM:<ann@example.net>', 'S: 250 2.1.0 …']
const RCPT = [...MAIL, 'C: RCPT TO:<bob@example.org>', 'S: 250 2.1.5 …']
const LHLO = ['S: 220 …', 'C: LHLO client.example', 'S: 250*']

/** How dialogues begin. */
export const SETUPS: Readonly<Record<string, readonly string[]>> = {
  none: [],
  greeting: ['S: 220 …'],
  helo: ['S: 220 …', 'C: HELO client.example', 'S: 250 …'],
  ehlo: EHLO,
  mail: MAIL,
  rcpt: RCPT,
  data: [...RCPT, 'C: DATA', 'S: 354 …'],
  lhlo: LHLO,
  lmtp: [...LHLO, 'C: MAIL FROM:<ann@example.net>', 'S: 250 2.1.0 …'],
  tls: [...EHLO, 'C: STARTTLS', 'S: 220 2.0.0 …', '! starttls'],
  secure: [...EHLO, 'C: STARTTLS', 'S: 220 2.0.0 …', '! starttls', 'C: EHLO client.example', 'S: 250*'],
}

interface Draft {
  name: string
  server: string
  setup: string
  pending: string | undefined
  alone: string | undefined
  readonly values: string[]
  readonly lines: { readonly text: string; readonly at: number }[]
}

/** Reads a file of transcripts. @throws MailwrightError for a line that is none of the above. */
export function parseTranscripts(text: string, from: string): TranscriptFile {
  const file: Draft = draft({ name: from, server: '', setup: 'greeting', pending: undefined })
  const drafts: Draft[] = []
  let current = file
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const option = /^(file|pending|server|setup|alone|each): ?(.*)$/.exec(line)
    if (line.startsWith('=== ')) {
      current = draft({ ...file, name: line.slice(4) })
      drafts.push(current)
    } else if (option === null && current !== file) current.lines.push({ text: line, at: index + 1 })
    else if (option?.[1] === 'each') current.values.push(option[2]!)
    else if (option !== null) current[option[1] === 'file' ? 'name' : (option[1] as 'server')] = option[2]!
    else throw unknown(from, index + 1, line)
  }
  return { title: file.name, dialogues: drafts.flatMap((each) => dialoguesOf(each, from)) }
}

function draft(given: Pick<Draft, 'name' | 'server' | 'setup' | 'pending'>): Draft {
  const { name, server, setup, pending } = given
  return { name, server, setup, pending, alone: undefined, values: [], lines: [] }
}

function dialoguesOf(each: Draft, from: string): WireDialogue[] {
  const setup = SETUPS[each.setup]
  if (setup === undefined) throw unknown(from, each.lines[0]?.at ?? 0, `setup: ${each.setup}`)
  const values = each.values.length === 0 ? [''] : each.values
  return values.map((value) => {
    const steps: Step[] = []
    const deliveries: { envelope: string; message: string | undefined }[] = []
    const filled = each.lines.map(({ text, at }) => ({ text: text.replaceAll('{}', () => value), at }))
    for (const { text, at } of [...setup.map((line) => ({ text: line, at: 0 })), ...filled]) {
      if (text.startsWith('D: ')) deliveries.push({ envelope: text.slice(3), message: undefined })
      else if (text.startsWith('D> ') && deliveries.length > 0) {
        const last = deliveries.at(-1)!
        last.message = (last.message ?? '') + unescaped(text.slice(3)).toString('latin1')
      } else steps.push(...stepsOf(text, () => unknown(from, at, text)))
    }
    const name = each.values.length === 0 ? each.name : each.name.replaceAll('{}', () => value)
    const { server, pending, alone } = each
    return { name, server, steps, deliveries, pending, alone }
  })
}

function stepsOf(text: string, problem: () => MailwrightError): Step[] {
  const action = /^! (starttls|wait|silence|close|vanish|stop)(?: (.+))?$/.exec(text)
  if (action !== null) return [{ kind: 'do', action: action[1]!, argument: action[2] ?? '' }]
  const parts = /^([CBS])(?:\*(\d+))?: ?(.*)$/.exec(text)
  if (parts === null) throw problem()
  const said = parts[3]!
  const step: Step =
    parts[1] === 'C'
      ? { kind: 'say', bytes: Buffer.from(`${said}\r\n`) }
      : parts[1] === 'B'
        ? { kind: 'say', bytes: unescaped(said) }
        : said === '<closed>'
          ? { kind: 'closed' }
          : { kind: 'hear', line: said }
  return Array.from({ length: Number(parts[2] ?? 1) }, () => step)
}

function unescaped(text: string): Buffer {
  const parts = text.split(/(\\x[0-9a-fA-F]{2}|\\.)/).map((part, index) => {
    if (index % 2 === 0) return Buffer.from(part)
    if (part.startsWith('\\x')) return Buffer.from(part.slice(2), 'hex')
    const plain: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '0': '\0' }
    return Buffer.from(plain[part[1]!] ?? part[1]!)
  })
  return Buffer.concat(parts)
}

function unknown(from: string, line: number, text: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${from}:${line} is no line of a transcript: ${text}`)
}
