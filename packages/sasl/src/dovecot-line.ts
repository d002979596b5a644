/**
 * Lines of Dovecot's authentication protocol (client protocol 1.1): a command and its parameters, separated by tabs. What
 * could break a line is escaped, so nothing a client sends can add a parameter or a line.
 */
import { MailwrightError } from '@mailwright/core'

/** The longest line that is read: Dovecot's own limit for a request is lower. */
const MAX_LINE = 65_536

export interface DovecotLine {
  readonly command: string
  readonly parameters: readonly string[]
}

/** Writes a line. */
export function formatLine(command: string, parameters: readonly string[]): string {
  return `${[command, ...parameters.map(escaped)].join('\t')}\n`
}

const ESCAPES: Readonly<Record<string, string>> = { '\0': '0', '\x01': '1', '\t': 't', '\r': 'r', '\n': 'n' }

function escaped(text: string): string {
  return text.replace(/[\0\x01\t\r\n]/g, (character) => `\x01${ESCAPES[character]}`)
}

function unescaped(text: string): string {
  return text.replace(/\x01(.)/g, (_, letter: string) => {
    return Object.keys(ESCAPES).find((character) => ESCAPES[character] === letter) ?? letter
  })
}

/** Reads one. */
export function parseLine(line: string): DovecotLine {
  const [command = '', ...parameters] = line.split('\t').map(unescaped)
  return { command, parameters }
}

/** The value of `name=value`; empty for a bare `name`; undefined when it is not there. */
export function parameter(parameters: readonly string[], name: string): string | undefined {
  for (const each of parameters) {
    if (each === name) return ''
    if (each.startsWith(`${name}=`)) return each.slice(name.length + 1)
  }
  return undefined
}

/** Puts lines together from what arrives. Throws `ERR_MAILWRIGHT_PROTOCOL` for one without end. */
export function lineReader(take: (line: DovecotLine) => void): (chunk: Uint8Array) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = rest.toString('utf8', 0, end)
      rest = rest.subarray(end + 1)
      take(parseLine(line))
    }
    if (rest.length > MAX_LINE) throw new MailwrightError('ERR_MAILWRIGHT_PROTOCOL', 'a line of Dovecot without end')
  }
}
