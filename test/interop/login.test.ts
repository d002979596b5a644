/** A user's mail program logs in to our submission service, and the mail goes out: with users from Dovecot, and from files. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@mailwright/queue'
import { dovecotAuth, type PasswordMechanism, passwordAuthentication, passwordFile } from '@mailwright/sasl'
import { type SubmissionServerOptions, submissionServer } from 'mailwright'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startDovecot } from './dovecot.ts'
import { msmtp } from './msmtp.ts'
import { missing, runProgram } from './programs.ts'
import { certificate, envelopeText, type Receiver, startReceiver } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

interface Service {
  /** With TLS from the first byte, and with STARTTLS. */
  readonly ports: readonly [number, number]
  /** Where the mail goes. */
  readonly nextHop: Receiver
}

async function submission(auth: SubmissionServerOptions['auth'], owners = {}): Promise<Service> {
  const nextHop = await startReceiver()
  const { mta, listener, tlsListener } = submissionServer({
    hostname: 'mail.example.org',
    host: '127.0.0.1',
    port: 0,
    tlsPort: 0,
    tls: certificate,
    auth,
    store: memoryStore(),
    nextHop: `[127.0.0.1]:${nextHop.port}`,
    ...owners,
  })
  await mta.start()
  onTestFinished(() => mta.stop())
  return { ports: [tlsListener.address.port, listener.address.port], nextHop }
}

/** Sends a letter of ann's as a user; rejects with what msmtp says when it is refused. */
function send({ ports }: Service, user: string, password: string, more: Record<string, string> = {}): Promise<string> {
  const login = { tls: 'on', tls_starttls: 'off', auth: 'plain', user, password, from: 'ann@example.net' }
  const settings = { ...login, ...more }
  return msmtp(ports[settings.tls_starttls === 'off' ? 0 : 1], settings)
}

async function sentOn({ nextHop }: Service, count = 1): Promise<readonly string[]> {
  await expect.poll(() => nextHop.mails.length, { timeout: 10_000 }).toBe(count)
  return nextHop.mails.map(({ envelope }) => envelopeText(envelope))
}

describe.skipIf(missing('msmtp', 'dovecot'))('with the users of a Dovecot', () => {
  it('ann logs in by each mechanism, and her mail goes out', async () => {
    const { socket } = await startDovecot(temporaryFolder(), 'ann:{PLAIN}pencil\n')
    const service = await submission((mta) => mta.use(dovecotAuth({ socket })))
    const mechanisms = ['plain', 'login', 'cram-md5', 'scram-sha-256']
    // Dovecot was asked for its mechanisms by the first client.
    for (const auth of mechanisms) await send(service, 'ann', 'pencil', { auth })
    await send(service, 'ann', 'pencil', { tls_starttls: 'on' })
    expect(await sentOn(service, 5)).toEqual(Array(5).fill('ann@example.net -> bob@example.org'))
  })

  it('nobody gets in by a wrong password or another name', async () => {
    const { socket } = await startDovecot(temporaryFolder(), 'ann:{PLAIN}pencil\n')
    const service = await submission((mta) => mta.use(dovecotAuth({ socket })))
    await expect(send(service, 'ann', 'wrong')).rejects.toThrow('535 5.7.8')
    await expect(send(service, 'eve', 'pencil')).rejects.toThrow('535 5.7.8')
    await expect(msmtp(service.ports[0], { tls: 'on', tls_starttls: 'off' })).rejects.toThrow('530 5.7.0')
    await send(service, 'ann', 'pencil')
    expect(await sentOn(service)).toHaveLength(1)
  })

  it('nobody sends under an address of somebody else', async () => {
    const { socket } = await startDovecot(temporaryFolder(), 'ann:{PLAIN}pencil\neve:{PLAIN}apple\n')
    const owners = { owners: { 'ann@example.net': ['ann'], 'eve@example.net': ['eve'] } }
    const service = await submission((mta) => mta.use(dovecotAuth({ socket })), owners)
    await expect(send(service, 'eve', 'apple')).rejects.toThrow('553 5.7.1 Sender address rejected: not owned by user')
    await send(service, 'eve', 'apple', { from: 'eve@example.net' })
    await send(service, 'ann', 'pencil')
    expect(await sentOn(service, 2)).toEqual([
      'eve@example.net -> bob@example.org',
      'ann@example.net -> bob@example.org',
    ])
  })
})

describe.skipIf(missing('msmtp'))('with the users of a file', () => {
  /** Makes the service for the lines of a password file. */
  function fileOf(lines: readonly string[], mechanisms: readonly PasswordMechanism[] = ['PLAIN']): Promise<Service> {
    const path = join(temporaryFolder(), 'users')
    writeFileSync(path, `${lines.join('\n')}\n`)
    return submission((mta) => mta.use(passwordAuthentication({ credentials: passwordFile(path), mechanisms })))
  }

  async function hashed(scheme: string, password: string): Promise<string> {
    return (await runProgram('doveadm', ['-O', 'pw', '-s', scheme, '-p', password])).trim()
  }

  it.skipIf(missing('doveadm'))(
    'whose passwords doveadm has hashed, everybody gets in by the right one only',
    async () => {
      const schemes = ['BLF-CRYPT', 'ARGON2ID', 'SHA512-CRYPT', 'SHA256-CRYPT', 'PBKDF2', 'SCRAM-SHA-256', 'SSHA512']
      const lines = await Promise.all(
        schemes.map(async (scheme) => `${scheme}:${await hashed(scheme, `pw-${scheme}`)}`),
      )
      const service = await fileOf(lines)
      for (const scheme of schemes) await send(service, scheme, `pw-${scheme}`)
      for (const scheme of schemes) await expect(send(service, scheme, 'pw'), scheme).rejects.toThrow('535 5.7.8')
      expect(await sentOn(service, schemes.length)).toHaveLength(schemes.length)
    },
    60_000,
  )

  it.skipIf(missing('doveadm'))('whose passwords doveadm has made SCRAM keys of, they get in by SCRAM', async () => {
    const service = await fileOf([`ann:${await hashed('SCRAM-SHA-256', 'pencil')}`], ['SCRAM-SHA-256'])
    await send(service, 'ann', 'pencil', { auth: 'scram-sha-256' })
    await expect(send(service, 'ann', 'wrong', { auth: 'scram-sha-256' })).rejects.toThrow('535 5.7.8')
    expect(await sentOn(service)).toHaveLength(1)
  })

  it.skipIf(missing('htpasswd'))('whose passwords htpasswd has hashed, they get in by the right one only', async () => {
    const forms = ['-B', '-m', '-s']
    const lines = await Promise.all(
      forms.map(async (form) => (await runProgram('htpasswd', ['-nb', form, `user${form}`, `pw${form}`])).trim()),
    )
    const service = await fileOf(lines)
    for (const form of forms) {
      await send(service, `user${form}`, `pw${form}`)
      await expect(send(service, `user${form}`, 'wrong'), form).rejects.toThrow('535 5.7.8')
    }
    expect(await sentOn(service, forms.length)).toHaveLength(forms.length)
  })
})
