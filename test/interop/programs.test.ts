/** Programs of others before and behind us: LMTP clients, STARTTLS clients, and Postfix as the next hop. */

import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type MailwrightProcess, mailwrightProcess } from '../support/mailwright-process.ts'
import { selfSigned } from './certificate.ts'
import { type Mail, sendByOpenssl, sendBySmtplib, sendBySmtpSource } from './clients.ts'
import { asSent, corpus } from './corpus.ts'
import { maildirReader, withoutTrace } from './maildir-reader.ts'
import { startPostfix } from './postfix.ts'
import { missing, notRoot, runProgram } from './programs.ts'
import { smtpSink } from './smtp-sink.ts'
import { temporaryFolder } from './temporary-folder.ts'

const LISTEN = ['--listen', '127.0.0.1:0', '--log-level', 'warn']
const LETTER = Buffer.from('From: bob@example.net\r\nSubject: Grüße\r\n\r\n.\r\n..\r\nbody\r\n')

describe('a sink that speaks LMTP', () => {
  it.skipIf(missing('python3'))("takes mail from Python's smtplib", async () => {
    const folder = temporaryFolder()
    const sink = await running(['sink', '--lmtp', '--maildir', join(folder, 'mail'), ...LISTEN])
    await sendBySmtplib([letter('lmtp@example.org')], { port: sink.port, folder }, { protocol: 'lmtp' })
    await expectLetter(join(folder, 'mail'), 'lmtp@example.org', LETTER, [{ by: hostname(), with: 'LMTP' }])
  })

  it.skipIf(missing('smtp-source'))("takes mail from Postfix's smtp-source", async () => {
    const folder = temporaryFolder()
    const sink = await running(['sink', '--lmtp', '--maildir', join(folder, 'mail'), ...LISTEN])
    await sendBySmtpSource([letter('lmtp@example.org')], { port: sink.port, folder }, 'lmtp')
    const sent = Buffer.concat([LETTER, Buffer.from('\r\n')])
    await expectLetter(join(folder, 'mail'), 'lmtp@example.org', sent, [{ by: hostname(), with: 'LMTP' }])
  })
})

describe('an exchanger with STARTTLS', () => {
  it.skipIf(missing('openssl', 'python3'))("takes mail from Python's smtplib, which verifies it", async () => {
    const { folder, certificate, exchanger } = await exchangerWithTls()
    await sendBySmtplib([letter('ann@example.org')], { port: exchanger.port, folder }, { certificate })
    await expectLetter(join(folder, 'mail'), 'ann@example.org', LETTER, [{ by: 'mx.example.org', with: 'ESMTPS' }])
  })

  it.skipIf(missing('openssl'))('takes mail from openssl s_client, which verifies it', async () => {
    const { folder, certificate, exchanger } = await exchangerWithTls()
    await sendByOpenssl(letter('ann@example.org'), exchanger.port, certificate)
    await expectLetter(join(folder, 'mail'), 'ann@example.org', LETTER, [{ by: 'mx.example.org', with: 'ESMTPS' }])
  })
})

describe('the relay', () => {
  it.skipIf(missing('smtp-sink', 'python3'))(
    "hands mail to Postfix's smtp-sink byte for byte",
    async () => {
      const folder = temporaryFolder()
      const dumps = await smtpSink(folder)
      const spool = ['--spool', join(folder, 'spool'), '--hostname', 'relay.example.org']
      const relay = await running(['relay', '--next-hop', `127.0.0.1:${dumps.port}`, ...spool, ...LISTEN])
      const mails = corpus.map(({ name, bytes }): Mail => {
        return { from: 'ann@example.org', to: `${name}@example.net`, bytes }
      })
      await sendBySmtplib(mails, { port: relay.port, folder })
      await expect.poll(() => dumps.read().length, { timeout: 30_000 }).toBe(mails.length)
      await expect.poll(() => queueLength(join(folder, 'spool')), { timeout: 30_000, interval: 250 }).toBe(0)
      const byRecipient = new Map(dumps.read().map((dump) => [/^X-Rcpt-Args: <(.*?)@/m.exec(dump)?.[1], dump]))
      for (const { name, bytes } of corpus) {
        const ending = asSent(bytes).toString('latin1').replaceAll('\r\n', '\n')
        // It ends each dump with an empty line of its own; the relay may have ended a head.
        const dump = byRecipient.get(name) ?? ''
        expect(
          [`${ending}\n`, `${ending}\n\n`].some((end) => dump.endsWith(end)),
          name,
        ).toBe(true)
        expect(dump.match(/^\tby relay\.example\.org with ESMTP id \w+$/gm), name).toHaveLength(1)
      }
    },
    60_000,
  )

  it.skipIf(missing('postfix', 'openssl', 'python3') || notRoot())(
    'sends mail to Postfix by STARTTLS, and Postfix sends it on to a sink',
    async () => {
      const folder = temporaryFolder()
      await selfSigned(folder)
      const sink = await running(['sink', '--maildir', join(folder, 'mail'), ...LISTEN])
      const postfix = await startPostfix(folder, {
        settings: {
          relayhost: `[127.0.0.1]:${sink.port}`,
          smtpd_tls_security_level: 'encrypt',
          smtpd_tls_cert_file: join(folder, 'cert.pem'),
          smtpd_tls_key_file: join(folder, 'key.pem'),
          smtpd_tls_received_header: 'yes',
        },
      })
      onTestFinished(() => postfix.stop())
      const spool = ['--spool', join(folder, 'spool'), '--hostname', 'relay.example.org']
      const relay = await running(['relay', '--next-hop', `127.0.0.1:${postfix.port}`, ...spool, ...LISTEN])
      const wanted = ['plain', 'utf-8', 'only-dots', 'dots-over-many-chunks', 'body-of-131073', 'many-longest-lines']
      const mails = corpus
        .filter(({ name }) => wanted.includes(name))
        .map(({ name, bytes }): Mail => ({ from: 'ann@example.org', to: `${name}@example.net`, bytes }))
      await sendBySmtplib(mails, { port: relay.port, folder })
      const maildir = maildirReader(join(folder, 'mail'))
      for (const [to, copies] of await maildir.mailTo(mails.map((mail) => mail.to))) {
        expect(copies).toHaveLength(1)
        const { rest } = withoutTrace(copies[0]!, 1)
        expect(rest.toString()).toMatch(
          /^Received: from relay\.example\.org [\s\S]*?\(using TLSv1\.3 [\s\S]*?ESMTPS id/,
        )
        const { bytes } = mails.find((mail) => mail.to === to)!
        expect(rest.subarray(-bytes.length).equals(bytes), to).toBe(true)
      }
    },
    60_000,
  )
})

function letter(to: string): Mail {
  return { from: 'bob@example.net', to, bytes: LETTER, options: ['BODY=8BITMIME'] }
}

async function expectLetter(
  maildir: string,
  to: string,
  letter: Buffer,
  hops: readonly { readonly by: string; readonly with: string }[],
): Promise<void> {
  const copies = (await maildirReader(maildir).mailTo([to])).get(to)!
  expect(copies).toHaveLength(1)
  const { rest, hops: found } = withoutTrace(copies[0]!, hops.length)
  expect(found).toEqual(hops)
  expect(rest.toString('latin1')).toBe(letter.toString('latin1'))
}

/** A command, ended with the test. It must end well. */
async function running(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<MailwrightProcess> {
  const server = await mailwrightProcess(args, { env })
  onTestFinished(async () => {
    expect(await server.stop(), server.stderr()).toBe(0)
  })
  return server
}

async function exchangerWithTls(): Promise<{ folder: string; certificate: string; exchanger: MailwrightProcess }> {
  const folder = temporaryFolder()
  const certificate = await selfSigned(folder)
  const program = join(import.meta.dirname, 'tls-host.ts')
  const exchanger = await running(['run', program, '--log-level', 'warn'], { TEST_HOME: folder })
  return { folder, certificate, exchanger }
}

async function queueLength(spool: string): Promise<number> {
  const cli = join(import.meta.dirname, '../../packages/cli/src/cli.ts')
  const stats = await runProgram(process.execPath, [cli, 'queue', 'stats', '--spool', spool, '--json'])
  return (JSON.parse(stats) as { messages: number }).messages
}
