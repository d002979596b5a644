/** Swaks, with which postmasters try what a server does. XCLIENT and PROXY alone are in `trusted-peers.test.ts`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lacking, missing, runProgram } from './programs.ts'
import { annSubmits, authority, certificate, envelopeText, startReceiver } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

const ENVELOPE = ['--from', 'ann@example.net', '--to', 'bob@example.org', '--helo', 'client.example']
const NO_TLS = lacking('TLS supported', 'swaks', '--support')

function swaks(port: number, ...more: readonly string[]): Promise<string> {
  return runProgram('swaks', ['--server', '127.0.0.1', '--port', String(port), ...ENVELOPE, ...more])
}

function trusting(): readonly string[] {
  const ca = join(temporaryFolder(), 'ca.pem')
  writeFileSync(ca, authority.ca)
  return ['--tls-verify', '--tls-ca-path', ca, '--tls-sni', 'localhost']
}

describe.skipIf(missing('swaks'))('swaks', () => {
  it('pipelines, is told who there is none of, and the others get the mail', async () => {
    const receiver = await startReceiver({ listener: { exempt: () => false, protocolTests: { pipelining: 'drop' } } })
    const to = ['--to', 'bob@example.org,nobody@example.org,carol@example.org']
    expect(await swaks(receiver.port, '--pipeline', ...to)).toContain('550 5.1.1 No such mailbox')
    expect(receiver.mails.map(({ envelope }) => envelopeText(envelope))).toEqual([
      'ann@example.net -> bob@example.org carol@example.org',
    ])
  })

  it('delivers by LMTP over a unix socket', async () => {
    const path = join(temporaryFolder(), 'lmtp')
    const receiver = await startReceiver({ listener: { protocol: 'lmtp', path, unixPeers: 'loopback' } })
    await runProgram('swaks', ['--socket', path, '--protocol', 'LMTP', ...ENVELOPE])
    expect(receiver.mails).toMatchObject([{ session: { protocol: 'lmtp', client: { address: '127.0.0.1' } } }])
  })

  it('is not asked for a password in clear text', async () => {
    const receiver = await startReceiver(annSubmits(['PLAIN', 'LOGIN', 'CRAM-MD5']))
    const login = ['--auth-user', 'ann', '--auth-password', 'pencil']
    await expect(swaks(receiver.port, '--auth', ...login)).rejects.toThrow('Host did not advertise authentication')
    await expect(swaks(receiver.port)).rejects.toThrow('530 5.7.0 Must issue a STARTTLS command first')
    expect(receiver.mails).toEqual([])
  })

  describe.skipIf(NO_TLS)('with TLS', () => {
    it.each([
      ['STARTTLS', 'starttls', '--tls'],
      ['TLS from the first byte', 'implicit', '--tls-on-connect'],
    ] as const)('verifies us and sends by %s', async (_how, mode, option) => {
      const receiver = await startReceiver({ listener: { tls: { ...certificate, mode } } })
      await swaks(receiver.port, option, ...trusting())
      expect(receiver.mails).toMatchObject([{ session: { tls: { protocol: 'TLSv1.3', servername: 'localhost' } } }])
    })

    it.each(['PLAIN', 'LOGIN', 'CRAM-MD5'] as const)('logs in by %s', async (mechanism) => {
      const receiver = await startReceiver(annSubmits(['PLAIN', 'LOGIN', 'CRAM-MD5']))
      const login = (password: string): readonly string[] => {
        return ['--tls', '--auth', mechanism, '--auth-user', 'ann', '--auth-password', password]
      }
      await swaks(receiver.port, ...login('pencil'))
      expect(receiver.mails).toMatchObject([{ session: { user: 'ann', mechanism } }])
      await expect(swaks(receiver.port, ...login('wrong'))).rejects.toThrow('535 5.7.8')
      expect(receiver.mails).toHaveLength(1)
    })

    it.each(['1', '2'])('comes through a proxy (version %s), and logs in', async (version) => {
      const { auth, listener } = annSubmits(['PLAIN'])
      const receiver = await startReceiver({ auth: auth!, listener: { ...listener, proxy: { from: ['127.0.0.1'] } } })
      const ends = ['--proxy-source', '192.0.2.7', '--proxy-source-port', '4000', '--proxy-dest', '198.51.100.1']
      const family = version === '1' ? ['TCP4'] : ['AF_INET', '--proxy-protocol', 'STREAM']
      const proxy = ['--proxy-version', version, ...ends, '--proxy-dest-port', '587', '--proxy-family', ...family]
      const login = ['--auth', 'PLAIN', '--auth-user', 'ann', '--auth-password', 'pencil']
      await swaks(receiver.port, ...proxy, '--tls', ...login)
      expect(receiver.mails).toMatchObject([
        { session: { user: 'ann', client: { address: '192.0.2.7' }, via: { address: '127.0.0.1' } } },
      ])
    })
  })
})
