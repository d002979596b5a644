/**
 * What clients do that they should not, each as one session. `answer` is what the server may say to it: the codes of all
 * its replies, in order. An offence returns when it has done its worst; whoever commits it hangs up afterwards.
 */
import { type Random, randomInt } from '@mailwright/core'
import type { Farewell, RawClient } from '../support/raw-client.ts'
import { ask, clientHello, ENVELOPE, flood, greet, HELLO, type Scene, stuffed, submit } from './speech.ts'
import { INLINE_LIMIT, MAX_SIZE } from './target.ts'

export interface Offence {
  readonly name: string
  /** How often it is committed in a mix, against the others. */
  readonly weight: number
  readonly answer: RegExp
  /** What the server says is not text from some point on: TLS. */
  readonly speech?: 'binary'
  commit(client: RawClient, scene: Scene): Promise<void>
}

/** The server may have got as far as any of these replies when the client was gone. */
function upTo(codes: string): RegExp {
  return new RegExp(
    `^${codes.split(' ').reduceRight((rest, code, at) => `(?:${at > 0 ? ' ' : ''}${code}${rest})?`, '')}$`,
  )
}

function oneOf<T>(random: Random, choices: readonly T[]): T {
  return choices[randomInt(random, choices.length)]!
}

function letterSize(random: Random): number {
  return randomInt(random, 20) === 0 ? INLINE_LIMIT + randomInt(random, 200_000) : randomInt(random, 5_000)
}

function commands(name: string, lines: readonly string[], answer: RegExp, weight = 3): Offence {
  return {
    name,
    weight,
    answer,
    async commit(client) {
      await greet(client)
      await ask(client, lines.map((line) => `${line}\r\n`).join(''))
    },
  }
}

export const OFFENCES: readonly Offence[] = [
  {
    name: 'mail, as it should be',
    weight: 30,
    answer: /^220 250( 250 250 354 250){1,4} 221$/,
    async commit(client, scene) {
      await greet(client)
      for (let count = 1 + randomInt(scene.random, 3); count > 0; count--)
        await submit(client, scene, scene.ledger.write(letterSize(scene.random)))
      await ask(client, 'QUIT\r\n')
    },
  },
  {
    name: 'a whole session in one packet',
    weight: 5,
    answer: /^220 250 250 250 354 250 221$/,
    async commit(client, { ledger, random }) {
      const letter = ledger.write(randomInt(random, 4_000))
      await client.reply()
      client.send(Buffer.concat([Buffer.from(`${HELLO}${ENVELOPE}DATA\r\n`), stuffed(letter), Buffer.from('QUIT\r\n')]))
      await client.ended()
      if (/^220 250 250 250 354 250/.test(client.codes)) ledger.promise(letter)
    },
  },
  {
    name: 'a session cut off at any byte',
    weight: 20,
    answer: upTo('220 250 250 250 354 250 221'),
    async commit(client, { ledger, random }) {
      const letter = ledger.write(randomInt(random, 300))
      const session = Buffer.concat([
        Buffer.from(`${HELLO}${ENVELOPE}DATA\r\n`),
        stuffed(letter),
        Buffer.from('QUIT\r\n'),
      ])
      const how = oneOf<Farewell>(random, ['end', 'destroy', 'reset'])
      await client.reply()
      client.send(session.subarray(0, randomInt(random, session.length + 1)))
      client.leave(how)
      await client.ended()
      if (/^220 250 250 250 354 250/.test(client.codes)) ledger.promise(letter)
    },
  },
  {
    name: 'a connection, and not a word',
    weight: 5,
    answer: /^(220)?$/,
    commit: async (client, { random }) => client.leave(oneOf<Farewell>(random, ['end', 'destroy', 'reset'])),
  },
  {
    name: 'HTTP',
    weight: 3,
    answer: /^220 554$/,
    async commit(client) {
      client.send('POST /login HTTP/1.1\r\nHost: mx.example.org\r\nContent-Length: 12\r\n\r\nMAIL FROM:<>')
      await client.ended()
    },
  },
  {
    name: 'TLS on the clear-text port',
    weight: 3,
    answer: /^220( 500)*( 421)?$/,
    async commit(client, { random }) {
      client.send(clientHello(random))
    },
  },
  {
    name: 'binary junk',
    weight: 5,
    answer: /^220( 500)*( 421)?$/,
    async commit(client, { random }) {
      await client.pour(random.bytes(1 + randomInt(random, 40_000)))
    },
  },
  {
    name: 'control characters and half UTF-8 in commands',
    weight: 3,
    answer: /^220 250 500 500 500 500 250$/,
    async commit(client) {
      await greet(client)
      client.send(
        Buffer.concat([
          Buffer.from('MAIL FROM:<a\0b@example.net>\r\nMAIL FROM:<a\x1bb@example.net>\r\nMAIL FROM:<'),
          Buffer.from([0xc3, 0x28, 0xff]),
          Buffer.from('@example.net>\r\nMAIL\rFROM:<x@example.net>\r\nNOOP\r\n'),
        ]),
      )
      for (let count = 5; count > 0; count--) await client.reply()
    },
  },
  commands('a line of 3,000 octets', [`MAIL FROM:<${'a'.repeat(3_000)}@example.net>`, 'NOOP'], /^220 250 500 250$/),
  {
    name: 'a line that never ends',
    weight: 2,
    answer: /^220 250 421$/,
    async commit(client) {
      await greet(client)
      await flood(client, 'A', 10_000_000)
    },
  },
  commands(
    'malformed commands',
    [
      'MAIL',
      'MAIL FROM',
      'MAIL FROM:',
      'MAIL FROM:ann example.net',
      'MAIL FROM:<ann@example.net',
      'MAIL FROM:<@@>',
      'MAIL FROM:<ann@example.net> SIZE=x',
      'MAIL FROM:<ann@example.net> FOO=1',
      'RCPT TO:<bob@example.org>',
      'DATA',
      'RCPT',
      'HELO',
      'EHLO two words',
      'XYZZY',
      'VRFY',
    ],
    /^220 250( 5\d\d){15}$/,
  ),
  commands('twenty-one mistakes', Array(21).fill('XYZZY'), /^220 250( 500){20} 421$/),
  commands('a hundred and one commands that move no mail', Array(102).fill('RSET'), /^220 250( 250){99,100} 421$/),
  commands(
    'commands out of order',
    ['MAIL FROM:<ann@example.net>', 'MAIL FROM:<ann@example.net>', 'DATA', 'RSET', 'RCPT TO:<bob@example.org>', 'DATA'],
    /^220 250 250 503 554 250 503 503$/,
  ),
  commands('BDAT', ['MAIL FROM:<ann@example.net>', 'BDAT 3 LAST', 'abcNOOP'], /^220 250 250 554 250$/),
  commands('a declared size beyond the limit', [`MAIL FROM:<ann@example.net> SIZE=${MAX_SIZE + 1}`], /^220 250 552$/),
  commands('bare line feeds', ['NOOP\nNOOP\nNOOP\nNOOP\nNOOP'], /^220 250 500 500 500 421$/),
  {
    name: 'a message behind a refused DATA',
    weight: 5,
    answer: /^220 250 250 550 554( 5\d\d)*( 421)?$/,
    async commit(client, { ledger, random }) {
      const letter = ledger.write(randomInt(random, 3_000))
      await greet(client)
      client.send(
        Buffer.concat([
          Buffer.from('MAIL FROM:<ann@example.net>\r\nRCPT TO:<x@nobody.example>\r\nDATA\r\n'),
          stuffed(letter),
        ]),
      )
    },
  },
  {
    name: 'a thousand and fifty recipients',
    weight: 0.3,
    answer: /^220 250 250( 250){1000}( 452){50} 354 250$/,
    async commit(client, { ledger, random }) {
      const letter = ledger.write(randomInt(random, 3_000))
      const all = Array.from({ length: 1_050 }, (_, index) => `RCPT TO:<user${index}@example.org>\r\n`).join('')
      await greet(client)
      const replies = await ask(client, `MAIL FROM:<ann@example.net>\r\n${all}DATA\r\n`)
      if (replies.at(-1)?.startsWith('354') !== true) return
      await client.pour(stuffed(letter))
      if ((await client.reply())?.startsWith('250')) ledger.promise(letter)
    },
  },
  {
    name: 'a message a little too large, and then a good one',
    weight: 1,
    answer: /^220 250 250 250 354 552 250 250 354 250$/,
    async commit(client, scene) {
      await greet(client)
      await submit(client, scene, scene.ledger.write(MAX_SIZE + 10_000))
      await submit(client, scene, scene.ledger.write(1_000))
    },
  },
  {
    name: 'a message that never ends',
    weight: 1,
    answer: /^220 250 250 250 354 552$/,
    async commit(client) {
      await greet(client)
      await ask(client, `${ENVELOPE}DATA\r\n`)
      client.send('Subject: x\r\n\r\n')
      await flood(client, 'All work and no play makes Jack a dull boy.\r\n', 100_000_000)
    },
  },
  {
    name: 'a header that never ends',
    weight: 1,
    answer: /^220 250 250 250 354 552$/,
    async commit(client) {
      await greet(client)
      await ask(client, `${ENVELOPE}DATA\r\n`)
      await flood(client, 'X-More: and more\r\n', 100_000_000)
    },
  },
  {
    name: 'a header line that never ends',
    weight: 1,
    answer: /^220 250 250 250 354 552$/,
    async commit(client) {
      await greet(client)
      await ask(client, `${ENVELOPE}DATA\r\n`)
      client.send('Subject: ')
      await flood(client, 'x', 100_000_000)
    },
  },
  {
    name: 'NUL, bare CR and bare LF in messages',
    weight: 3,
    answer: /^220 250( 250 250 354 550){3}$/,
    async commit(client) {
      await greet(client)
      for (const bad of ['\0', 'a\rb', 'a\nb']) {
        await ask(client, `${ENVELOPE}DATA\r\n`)
        client.send(`Subject: x\r\n\r\n${bad}\r\n.\r\n`)
        await client.reply()
      }
    },
  },
  {
    name: 'data that stops half way',
    weight: 5,
    answer: upTo('220 250 250 250 354'),
    async commit(client, { ledger, random }) {
      const bytes = stuffed(ledger.write(letterSize(random)))
      await greet(client)
      await ask(client, `${ENVELOPE}DATA\r\n`)
      await client.pour(bytes.subarray(0, randomInt(random, bytes.length - 5)))
      client.leave(oneOf<Farewell>(random, ['end', 'destroy', 'reset']))
    },
  },
  {
    name: 'replies that nobody reads',
    weight: 0.3,
    answer: /^220 250 250( 550)*$/,
    async commit(client) {
      await greet(client)
      await ask(client, 'MAIL FROM:<ann@example.net>\r\n')
      client.wire.pause()
      client.send('RCPT TO:<x@nobody.example>\r\n'.repeat(100_000))
      await new Promise((resolve) => setImmediate(resolve))
      client.leave('reset')
    },
  },
  {
    name: 'junk in place of a TLS handshake',
    weight: 2,
    answer: /^220 250 220( |$)/,
    speech: 'binary',
    async commit(client, { random }) {
      await greet(client)
      await ask(client, 'STARTTLS\r\n')
      // Not what could be the beginning of a record: for the rest of that a server may wait.
      client.send(Buffer.concat([Buffer.from('MAIL FROM:<>\r\n'), random.bytes(500)]))
      await client.ended()
    },
  },
  {
    name: 'a TLS handshake that is left half way',
    weight: 2,
    answer: /^220 250 220( |$)/,
    speech: 'binary',
    async commit(client, { random }) {
      await greet(client)
      await ask(client, 'STARTTLS\r\n')
      client.send(clientHello(random).subarray(0, 100))
      await new Promise((resolve) => setImmediate(resolve))
      client.leave(oneOf<Farewell>(random, ['end', 'destroy', 'reset']))
    },
  },
]

const SPEECH = /^(?:\d{3}[ -][\x20-\x7e]*\r\n)*$/

/** Commits an offence, hangs up, and waits for the end. What the server did wrong, or undefined. */
export async function commit(offence: Offence, client: RawClient, scene: Scene): Promise<string | undefined> {
  await offence.commit(client, scene)
  if (!client.over) client.leave('end')
  await client.ended()
  return offence.speech === 'binary' || SPEECH.test(client.said)
    ? undefined
    : `not SMTP: ${JSON.stringify(client.said)}`
}

/** An offence drawn from all of them, by weight. */
export function drawOffence(random: Random): Offence {
  let left = random.float() * OFFENCES.reduce((sum, { weight }) => sum + weight, 0)
  for (const offence of OFFENCES) {
    left -= offence.weight
    if (left < 0) return offence
  }
  return OFFENCES[0]!
}
