import { hasCode } from '@mailwright/core'
import { settle, testAuthority } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { smtpListener } from './index.ts'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'
import { scriptedIntake } from './test-support/scripted-intake.ts'

const authority = testAuthority()
const certificate = authority.issue({ names: ['mx.example.org'] })

test('STARTTLS secures the session, and what was said in clear text is forgotten', async () => {
  const { greeted, intake, finish } = await rig({}, { tls: certificate })
  const plain = await greeted()
  expect(await plain.says(HELLO)).toContain('250 STARTTLS\r\n')
  expect(await plain.says('STARTTLS\r\n')).toBe('220 2.0.0 Ready to start TLS\r\n')
  const client = await plain.secure({ servername: 'mx.example.org', verify: true, ca: [authority.ca] })
  expect(await client.says('MAIL FROM:<ann@example.net>\r\n')).toBe('503 5.5.1 Send EHLO first\r\n')
  const offered = await client.says(HELLO)
  expect(offered).toContain('250 ENHANCEDSTATUSCODES')
  expect(offered).not.toContain('STARTTLS')
  expect(await client.says('STARTTLS\r\n')).toBe('503 5.5.1 TLS is active already\r\n')
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('secret\r\n.\r\n')).toBe('250 2.0.0 queued\r\n')
  expect(intake.messages).toEqual(['secret\r\n'])
  expect(intake.calls).toContain('secured TLSv1.3')
  expect(await client.says('QUIT\r\n')).toBe('221 2.0.0 Bye\r\n')
  expect(client.closed).toBe(true)
  await finish()
})

test('what is pipelined behind STARTTLS in clear text is dropped', async () => {
  const { greeted, intake, finish } = await rig({}, { tls: certificate })
  const plain = await greeted()
  await plain.says('STARTTLS\r\nRSET\r\nMAIL FROM:<evil@example>\r\n')
  const client = await plain.secure()
  expect(await client.says('NOOP\r\n')).toBe('250 2.0.0 OK\r\n')
  expect(intake.calls.filter((call) => call === 'reset' || call.startsWith('mail'))).toEqual([])
  await finish()
})

test('STARTTLS has no argument, and no place in a transaction', async () => {
  const { greeted, finish } = await rig({}, { tls: certificate })
  const client = await greeted()
  expect(await client.says('STARTTLS now\r\n')).toContain('501 5.5.4')
  await client.says('MAIL FROM:<ann@example.net>\r\n')
  expect(await client.says('STARTTLS\r\n')).toContain('503 5.5.1')
  await finish()
})

test('with implicit TLS the greeting comes through TLS, and the intake knows of it', async () => {
  const { connect, intake, listener, finish } = await rig({}, { tls: { ...certificate, mode: 'implicit' } })
  expect(listener.url).toMatch(/^smtps:/)
  const client = await (await connect('192.0.2.9')).secure({
    servername: 'mx.example.org',
    verify: true,
    ca: [authority.ca],
  })
  expect(await client.heard()).toBe('220 mx.example.org ESMTP\r\n')
  expect(await client.says(HELLO)).not.toContain('STARTTLS')
  expect(intake.clients).toMatchObject([
    { client: { address: '192.0.2.9' }, server: { address: '127.0.0.1' }, tls: { servername: 'mx.example.org' } },
  ])
  await finish()
})

test('a handshake that fails ends the connection and is reported', async () => {
  for (const mode of ['starttls', 'implicit'] as const) {
    const { connect, events, intake, listener, finish } = await rig({}, { tls: { ...certificate, mode } })
    const client = await connect()
    if (mode === 'starttls') await client.says(`${HELLO}STARTTLS\r\n`)
    client.wire.write('this is no handshake, whatever it is\r\n')
    await settle()
    await client.heard()
    expect(listener.connections).toBe(0)
    if (mode === 'starttls') expect(intake.calls).toContain('refused starttls 454')
    else expect(events.of('connection.refused')).toMatchObject([{ reason: 'TLS handshake failed' }])
    await finish()
  }
})

test('a handshake that does not come is not waited for for ever', async () => {
  for (const mode of ['starttls', 'implicit'] as const) {
    const { connect, clock, listener, finish } = await rig({}, { tls: { ...certificate, mode } })
    const client = await connect()
    if (mode === 'starttls') await client.says(`${HELLO}STARTTLS\r\n`)
    await clock.advance('5m')
    expect(listener.connections).toBe(0)
    await finish()
  }
})

test('a client may vanish in the middle of a handshake, and stop may come then', async () => {
  for (const who of ['client', 'stop'] as const) {
    const { connect, net, finish } = await rig({}, { tls: { ...certificate, mode: 'implicit' } })
    const client = await connect()
    const handshake = net.secure(client.wire, { verify: false }, { signal: new AbortController().signal })
    handshake.catch(() => {})
    if (who === 'client') client.wire.destroy()
    await finish()
  }
})

test('an old TLS version is refused when a newer one is asked for', async () => {
  const { greeted, finish } = await rig({}, { tls: { ...certificate, minVersion: 'TLSv1.3' } })
  const plain = await greeted()
  await plain.says('STARTTLS\r\n')
  const client = await plain.secure()
  expect(await client.says('NOOP\r\n')).toContain('250')
  await finish()
})

test('over the limit a client that expects TLS is closed without clear text', async () => {
  const { connect, finish } = await rig({}, { tls: { ...certificate, mode: 'implicit' }, maxConnections: 1 })
  await connect()
  const client = await connect()
  expect(await client.heard()).toBe('')
  expect(client.closed).toBe(true)
  await finish()
})

test('a certificate that is none is refused when the block is made', async () => {
  const make = (): unknown =>
    smtpListener({ intake: scriptedIntake(), port: 0, tls: { key: 'x', cert: 'y' } }).create({
      environment: { clock: {} },
    } as never)
  expect(make).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, 'ERR_MAILWRIGHT_CONFIG')))
})
