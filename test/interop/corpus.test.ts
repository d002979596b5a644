/** Mail of every kind, through a relay into a Maildir, by clients that nobody here wrote: not a byte may change. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type MailwrightProcess, mailwrightProcess } from '../support/mailwright-process.ts'
import { type Mail, sendBySmtplib, sendBySmtpSource, sendBySwaks } from './clients.ts'
import { asDelivered, asSent, type CorpusMessage, corpus, largeCorpus } from './corpus.ts'
import { type MaildirReader, maildirReader, withoutTrace } from './maildir-reader.ts'
import { missing } from './programs.ts'

const RELAY = 'relay.example.org'

describe('a message from a client through relay and sink', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mailwright-corpus-'))
  let maildir: MaildirReader
  let sink: MailwrightProcess
  let relay: MailwrightProcess

  beforeAll(async () => {
    maildir = maildirReader(join(folder, 'mail'))
    const quiet = ['--log-level', 'warn']
    sink = await mailwrightProcess(['sink', '--listen', '127.0.0.1:0', '--maildir', join(folder, 'mail'), ...quiet])
    const spool = ['--spool', join(folder, 'spool'), '--hostname', RELAY]
    const nextHop = ['--next-hop', `127.0.0.1:${sink.port}`]
    relay = await mailwrightProcess(['relay', '--listen', '127.0.0.1:0', ...nextHop, ...spool, ...quiet])
  }, 60_000)

  afterAll(async () => {
    const codes = [await relay.stop(), await sink.stop()]
    rmSync(folder, { recursive: true, force: true })
    expect(codes).toEqual([0, 0])
    // Nothing went wrong that no client heard of.
    expect(`${relay.stderr()}${sink.stderr()}`).not.toMatch(/failure|"level":50/)
  }, 60_000)

  /** Sends them all to addresses of their own, and compares what came with what was sent. */
  async function goesThrough(
    client: string,
    messages: readonly CorpusMessage[],
    protocol: 'SMTP' | 'ESMTP',
    send: (mails: readonly Mail[], options: { port: number; folder: string }) => Promise<void>,
    added = '',
  ): Promise<void> {
    const files = join(folder, client)
    mkdirSync(files)
    const mails = messages.map((message): Mail => {
      return { from: `ann@${client}.example.org`, to: `${message.name}@${client}.example.org`, bytes: message.bytes }
    })
    await send(mails, { port: relay.port, folder: files })
    const arrived = await maildir.mailTo(mails.map((mail) => mail.to))
    for (const mail of mails) {
      const copies = arrived.get(mail.to)!
      expect(copies, mail.to).toHaveLength(1)
      const { rest, ...trace } = withoutTrace(copies[0]!, 2)
      expect(trace).toEqual({
        from: mail.from,
        to: mail.to,
        originalTo: mail.to,
        hops: [
          { by: hostname(), with: 'ESMTP' },
          { by: RELAY, with: protocol },
        ],
      })
      expect(
        firstDifference(rest, asDelivered(Buffer.concat([asSent(mail.bytes), Buffer.from(added)]))),
        mail.to,
      ).toBeUndefined()
    }
  }

  it.skipIf(missing('python3'))(
    "arrives byte for byte when Python's smtplib sends it",
    async () => {
      await goesThrough('smtplib', [...corpus, ...largeCorpus], 'ESMTP', (mails, options) =>
        sendBySmtplib(
          mails.map((mail) => ({ ...mail, options: isAscii(mail.bytes) ? [] : ['BODY=8BITMIME'] })),
          options,
        ),
      )
    },
    60_000,
  )

  it.skipIf(missing('smtp-source'))(
    "arrives byte for byte when Postfix's smtp-source sends it",
    async () => {
      // Of an empty file it makes a message of its own.
      const messages = corpus.filter(({ bytes }) => bytes.length > 0)
      await goesThrough('smtp-source', messages, 'SMTP', (mails, options) => sendBySmtpSource(mails, options), '\r\n')
    },
    60_000,
  )

  it.skipIf(missing('swaks'))(
    'arrives byte for byte when swaks sends it',
    async () => {
      await goesThrough('swaks', corpus.filter(isFitForSwaks), 'ESMTP', sendBySwaks)
    },
    60_000,
  )

  it.skipIf(missing('python3'))('arrives at an address in UTF-8 (RFC 6531)', async () => {
    const files = join(folder, 'utf8')
    mkdirSync(files)
    const bytes = Buffer.from('Subject: Grüße\r\n\r\nbody\r\n')
    const mail: Mail = { from: 'ann@smtplib.example.org', to: 'jürgen@köln.example.org', bytes }
    await sendBySmtplib([{ ...mail, options: ['SMTPUTF8', 'BODY=8BITMIME'] }], { port: relay.port, folder: files })
    const copy = (await maildir.mailTo([mail.to])).get(mail.to)![0]!
    const { rest, hops, to } = withoutTrace(copy, 2)
    expect(to).toBe(mail.to)
    expect(hops.map((hop) => hop.with)).toEqual(['UTF8SMTP', 'UTF8SMTP'])
    expect(rest.equals(bytes)).toBe(true)
  })
})

function isAscii(bytes: Buffer): boolean {
  return bytes.every((byte) => byte < 128)
}

/** What swaks sends as it is: other data it takes for a file's name, fills in, or mends. */
function isFitForSwaks({ bytes }: CorpusMessage): boolean {
  const text = bytes.toString('latin1')
  if (text.length > 140_000 || /^From |%|\r\n\.(?:\r\n)*$/.test(text)) return false
  return text.trim().includes('\r\n\r\n')
}

/** Where two differ, told readably; undefined when they do not. Comparing megabytes with `toEqual` takes minutes. */
function firstDifference(found: Buffer, wanted: Buffer): string | undefined {
  if (found.equals(wanted)) return undefined
  let at = 0
  while (at < found.length && found[at] === wanted[at]) at++
  const near = (bytes: Buffer): string => JSON.stringify(bytes.toString('latin1', Math.max(0, at - 20), at + 40))
  return `${found.length} bytes for ${wanted.length}, from byte ${at}: ${near(found)} for ${near(wanted)}`
}
