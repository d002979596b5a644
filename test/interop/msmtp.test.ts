/** msmtp, which GnuTLS secures and GNU SASL authenticates: another library than ours on either account. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { certificateAuthentication } from '@mailwright/sasl'
import { describe, expect, it } from 'vitest'
import { LETTER, msmtp } from './msmtp.ts'
import { missing } from './programs.ts'
import { annSubmits, authority, certificate, envelopeText, startReceiver } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

describe.skipIf(missing('msmtp'))('msmtp', () => {
  it.each([
    ['STARTTLS', 'starttls', 'on'],
    ['TLS from the first byte', 'implicit', 'off'],
  ] as const)('verifies us and sends by %s', async (_how, mode, starttls) => {
    const receiver = await startReceiver({ listener: { tls: { ...certificate, mode } } })
    await msmtp(receiver.port, { tls: 'on', tls_starttls: starttls })
    expect(receiver.mails).toMatchObject([{ session: { tls: { protocol: 'TLSv1.3', servername: 'localhost' } } }])
    expect(receiver.mails[0]!.bytes.toString()).toBe(LETTER)
  })

  it('asks for notices', async () => {
    const receiver = await startReceiver()
    await msmtp(receiver.port, { dsn_notify: 'failure,delay', dsn_return: 'headers' })
    expect(receiver.mails[0]!.envelope).toMatchObject({
      options: { ret: 'hdrs' },
      recipients: [{ notify: ['failure', 'delay'] }],
    })
  })

  it('is told which recipient there is none of, and then sends nothing', async () => {
    const receiver = await startReceiver()
    await expect(msmtp(receiver.port, {}, ['bob@example.org', 'nobody@example.org'])).rejects.toThrow(
      /recipient address nobody@example.org not accepted[\s\S]*550 5\.1\.1 No such mailbox/,
    )
    expect(receiver.mails).toEqual([])
  })

  describe('logs in', () => {
    const secured = { tls: 'on', user: 'ann' }

    it.each(['PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256'] as const)('by %s', async (mechanism) => {
      const receiver = await startReceiver(annSubmits([mechanism]))
      await msmtp(receiver.port, { ...secured, auth: mechanism.toLowerCase(), password: 'pencil' })
      expect(receiver.mails).toMatchObject([{ session: { user: 'ann', mechanism } }])
      await expect(
        msmtp(receiver.port, { ...secured, auth: mechanism.toLowerCase(), password: 'wrong' }),
      ).rejects.toThrow('535 5.7.8')
      expect(receiver.mails).toHaveLength(1)
    })

    it('by what it likes best of what we offer, and within TLS that is PLAIN', async () => {
      const receiver = await startReceiver(annSubmits(['PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256']))
      await msmtp(receiver.port, { ...secured, auth: 'on', password: 'pencil' })
      expect(receiver.mails).toMatchObject([{ session: { user: 'ann', mechanism: 'PLAIN' } }])
    })

    it('by the certificate it shows', async () => {
      const own = authority.issue({ names: ['laptop.example.net'] })
      const files = temporaryFolder()
      const settings = { tls_key_file: join(files, 'key.pem'), tls_cert_file: join(files, 'cert.pem') }
      writeFileSync(settings.tls_key_file, own.key, { mode: 0o600 })
      writeFileSync(settings.tls_cert_file, own.cert)
      const receiver = await startReceiver({
        auth: (mta) => mta.use(certificateAuthentication({ user: ({ subject }) => /CN=(\S+)/.exec(subject)?.[1] })),
        listener: { profile: 'submission', tls: { ...certificate, clientCertificates: 'ask', ca: authority.ca } },
      })
      // Without a user it takes our empty challenge for success.
      const user = 'laptop.example.net'
      await msmtp(receiver.port, { ...secured, ...settings, user, auth: 'external' })
      expect(receiver.mails).toMatchObject([{ session: { user, mechanism: 'EXTERNAL' } }])
    })
  })

  it('delivers by LMTP, and hears of each recipient', async () => {
    const receiver = await startReceiver({ listener: { protocol: 'lmtp' } })
    const to = ['bob@example.org', 'carol@example.org']
    await msmtp(receiver.port, { protocol: 'lmtp' }, to)
    await expect(msmtp(receiver.port, { protocol: 'lmtp' }, ['bob@example.org', 'full@example.org'])).rejects.toThrow(
      '552 5.2.2 Mailbox full',
    )
    expect(receiver.mails.map(({ envelope }) => envelopeText(envelope))).toEqual([
      'ann@example.net -> bob@example.org carol@example.org',
      'ann@example.net -> bob@example.org full@example.org',
    ])
    expect(receiver.mails[0]).toMatchObject({ session: { protocol: 'lmtp' } })
  })

  it('delivers by LMTP over a unix socket', async () => {
    const path = join(temporaryFolder(), 'lmtp')
    const receiver = await startReceiver({ listener: { protocol: 'lmtp', path, unixPeers: 'loopback' } })
    await msmtp(24, { protocol: 'lmtp', socket: path })
    expect(receiver.mails).toMatchObject([{ session: { protocol: 'lmtp', client: { address: '127.0.0.1' } } }])
  })
})
