/**
 * Mail that can tell whether it arrived whole: a Message-ID to know it by, and a field with the SHA-256 of its body.
 * Whatever a server puts on top of the header does not matter.
 */
import { createHash } from 'node:crypto'
import { type Random, randomInt } from '@mailwright/core'

const LINE = 76

/**
 * A message of about `bodySize` bytes, with lines that begin with dots among them.
 *
 * @example
 * const bytes = writeLetter('17@test', 4_096, seededRandom(1))
 */
export function writeLetter(id: string, bodySize: number, random: Random): Buffer {
  const text = Buffer.from(random.bytes(Math.ceil(Math.min(bodySize, 65_536) * 0.75))).toString('base64')
  const lines: string[] = []
  for (let size = 0; size < bodySize; ) {
    const at = randomInt(random, Math.max(1, text.length - LINE))
    const line = `${randomInt(random, 20) === 0 ? '..'.slice(randomInt(random, 2)) : ''}${text.slice(at, at + LINE)}`
    lines.push(line)
    size += line.length + 2
  }
  const body = Buffer.from(lines.map((line) => `${line}\r\n`).join(''))
  const head = [`Message-ID: <${id}>`, 'Subject: a letter', `X-Body-SHA256: ${hashOf(body)}`]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body])
}

export interface ReadLetter {
  /** Undefined when there is no Message-ID. */
  readonly id: string | undefined
  /** Whether the body is the one that was written. */
  readonly intact: boolean
}

/** What arrived. */
export function readLetter(bytes: Uint8Array): ReadLetter {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const gap = buffer.indexOf('\r\n\r\n')
  const head = buffer.toString('latin1', 0, gap < 0 ? buffer.length : gap + 2)
  const id = /^Message-ID: <([^>]+)>\r$/m.exec(head)?.[1]
  const hash = /^X-Body-SHA256: ([0-9a-f]{64})\r$/m.exec(head)?.[1]
  return { id, intact: gap >= 0 && hash === hashOf(buffer.subarray(gap + 4)) }
}

function hashOf(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex')
}
