/** Proxies, trusted hosts and TLS clients that nobody here wrote: what they say of a client is what the session knows. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Session } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { discardTransport } from '@mailwright/local-delivery'
import { acceptAll } from '@mailwright/policy'
import { type SmtpListenerOptions, smtpListener } from '@mailwright/smtp-listener'
import { testAuthority } from '@mailwright/testing'
import { afterAll, expect, it } from 'vitest'
import { missing, runProgram } from './programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'mailwright-peers-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs a server while a client is at it, and gives the sessions that messages came in. */
async function served(
  options: Partial<SmtpListenerOptions>,
  client: (port: number) => Promise<unknown>,
): Promise<readonly Session[]> {
  const mta = createMta({ name: 'peers' })
  const sessions: Session[] = []
  mta.events.subscribe((event) => {
    if (event.type === 'message.accepted') sessions.push(event.session)
  })
  const transport = discardTransport()
  const intake = mta.use(mailIntake({ hostname: 'mx.example.org', transport, policies: [acceptAll()] }))
  const listener = mta.use(smtpListener({ intake, port: 0, ...options }))
  await mta.start()
  try {
    await client(listener.address.port)
  } finally {
    await mta.stop()
  }
  return sessions
}

function swaks(port: number, ...more: readonly string[]): Promise<string> {
  const mail = ['--from', 'ann@example.net', '--to', 'bob@example.org', '--helo', 'client.example']
  return runProgram('swaks', ['--server', '127.0.0.1', '--port', String(port), ...mail, ...more])
}

it.skipIf(missing('swaks')).each(['1', '2'])('swaks as a proxy, version %s of the protocol', async (version) => {
  const ends = ['--proxy-source', '192.0.2.7', '--proxy-source-port', '40000', '--proxy-dest', '198.51.100.1']
  const more = ['--proxy-version', version, '--proxy-dest-port', '25']
  const family =
    version === '1' ? ['--proxy-family', 'TCP4'] : ['--proxy-family', 'AF_INET', '--proxy-protocol', 'STREAM']
  const sessions = await served({ proxy: { from: ['127.0.0.1'] } }, (port) => swaks(port, ...ends, ...more, ...family))
  expect(sessions).toMatchObject([
    {
      client: { address: '192.0.2.7', port: 40_000 },
      server: { address: '198.51.100.1', port: 25 },
      via: { address: '127.0.0.1' },
    },
  ])
})

it.skipIf(missing('curl'))('curl as a proxy, with TLS behind the header', async () => {
  const letter = join(folder, 'letter')
  writeFileSync(letter, 'Subject: hi\r\n\r\nhi\r\n')
  const envelope = ['--mail-from', 'ann@example.net', '--mail-rcpt', 'bob@example.org', '--upload-file', letter]
  const secured = ['--ssl-reqd', '--insecure', '--haproxy-protocol']
  const sessions = await served({ proxy: { from: ['127.0.0.1'] }, tls: 'development' }, (port) =>
    runProgram('curl', ['--silent', '--show-error', ...secured, `smtp://127.0.0.1:${port}`, ...envelope]),
  )
  const here = { address: '127.0.0.1' }
  expect(sessions).toMatchObject([{ client: here, via: here, tls: { protocol: 'TLSv1.3' } }])
})

it.skipIf(missing('swaks'))('swaks as a trusted host', async () => {
  const claims = [
    '--xclient-addr',
    '192.0.2.7',
    '--xclient-name',
    'spike.example',
    '--xclient-login',
    'ann@example.net',
  ]
  const sessions = await served({ trusted: { xclient: ['127.0.0.1'] } }, (port) => swaks(port, ...claims))
  expect(sessions).toMatchObject([
    {
      client: { address: '192.0.2.7' },
      clientName: 'spike.example',
      user: 'ann@example.net',
      helo: 'client.example',
      via: { address: '127.0.0.1' },
    },
  ])
})

it.skipIf(missing('openssl'))(
  'openssl gets the certificate of the name it asks for, and resumes its session',
  async () => {
    const authority = testAuthority()
    const tls = {
      ...authority.issue({ names: ['mx.example.org'] }),
      contexts: { 'mx.example.net': authority.issue({ names: ['mx.example.net'] }) },
    }
    const ca = join(folder, 'ca.pem')
    const session = join(folder, 'session.pem')
    writeFileSync(ca, authority.ca)
    await served({ tls }, async (port) => {
      const asks = (name: string, ...more: readonly string[]): Promise<string> => {
        const verified = ['-CAfile', ca, '-verify_return_error', '-verify_hostname', name, '-servername', name]
        const to = ['s_client', '-connect', `127.0.0.1:${port}`, '-starttls', 'smtp', '-tls1_2']
        return runProgram('openssl', [...to, ...verified, ...more], 'QUIT\r\n')
      }
      expect(await asks('mx.example.org')).toContain('Verify return code: 0 (ok)')
      expect(await asks('mx.example.net', '-sess_out', session)).toContain('New, TLSv1.2')
      expect(await asks('mx.example.net', '-sess_in', session)).toContain('Reused, TLSv1.2')
    })
  },
)
