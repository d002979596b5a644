/**
 * SMTP smuggling through a relay of ours to servers that would fall for it: each known way to end a message that is none
 * (RFC 5321 §4.1.1.4) with a second message behind it. What the next server hears is written down on the wire.
 */
import net from 'node:net'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { acceptAll } from '@mailwright/policy'
import { memoryStore, messageQueue } from '@mailwright/queue'
import { fixedRouter } from '@mailwright/router'
import { smtpListener } from '@mailwright/smtp-listener'
import { smtpTransport } from '@mailwright/smtp-transport'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type RawClient, rawClient } from '../support/raw-client.ts'
import { startPostfix } from './postfix.ts'
import { missing, notRoot } from './programs.ts'
import { smtpSink } from './smtp-sink.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { type HeardMessage, heardMessages, wireTap } from './wire-tap.ts'

const HOSTNAME = 'relay.example.org'
const SMUGGLED =
  'MAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n'

/** With a bare CR, a bare LF or a NUL: no message of ours has one. */
const BROKEN = [
  ...['\n.\n', '\n.\r', '\n.\r\n', '\r.\r', '\r.\n', '\r.\r\n', '\r\n.\n', '\r\n.\r', '\r\n.\r\r\n', '\n\n.\n\n'],
  ...['\r\r.\r\r', '\n\r.\r\n', '\r\n\r.\r\n', '\r\n\n.\r\n', '\r\r\n.\n', '\n\r\n.\n\r\n', '\r\n. \r', '\r\n. \n'],
  ...[
    '\r\n\0.\r\n',
    '\r\n.\0\r\n',
    '\r\n.\r\0\n',
    '\r\0\n.\r\n',
    '\0\r\n.\n',
    '\n.\x85',
    '\r\n.\n\r\n',
    '\x0b\r\n.\x0b\r',
  ],
] as const
/** Lines like any other. */
const TEXT = [
  '\r\n. \r\n',
  '\r\n.\t\r\n',
  '\r\n .\r\n',
  '\r\n..\r\n',
  '\x0b.\x0b',
  '\r\n.\x0c\r\n',
  '\r\n.\x85\r\n',
] as const

/** A server behind ours that takes everything, and what it says it has taken: the senders. */
type NextServer = () => Promise<{ readonly port: number; taken(): readonly string[] }>

const NEXT_SERVERS: readonly (readonly [string, boolean, NextServer])[] = [
  [
    "Postfix's smtp-sink",
    missing('smtp-sink'),
    async () => {
      const sink = await smtpSink(temporaryFolder())
      const senders = (dump: string): readonly string[] => dump.match(/(?<=^X-Mail-Args: <)[^>]*/gm) ?? []
      return { port: sink.port, taken: () => sink.read().flatMap(senders) }
    },
  ],
  [
    'Postfix',
    missing('postfix') || notRoot(),
    async () => {
      // So that every message is DATA on the wire.
      const settings = { default_transport: 'discard', smtpd_discard_ehlo_keywords: 'chunking' }
      const postfix = await startPostfix(temporaryFolder(), { settings })
      onTestFinished(() => postfix.stop())
      const taken = (): readonly string[] => postfix.log().match(/(?<=qmgr\[\d+\]: \w+: from=<)[^>]*/g) ?? []
      return { port: postfix.port, taken }
    },
  ],
]

async function startRelay(nextPort: number, lineEnds: 'reject' | 'normalize'): Promise<number> {
  const mta = createMta({ name: 'relay' })
  const queue = mta.use(
    messageQueue({
      hostname: HOSTNAME,
      store: memoryStore(),
      router: fixedRouter({ transport: 'smtp', destination: `[127.0.0.1]:${nextPort}` }),
      transports: { smtp: smtpTransport({ hostname: HOSTNAME }) },
    }),
  )
  const intake = mta.use(mailIntake({ hostname: HOSTNAME, transport: queue, policies: [acceptAll()], lineEnds }))
  const listener = mta.use(smtpListener({ intake, port: 0, errorSleep: 0, hardErrorLimit: 1_000 }))
  await mta.start()
  onTestFinished(() => mta.stop())
  return listener.address.port
}

async function connect(port: number): Promise<RawClient> {
  const client = rawClient(net.connect(port, '127.0.0.1'))
  onTestFinished(() => client.leave('destroy'))
  await client.reply()
  await says(client, 'EHLO client.example\r\n')
  return client
}

/** Sends, and gives the code of the one reply. */
async function says(client: RawClient, text: string): Promise<string | undefined> {
  client.send(Buffer.from(text, 'latin1'))
  return (await client.reply())?.match(/^\d{3}(?= )/m)?.[0]
}

/** Tries to smuggle behind the sequence; the code that the message was answered with. */
async function smuggle(client: RawClient, sequence: string, by: 'DATA' | 'BDAT', sender: string): Promise<string> {
  expect(await says(client, `MAIL FROM:<${sender}>\r\n`)).toBe('250')
  expect(await says(client, 'RCPT TO:<bob@example.org>\r\n')).toBe('250')
  const body = `Subject: hi\r\n\r\ntext${sequence}${SMUGGLED}`
  if (by === 'DATA') expect(await says(client, 'DATA\r\n')).toBe('354')
  const code = await says(client, by === 'DATA' ? body : `BDAT ${body.length} LAST\r\n${body}`)
  // Nothing is left over to be answered.
  expect(await says(client, 'NOOP\r\n')).toBe('250')
  return code!
}

describe.each(NEXT_SERVERS)('through a relay to %s', (_name, isMissing, nextServer) => {
  it.skipIf(isMissing).each(['reject', 'normalize'] as const)(
    'no second message comes, and no line that does not end in CRLF, where line ends are to %s',
    async (lineEnds) => {
      const next = await nextServer()
      const tap = await wireTap(next.port)
      const client = await connect(await startRelay(tap.port, lineEnds))
      const accepted = new Map<string, { readonly by: string; readonly sequence: string }>()
      for (const by of ['DATA', 'BDAT'] as const) {
        for (const sequence of [...BROKEN, ...TEXT, ...(by === 'BDAT' ? ['\r\n.\r\n', '\r\n.\r\n.\r\n'] : [])]) {
          const sender = `ann${accepted.size}@example.net`
          const clean = !(BROKEN as readonly string[]).includes(sequence)
          const code = await smuggle(client, sequence, by, sender)
          const told = `${JSON.stringify(sequence)} by ${by}`
          expect(code, told).toBe(clean || lineEnds === 'normalize' ? '250' : '550')
          if (code === '250') accepted.set(sender, { by, sequence })
        }
      }
      const senders = [...accepted.keys()].sort()
      await expect.poll(() => [...next.taken()].sort(), { timeout: 30_000 }).toEqual(senders)
      const heard = tap.heard()
      for (const said of heard) expect(said).not.toMatch(/(?<!\r)\n|\r(?!\n)|\0/)
      const messages = heard.flatMap(heardMessages)
      expect(messages.map(senderOf).sort()).toEqual(senders)
      // The second message is text of the first, with its dots stuffed.
      for (const { recipients, data } of messages) {
        expect(recipients).toEqual(['RCPT TO:<bob@example.org>'])
        expect(data).toContain('\r\nSubject: smuggled\r\n\r\nevil\r\n')
        expect(data).not.toMatch(/^\.(?!\.)/m)
      }
    },
    60_000,
  )
})

function senderOf({ mail }: HeardMessage): string {
  return /<(.*)>/.exec(mail)![1]!
}
