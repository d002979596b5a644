/** Rates of a client network, as a client sees them. */
import { manualClock, testAuthority } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { ClientGate } from './client-gate.ts'
import { ClientRates } from './client-rates.ts'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'

test('so many connections of a network in a minute, and no more until the next', async () => {
  const { connect, clock, events, finish } = await rig({}, { rates: { connections: 2 } })
  for (const _ of [1, 2]) {
    const client = await connect('192.0.2.7')
    expect(await client.says('QUIT\r\n')).toContain('221')
  }
  expect(await (await connect('192.0.2.7')).heard()).toBe('421 4.7.0 Too many connections, please try again later\r\n')
  expect(events.of('connection.refused')).toMatchObject([
    { client: { address: '192.0.2.7' }, reason: 'connection rate', reply: { code: 421 } },
  ])
  expect(await (await connect('192.0.2.8')).heard()).toContain('220')
  await clock.advance('1m')
  expect(await (await connect('192.0.2.7')).heard()).toContain('220')
  await finish()
})

test('an IPv6 client is counted with its whole network', async () => {
  const { connect, finish } = await rig({}, { host: '::', maxConnectionsPerAddress: 2 })
  const first = await connect('2001:db8::1')
  expect(await first.heard()).toContain('220')
  expect(await (await connect('2001:db8::2')).heard()).toContain('220')
  expect(await (await connect('2001:db8::3')).heard()).toContain('421')
  expect(await (await connect('2001:db8:0:1::1')).heard()).toContain('220')
  await first.says('QUIT\r\n')
  expect(await (await connect('2001:db8::3')).heard()).toContain('220')
  await finish()
})

test('too many messages, recipients or TLS handshakes of a network are refused where they are asked for', async () => {
  const tls = testAuthority().issue({ names: ['mx.example.org'] })
  const rates = { messages: 2, recipients: 3, tlsHandshakes: 1 }
  const { connect, intake, clock, finish } = await rig({}, { rates, tls })
  const client = await connect('192.0.2.7')
  await client.says(`${HELLO}${ENVELOPE}RCPT TO:<eve@example.org>\r\nRSET\r\n`)
  const other = await connect('192.0.2.7')
  await other.says(HELLO)
  await other.transcript(`
    C: MAIL FROM:<ann@example.net>
    S: 250 2.1.0 sender ok
    C: RCPT TO:<bob@example.org>
    S: 250 2.1.5 recipient ok
    C: RCPT TO:<eve@example.org>
    S: 450 4.7.1 Too many recipients from you, please try again later
    C: RSET
    S: 250 2.0.0 OK
    C: MAIL FROM:<ann@example.net>
    S: 450 4.7.1 Too much mail from you, please try again later
  `)
  expect(intake.calls.filter((call) => call.startsWith('refused'))).toEqual([
    'refused rcpt 450 recipient rate',
    'refused mail 450 message rate',
  ])
  const secured = await connect('192.0.2.7')
  await secured.says('STARTTLS\r\n')
  await secured.secure()
  expect(await other.says('STARTTLS\r\n')).toBe('454 4.7.0 Too many TLS handshakes, please try again later\r\n')
  await clock.advance('61s')
  expect(await other.says('MAIL FROM:<ann@example.net>\r\n')).toBe('250 2.1.0 sender ok\r\n')
  await finish()
})

test('loopback and whoever is exempt has no rates', async () => {
  const { connect, finish } = await rig({}, { rates: { connections: 1, messages: 1 } })
  for (let count = 0; count < 3; count++) {
    const client = await connect('127.0.0.1')
    expect(await client.says(`${HELLO}MAIL FROM:<ann@example.net>\r\n`)).toContain('sender ok')
  }
  await finish()
})

test('after so many failed authentications of a network there is no more AUTH, on any of its connections', () => {
  const none = Number.POSITIVE_INFINITY
  const limits = { connections: none, messages: none, recipients: none, failedAuthentications: 2, tlsHandshakes: none }
  const rates = new ClientRates(manualClock(), { ...limits, unitMs: 60_000, remembered: 10 })
  const one = new ClientGate('192.0.2.7', rates, undefined)
  const other = new ClientGate('192.0.2.7', rates, undefined)
  for (let attempt = 0; attempt < 5; attempt++) expect(one.barrier('auth')).toBeUndefined()
  one.authenticationFailed()
  expect(other.barrier('auth')).toBeUndefined()
  other.authenticationFailed()
  expect(one.barrier('auth')).toMatchObject({ reply: { code: 450 }, reason: 'failed authentication rate' })
  expect(new ClientGate('192.0.2.8', rates, undefined).barrier('auth')).toBeUndefined()
})

test('with implicit TLS too many handshakes are cut off before they begin', async () => {
  const tls = { ...testAuthority().issue({ names: ['mx.example.org'] }), mode: 'implicit' as const }
  const { connect, events, finish } = await rig({}, { rates: { tlsHandshakes: 1 }, tls })
  await (await connect('192.0.2.7')).secure()
  const client = await connect('192.0.2.7')
  expect(await client.heard()).toBe('')
  expect(client.closed).toBe(true)
  expect(events.of('connection.refused')).toMatchObject([{ reason: 'TLS handshake rate' }])
  await finish()
})
