import { hasCode } from '@mailwright/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { smtpListener } from './index.ts'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'
import { scriptedIntake } from './test-support/scripted-intake.ts'
import { xclientClaims, xforwardFacts } from './trusted-hosts.ts'

const BEFORE = { client: { address: '10.0.0.1', port: 7 }, server: { address: '10.0.0.2', port: 25 } }
const trusted = { xclient: ['10.0.0.1'], xforward: ['10.0.0.0/24'] }

function claims(attributes: string, user?: string): unknown {
  const answer = xclientClaims(`XCLIENT ${attributes}`, { ...BEFORE, user })
  return 'claims' in answer ? answer.claims : answer.refusal.code
}

test('XCLIENT says who the client is', () => {
  expect(
    claims('NAME=spike.example ADDR=192.0.2.7 PORT=4000 PROTO=ESMTP HELO=[192.0.2.7] LOGIN=ann+40example.org'),
  ).toEqual({
    client: { address: '192.0.2.7', port: 4_000 },
    server: undefined,
    clientName: 'spike.example',
    helo: '[192.0.2.7]',
    user: 'ann@example.org',
  })
  expect(claims('name=[TEMPUNAVAIL] addr=IPV6:2001:DB8::7 DESTADDR=192.0.2.1 DESTPORT=587')).toMatchObject({
    client: { address: '2001:db8::7', port: 0 },
    server: { address: '192.0.2.1', port: 587 },
    clientName: 'unknown',
  })
  expect(claims('HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE]')).toEqual({})
})

test.each([
  '',
  'ADDR',
  'ADDR=',
  'ADDR=[UNAVAILABLE]',
  'ADDR=mail.example.org',
  'ADDR=192.0.2.7 ADDR=192.0.2.8',
  'ADDR=192.0.2.7 COLOUR=red',
  'PORT=70000',
  'PROTO=HTTP',
  'NAME=a+0D+0Ab',
  'HELO=a+20b',
  'LOGIN=ann+0Abob',
  'LOGIN=ann+E2+80+A8bob',
  'LOGIN=ann+FF',
  'LOGIN=ann+4',
  'LOGIN=a=b',
  `NAME=${'x'.repeat(256)}`,
])('XCLIENT %j is refused as a whole', (attributes) => {
  expect(claims(attributes)).toBe(501)
})

test('a session that is somebody cannot be handed to nobody', () => {
  expect(claims('ADDR=192.0.2.8', 'ann')).toBe(503)
  expect(claims('ADDR=192.0.2.8 LOGIN=[UNAVAILABLE]', 'ann')).toBe(503)
  expect(claims('ADDR=192.0.2.8 LOGIN=bob', 'ann')).toMatchObject({ user: 'bob' })
})

test('no value can break a line', () => {
  const xtext = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => {
    return Array.from(bytes, (byte) => `+${byte.toString(16).padStart(2, '0')}`).join('')
  })
  fc.assert(
    fc.property(fc.constantFrom('NAME', 'HELO', 'LOGIN', 'ADDR'), xtext, (name, value) => {
      expect(JSON.stringify(claims(`${name}=${value}`))).not.toMatch(/\\[rnt]|\\u00/)
      expect(JSON.stringify(xforwardFacts(`XFORWARD IDENT=${value}`)) ?? '').not.toMatch(/\\[rnt]|\\u00/)
    }),
  )
})

test('a trusted host is offered XCLIENT, and the session begins again with what it said', async () => {
  const { connect, intake, finish } = await rig({}, { trusted })
  const client = await connect('10.0.0.1')
  const offered = await client.says(HELLO)
  expect(offered).toContain('250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n')
  expect(offered).toContain('250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n')
  await client.transcript(`
    C: XCLIENT ADDR=192.0.2.7 LOGIN=ann
    S: 220 mx.example.org ESMTP
    C: MAIL FROM:<ann@example.net>
    S: 503 5.5.1 Send EHLO first
    C: XCLIENT ADDR=nonsense
    S: 501 5.5.4 Bad attribute
  `)
  await client.says(`${HELLO}${ENVELOPE}`)
  expect(await client.says('XCLIENT ADDR=192.0.2.8\r\n')).toContain('503 5.5.1')
  expect(await client.says('XFORWARD ADDR=192.0.2.8\r\n')).toContain('503 5.5.1')
  expect(intake.calls.filter((call) => call.startsWith('claimed'))).toEqual(['claimed 192.0.2.7 ann'])
  await finish()
})

test('XFORWARD is kept for the log and changes nothing', async () => {
  const { connect, intake, events, finish } = await rig({}, { trusted })
  const client = await connect('10.0.0.2')
  expect(await client.says(HELLO)).not.toContain('XCLIENT')
  expect(await client.says('XCLIENT ADDR=192.0.2.7\r\n')).toContain('502')
  expect(await client.says('XFORWARD NAME=spike.example ADDR=192.0.2.7 PORT=[UNAVAILABLE] IDENT=4XYZ\r\n')).toContain(
    '250 2.0.0',
  )
  expect(await client.says(ENVELOPE)).toBe('250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n')
  expect(events.of('session.forwarded')).toMatchObject([
    { session: { client: { address: '10.0.0.2' } }, forwarded: { name: 'spike.example', address: '192.0.2.7' } },
  ])
  expect(intake.calls.filter((call) => call.startsWith('claimed'))).toEqual([])
  await finish()
})

test('a stranger is offered neither and obeyed in neither', async () => {
  for (const options of [{}, { trusted }]) {
    const { connect, intake, finish } = await rig({}, options)
    const client = await connect('192.0.2.9')
    expect(await client.says(HELLO)).not.toMatch(/XCLIENT|XFORWARD/)
    expect(await client.says('XCLIENT ADDR=10.0.0.1\r\nXFORWARD ADDR=10.0.0.1\r\n')).toBe(
      '502 5.5.1 Command not implemented\r\n502 5.5.1 Command not implemented\r\n',
    )
    expect(intake.calls.filter((call) => call.startsWith('claimed'))).toEqual([])
    await finish()
  }
})

test('an address that was claimed is not trusted, and behind a proxy not the proxy but its client is', async () => {
  const claimed = await rig({}, { trusted })
  const host = await claimed.connect('10.0.0.1')
  await host.says('XCLIENT ADDR=192.0.2.7\r\n')
  expect(await host.says('XCLIENT ADDR=192.0.2.8\r\n')).toContain('220')
  const forward = await claimed.connect('10.0.0.2')
  expect(await forward.says('XFORWARD ADDR=10.0.0.1\r\nXCLIENT ADDR=192.0.2.8\r\n')).toContain('502')
  await claimed.finish()

  const proxied = await rig({}, { trusted, proxy: { from: ['10.0.0.1'] } })
  const stranger = await proxied.connect('10.0.0.1')
  await stranger.says('PROXY TCP4 192.0.2.9 10.0.0.2 1 25\r\n')
  expect(await stranger.says('XCLIENT ADDR=192.0.2.8\r\n')).toContain('502')
  await proxied.finish()
})

test('trusted hosts must be addresses', () => {
  const make = (): unknown =>
    smtpListener({ intake: scriptedIntake(), port: 0, trusted: { xclient: ['mail.example.org'] } })
  expect(make).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, 'ERR_MAILWRIGHT_CONFIG')))
})
