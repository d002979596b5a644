/** Rates of a client network, as a client sees them. */
import { testAuthority } from '@mailwright/testing'
import { expect, test } from 'vitest'
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
  expect(await (await connect('2001:db8::1')).heard()).toContain('220')
  expect(await (await connect('2001:db8::2')).heard()).toContain('220')
  expect(await (await connect('2001:db8::3')).heard()).toContain('421')
  expect(await (await connect('2001:db8:0:1::1')).heard()).toContain('220')
  await finish()
})

test('too many messages, recipients or TLS handshakes of a network are refused where they are asked for', async () => {
  const tls = testAuthority().issue({ names: ['mx.example.org'] })
  const rates = { messages: 2, recipients: 3, tlsHandshakes: 0 + 1 }
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
