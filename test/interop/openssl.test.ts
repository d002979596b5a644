/**
 * The openssl command as a TLS client: versions, names, resumption. `trusted-peers.test.ts` has resumption in TLS 1.2, and
 * `programs.test.ts` a whole message.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { missing } from './programs.ts'
import { authority, certificate, startReceiver } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

const MODES = [
  ['STARTTLS', 'starttls', ['-starttls', 'smtp']],
  ['TLS from the first byte', 'implicit', []],
] as const

interface Talk {
  readonly exitCode: number
  /** What openssl found out, and what we said. */
  readonly said: string
}

/** Connects, verifies, says EHLO and QUIT, and waits for the end: tickets of TLS 1.3 come after the handshake. */
async function sClient(port: number, ...more: readonly string[]): Promise<Talk> {
  const ca = join(temporaryFolder(), 'ca.pem')
  writeFileSync(ca, authority.ca)
  const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', ca, '-verify_return_error', '-ign_eof', ...more]
  const child = spawn('openssl', args, { timeout: 20_000 })
  let said = ''
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    said += text
  })
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    said += text
  })
  child.stdin.on('error', () => undefined)
  child.stdin.write('EHLO openssl.example.org\r\nQUIT\r\n')
  const [exitCode] = (await once(child, 'close')) as [number]
  return { exitCode, said }
}

describe.skipIf(missing('openssl'))('openssl s_client', () => {
  describe.each(MODES)('by %s', (_how, mode, how) => {
    it.each([
      ['TLS 1.2', '-tls1_2', 'TLSv1.2'],
      ['TLS 1.3', '-tls1_3', 'TLSv1.3'],
    ])('gets %s, and the certificate verifies', async (_version, option, protocol) => {
      const receiver = await startReceiver({ listener: { tls: { ...certificate, mode } } })
      const { exitCode, said } = await sClient(receiver.port, ...how, option, '-verify_hostname', 'localhost')
      expect(said).toContain('Verify return code: 0 (ok)')
      expect(said).toContain(`New, ${protocol}, Cipher is`)
      expect(said).toMatch(/^221 2\.0\.0 Bye\r$/m)
      expect(exitCode).toBe(0)
    })

    it.each([
      ['TLS 1.1', '-tls1_1'],
      ['TLS 1.0', '-tls1'],
    ])('is refused %s', async (_version, option) => {
      const receiver = await startReceiver({ listener: { tls: { ...certificate, mode } } })
      // Without this OpenSSL would not even try.
      const { exitCode, said } = await sClient(receiver.port, ...how, option, '-cipher', 'DEFAULT@SECLEVEL=0')
      expect(said).toMatch(/alert protocol version|unsupported protocol|wrong version number/)
      expect(said).not.toContain('250')
      expect(exitCode).not.toBe(0)
    })

    it('is refused TLS 1.2 where 1.3 is asked for', async () => {
      const receiver = await startReceiver({ listener: { tls: { ...certificate, mode, minVersion: 'TLSv1.3' } } })
      expect((await sClient(receiver.port, ...how, '-tls1_2')).said).toContain('alert protocol version')
      expect((await sClient(receiver.port, ...how)).said).toContain('New, TLSv1.3')
    })

    it('resumes its session in TLS 1.3', async () => {
      const receiver = await startReceiver({ listener: { tls: { ...certificate, mode } } })
      const session = join(temporaryFolder(), 'session.pem')
      expect((await sClient(receiver.port, ...how, '-tls1_3', '-sess_out', session)).said).toContain('New, TLSv1.3')
      expect((await sClient(receiver.port, ...how, '-tls1_3', '-sess_in', session)).said).toContain('Reused, TLSv1.3')
      const secured = receiver.events.filter((event) => event.type === 'session.secured')
      expect(secured.map(({ tls }) => tls.resumed ?? false)).toEqual([false, true])
    })
  })

  it('gets the certificate of the name it asks for, and ours for any other', async () => {
    const wildcard = authority.issue({ names: ['*.example.net'] })
    const receiver = await startReceiver({
      listener: { tls: { ...certificate, contexts: { '*.example.net': wildcard } } },
    })
    const asks = async (servername: string, verified: string): Promise<string> => {
      const names = ['-servername', servername, '-verify_hostname', verified]
      return (await sClient(receiver.port, '-starttls', 'smtp', ...names)).said
    }
    expect(await asks('mx1.example.net', 'mx1.example.net')).toContain('Verify return code: 0 (ok)')
    expect(await asks('mx.example.com', 'localhost')).toContain('Verify return code: 0 (ok)')
    expect(await asks('mx.example.com', 'mx1.example.net')).toMatch(/hostname mismatch/i)
  })

  it('shows its own certificate where it is asked for one', async () => {
    const own = authority.issue({ names: ['client.example.net'] })
    const folder = temporaryFolder()
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    writeFileSync(key, own.key)
    writeFileSync(cert, own.cert)
    const receiver = await startReceiver({
      listener: { tls: { ...certificate, clientCertificates: 'ask', ca: authority.ca } },
    })
    await sClient(receiver.port, '-starttls', 'smtp', '-cert', cert, '-key', key)
    const [secured] = receiver.events.filter((event) => event.type === 'session.secured')
    expect(secured!.tls.clientCertificate).toMatchObject({ verified: true, subject: 'CN=client.example.net' })
  })
})
