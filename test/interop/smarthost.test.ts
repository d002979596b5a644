/** Our client proves who it is to our own listener, over TLS, whatever mechanism that offers: Dovecot's users and ours. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Authenticator, Block } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { messageSource } from '@mailwright/message'
import { acceptAll } from '@mailwright/policy'
import { dovecotAuth, passwordAuthentication, passwordFile } from '@mailwright/sasl'
import { smtpListener } from '@mailwright/smtp-listener'
import { type SmtpCredentials, smtpTransport } from '@mailwright/smtp-transport'
import { scriptedTransport, testAuthority } from '@mailwright/testing'
import { expect, it, onTestFinished } from 'vitest'
import { startDovecot } from './dovecot.ts'
import { missing } from './programs.ts'
import { temporaryFolder } from './temporary-folder.ts'

const MECHANISMS = ['SCRAM-SHA-256', 'CRAM-MD5', 'PLAIN', 'LOGIN'] as const

/** Sends a message through a smarthost with these users; gives the outcome, and how the client authenticated. */
async function relay(users: Block<Authenticator>, auth: SmtpCredentials): Promise<readonly (string | undefined)[]> {
  const mta = createMta({ name: 'smarthost' })
  const used: (string | undefined)[] = []
  mta.events.subscribe((event) => {
    if (event.type === 'session.authenticated') used.push(event.mechanism)
  })
  const behind = scriptedTransport({ outcomes: { '*': 'ok' } })
  const intake = mta.use(
    mailIntake({
      hostname: 'smarthost.example.net',
      transport: behind,
      policies: [acceptAll()],
    }),
  )
  const certificate = testAuthority().issue({ names: ['smarthost.example.net'] })
  const listener = mta.use(
    smtpListener({ intake, port: 0, profile: 'submission', auth: mta.use(users), tls: certificate }),
  )
  await mta.start()
  onTestFinished(() => mta.stop())
  const client = createMta({ name: 'client' })
  const nextHop = `[127.0.0.1]:${listener.address.port}`
  const transport = client.use(smtpTransport({ hostname: 'relay.example.net', nextHop, auth }))
  await client.start()
  onTestFinished(() => client.stop())
  const address = { local: 'ann', domain: 'example.net' }
  const outcomes = await transport.deliver(
    {
      id: '01',
      envelope: { sender: address, recipients: [{ id: 1, address, original: address }], options: {} },
      message: messageSource(Buffer.from('Subject: hi\r\n\r\nHello\r\n')),
      arrivedAt: 0,
      attempt: 1,
    },
    { signal: AbortSignal.timeout(30_000) },
  )
  const { status, reply } = outcomes.get(1)!
  return [`${status} ${reply.enhanced}`, ...used]
}

it.each(MECHANISMS)('Our users, by %s', async (mechanism) => {
  const file = join(temporaryFolder(), 'users')
  writeFileSync(file, 'ann:{PLAIN}pencil\n')
  const users = () => passwordAuthentication({ credentials: passwordFile(file), mechanisms: MECHANISMS })
  const credentials = { user: 'ann', password: 'pencil', mechanisms: [mechanism] }
  expect(await relay(users(), credentials)).toEqual(['ok 2.0.0', mechanism])
  expect(await relay(users(), { ...credentials, password: 'wrong' })).toEqual(['deferred 4.7.8'])
})

it.skipIf(missing('dovecot'))("Dovecot's users, by each mechanism", async () => {
  const { socket } = await startDovecot(temporaryFolder(), 'ann:{PLAIN}pencil\n')
  for (const mechanism of MECHANISMS) {
    const credentials = { user: 'ann', password: 'pencil', mechanisms: [mechanism] }
    expect(await relay(dovecotAuth({ socket }), credentials)).toEqual(['ok 2.0.0', mechanism])
    expect(await relay(dovecotAuth({ socket }), { ...credentials, password: 'x' })).toEqual(['deferred 4.7.8'])
  }
})
