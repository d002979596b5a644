/**
 * Mail of many kinds, made anew each time and always the same. Bytes are as a client sends them after DATA, before
 * dot-stuffing: CRLF line ends, and a last line that may lack its own. There is no bare CR, bare LF or NUL in it: the
 * relay refuses those, and that is tested elsewhere.
 */
import { createHash } from 'node:crypto'

export interface CorpusMessage {
  /** Says what is peculiar about it; also the recipient's local part, so that it can be found again. */
  readonly name: string
  readonly bytes: Buffer
}

const HEAD = 'From: Ann <ann@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: corpus\r\n\r\n'
const KIB = 1024
const MIB = 1024 * KIB

/** Every message but the largest. */
export const corpus: readonly CorpusMessage[] = [
  ...shapes(),
  ...bodies(),
  ...dots(),
  ...heads(),
  ...structures(),
  ...sizes(),
]

/** Those that take their time. */
export const largeCorpus: readonly CorpusMessage[] = [
  message('1-megabyte', withBody(MIB)),
  message('1-megabyte-of-dots', Buffer.from(HEAD + '.\r\n..\r\n'.repeat(MIB / 7))),
  message('10-megabytes', withBody(10 * MIB)),
  message('30-megabytes', withBody(30 * MIB)),
]

/** What a server gets: SMTP ends every message with a line end (RFC 5321 §4.1.1.4). */
export function asSent(bytes: Buffer): Buffer {
  return bytes.length === 0 || bytes.subarray(-2).equals(Buffer.from('\r\n'))
    ? bytes
    : Buffer.concat([bytes, Buffer.from('\r\n')])
}

/**
 * What must be in a mailbox below the fields that were added on the way. Fields on top of a message that has none need an
 * empty line below them, and so does a head that is not ended by one: otherwise the fields would run into the body.
 */
export function asDelivered(bytes: Buffer): Buffer {
  const sent = asSent(bytes)
  const firstLine = sent.subarray(0, Math.max(0, sent.indexOf('\n'))).toString('latin1')
  if (sent.length === 0) return Buffer.from('\r\n')
  if (firstLine === '\r') return sent
  if (!/^(?:[\x21-\x39\x3b-\x7e]+[ \t]*:|>?From )/.test(firstLine)) return Buffer.concat([Buffer.from('\r\n'), sent])
  return sent.includes('\r\n\r\n') ? sent : Buffer.concat([sent, Buffer.from('\r\n')])
}

function message(name: string, content: string | Buffer): CorpusMessage {
  return { name, bytes: typeof content === 'string' ? Buffer.from(content) : content }
}

/** Messages that lack something. */
function shapes(): CorpusMessage[] {
  return [
    message('plain', `${HEAD}Hello.\r\n`),
    message('no-bytes', ''),
    message('one-byte', 'x'),
    message('one-dot', '.'),
    message('one-line-end', '\r\n'),
    message('only-empty-lines', '\r\n\r\n\r\n'),
    message('body-without-head', 'No header field at all\r\nand a second line\r\n'),
    message('body-below-an-empty-line', '\r\nJust a body.\r\n'),
    message('blank-before-the-first-field', ' Not: a field\r\nSubject: nor this\r\n\r\nbody\r\n'),
    message('empty-body', HEAD),
    message('head-without-empty-line', 'From: Ann <ann@example.org>\r\nSubject: only a head\r\n'),
    message('head-without-any-line-end', 'Subject: only a head'),
    message('body-without-last-line-end', `${HEAD}The last line is not ended`),
    message('body-of-empty-lines', HEAD + '\r\n'.repeat(50)),
    message('one-field', 'Subject: x\r\n\r\nbody\r\n'),
  ]
}

/** Lines and bytes that something on the way might touch. */
function bodies(): CorpusMessage[] {
  const longest = 'x'.repeat(998)
  return [
    message('longest-line', `${HEAD}${longest}\r\n`),
    message('many-longest-lines', HEAD + `${longest}\r\n`.repeat(40)),
    message('longest-line-that-begins-with-a-dot', `${HEAD}.${longest.slice(1)}\r\n`),
    message('line-beyond-the-limit', `${HEAD}${'y'.repeat(5_000)}\r\n`),
    message('trailing-blanks', `${HEAD}two  \r\ntab\t\r\n   \r\n\t\r\nend \r\n`),
    message('from-lines', `${HEAD}From here on\r\n>From there\r\nFrom ann Sun Nov 22 2026\r\n`),
    message('words-of-smtp', `${HEAD}QUIT\r\nRSET\r\nMAIL FROM:<a@example.org>\r\nDATA\r\n250 OK\r\n`),
    message('latin-1', Buffer.from(`${HEAD}Gr\xfc\xdfe aus K\xf6ln\r\n`, 'latin1')),
    message('utf-8', `${HEAD}Grüße aus Köln, 東京, 🚀\r\n`),
    message('every-byte', Buffer.concat([Buffer.from(HEAD), everyByte(20)])),
    message('every-byte-in-long-lines', Buffer.concat([Buffer.from(HEAD), everyByte(3)])),
    message('high-bytes-only', Buffer.concat([Buffer.from(HEAD), lines(highBytes(8_000), 500)])),
    message('control-characters', Buffer.from(`${HEAD}\x01\x02\x07\x08\x0b\x0c\x1a\x1b[31mred\x7f\r\n`, 'latin1')),
    message('cut-utf-8', Buffer.from(`${HEAD}\xe2\x82\r\n\xf0\x9f\x9a\r\n\xff\xfe\r\n`, 'latin1')),
    message('telnet-bytes', Buffer.from(`${HEAD}\xff\xf4\xff\xfd\x06\r\n`, 'latin1')),
  ]
}

/** Dots at the beginning of lines, which are doubled on the wire (RFC 5321 §4.5.2). */
function dots(): CorpusMessage[] {
  return [
    message('dot', `${HEAD}.\r\n`),
    message('two-dots', `${HEAD}..\r\n`),
    message('dot-and-text', `${HEAD}.hidden\r\n..hidden\r\n...hidden\r\n`),
    message('only-dots', HEAD + '.\r\n'.repeat(100)),
    message('dots-of-all-lengths', HEAD + Array.from({ length: 80 }, (_, n) => `${'.'.repeat(n)}\r\n`).join('')),
    message('dot-without-line-end', `${HEAD}text\r\n.`),
    message('dot-as-the-first-byte', '.starts with a dot\r\n'),
    message('dot-between-empty-lines', `${HEAD}\r\n.\r\n\r\n.\r\n\r\n`),
    message('dots-over-many-chunks', HEAD + '.\r\n..\r\n.x\r\n'.repeat(9_000)),
  ]
}

/** Header blocks. */
function heads(): CorpusMessage[] {
  const hops = Array.from(
    { length: 48 },
    (_, n) => `Received: from a${n}.example.org by b${n}.example.org;\r\n\tSun, 22 Nov 2026 10:00:00 +0000\r\n`,
  )
  const folds = Array.from(
    { length: 1_655 },
    (_, n) => `\r\n\t<${n}.0123456789012345678901234567890123456789@example.org>`,
  )
  return [
    message('utf-8-header', `From: Jürgen <juergen@example.org>\r\nSubject: Grüße, 東京\r\n\r\nbody\r\n`),
    message('latin-1-header', Buffer.from('Subject: Gr\xfc\xdfe\r\n\r\nbody\r\n', 'latin1')),
    message('encoded-words', 'Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n =?utf-8?Q?_aus_K=C3=B6ln?=\r\n\r\nbody\r\n'),
    message('folded-fields', 'Subject: one\r\n two\r\n\tthree\r\n  \t four\r\nX-Empty:\r\n\r\nbody\r\n'),
    message('fold-of-blanks-only', 'Subject: one\r\n \r\n\t\r\n two\r\n\r\nbody\r\n'),
    message('trailing-blanks-in-head', 'Subject: spaces   \r\nX-Tab:\ttab\t\r\n\r\nbody\r\n'),
    message('blanks-before-the-colon', 'Subject : odd\r\nX-Odd\t: odder\r\n\r\nbody\r\n'),
    message(
      'odd-case-and-order',
      'sUBJECT: a\r\nDATE: x\r\nsubject: twice\r\nMESSAGE-ID: <1@example.org>\r\n\r\nbody\r\n',
    ),
    message('line-that-is-no-field', 'Subject: a\r\nno field here\r\nX-After: b\r\n\r\nbody\r\n'),
    message('mailbox-line-first', 'From ann@example.org Sun Nov 22 10:00:00 2026\r\nSubject: a\r\n\r\nbody\r\n'),
    message('many-received-fields', `${hops.join('')}${HEAD}body\r\n`),
    message('thousand-fields', `${Array.from({ length: 1_000 }, (_, n) => `X-${n}: ${n}\r\n`).join('')}\r\nbody\r\n`),
    message('head-near-the-limit', `Subject: long\r\nReferences:${folds.join('')}\r\n\r\nbody\r\n`),
    message('long-unfolded-field', `X-Long: ${'z'.repeat(20_000)}\r\n\r\nbody\r\n`),
    message(
      'signed',
      `DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x;\r\n\tb=AbC/+=;\r\n bh=xyz\r\n${HEAD}body\r\n\r\n\r\n`,
    ),
  ]
}

/** Bodies with an inner structure, which is nobody's business on the way. */
function structures(): CorpusMessage[] {
  const attachment = lines(Buffer.from(noise(60_000).toString('base64')), 76)
  const mixed = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="=_b"\r\nSubject: parts\r\n\r\n'
  const part = (type: string, content: string): string => `--=_b\r\nContent-Type: ${type}\r\n\r\n${content}\r\n`
  return [
    message(
      'multipart',
      `${mixed}preamble\r\n${part('text/plain', 'text')}${part('text/html', '<p>html</p>')}--=_b--\r\nepilogue\r\n`,
    ),
    message(
      'base64-attachment',
      `${mixed}${part('application/pdf\r\nContent-Transfer-Encoding: base64', attachment.toString())}--=_b--\r\n`,
    ),
    message('message-in-a-message', `${mixed}${part('message/rfc822', `${HEAD}inner\r\n.\r\n`)}--=_b--\r\n`),
    message(
      'quoted-printable',
      `Content-Transfer-Encoding: quoted-printable\r\n${HEAD}=46rom=20here=\r\n on=3D=\r\n.\r\n`,
    ),
    message('flowed', `Content-Type: text/plain; format=flowed\r\n${HEAD}flows \r\non and \r\n-- \r\nAnn\r\n`),
  ]
}

/** Sizes around buffers and limits: 16 and 64 KiB are chunks, 128 KiB is where a body leaves memory. */
function sizes(): CorpusMessage[] {
  const around = [16 * KIB, 64 * KIB, 128 * KIB].flatMap((size) => [size - 1, size, size + 1])
  const whole = [128 * KIB - 1, 128 * KIB, 128 * KIB + 1]
  return [
    ...around.map((size) => message(`body-of-${size}`, withBody(size))),
    ...whole.map((size) => message(`message-of-${size}`, withBody(size - HEAD.length))),
    message('body-of-300000', withBody(300_000)),
  ]
}

function withBody(size: number): Buffer {
  return Buffer.concat([Buffer.from(HEAD), bodyOf(size)])
}

/** Text of exactly this many bytes: lines of changing length, many of them with dots in front. */
function bodyOf(size: number): Buffer {
  const body = Buffer.alloc(size)
  let at = 0
  for (let line = 0; size - at > 2; line++) {
    // Never one byte left over: it could not be a line end.
    let length = Math.min(2 + ((line * 37) % 97), size - at)
    if (size - at - length === 1) length -= length > 2 ? 1 : -1
    const text = `${'.'.repeat(line % 4)}${line} abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghijkl`
    body.write(text.slice(0, length - 2), at, 'latin1')
    body.write('\r\n', at + length - 2, 'latin1')
    at += length
  }
  if (size - at === 2) body.write('\r\n', at, 'latin1')
  return body
}

/** All bytes but NUL, CR and LF, in an order that changes with each of the lines. */
function everyByte(count: number): Buffer {
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => ![0, 10, 13].includes(byte)))
  const rotated = Array.from({ length: count }, (_, n) => {
    const at = (n * 53) % all.length
    return Buffer.concat([all.subarray(at), all.subarray(0, at), Buffer.from('\r\n')])
  })
  return Buffer.concat(rotated)
}

function highBytes(size: number): Buffer {
  return noise(size).map((byte) => byte | 0x80) as Buffer
}

/** Bytes without a pattern, always the same ones. */
function noise(size: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 32) }, (_, n) =>
    createHash('sha256').update(`block ${n}`).digest(),
  )
  return Buffer.concat(blocks).subarray(0, size)
}

/** Broken into lines. */
function lines(bytes: Buffer, width: number): Buffer {
  const broken: Buffer[] = []
  for (let at = 0; at < bytes.length; at += width) broken.push(bytes.subarray(at, at + width), Buffer.from('\r\n'))
  return Buffer.concat(broken)
}
