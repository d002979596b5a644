import { type AuthenticationStep, reply } from '@mailwright/core'
import { testAuthority } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { ENVELOPE, HELLO, type Rig, rig, type TestClient } from './test-support/rig.ts'
import {
  type AuthenticatorScript,
  base64,
  challenge,
  type ScriptedAuthenticator,
  scriptedAuthenticator,
} from './test-support/scripted-authenticator.ts'
import type { IntakeScript } from './test-support/scripted-intake.ts'

const certificate = testAuthority().issue({ names: ['mx.example.org'] })
const GOOD = base64('good')
const BAD = base64('bad')

interface AuthRig extends Rig {
  readonly authenticator: ScriptedAuthenticator
  readonly client: TestClient
}

/** A listener that takes AUTH in clear text, and a client that has said EHLO. */
async function authRig(script: AuthenticatorScript = {}, intake: IntakeScript = {}): Promise<AuthRig> {
  const authenticator = scriptedAuthenticator(script)
  const world = await rig(intake, { auth: authenticator, authWithoutTls: 'allowed' })
  return { ...world, authenticator, client: await world.greeted() }
}

test('a client proves who it is with an initial response', async () => {
  const { client, intake, authenticator, finish } = await authRig()
  await client.transcript(`
    C: AUTH plain ${GOOD}
    S: 235 2.7.0 welcome
    C: AUTH PLAIN ${GOOD}
    S: 503 5.5.1 You are authenticated already
  `)
  expect(await client.says(HELLO)).not.toContain('AUTH')
  expect(authenticator.calls).toEqual(['PLAIN', 'response good'])
  expect(authenticator.contexts).toMatchObject([{ hostname: 'mx.example.org', session: { protocol: 'smtp' } }])
  expect(intake.calls).toContain('authenticated ann by PLAIN')
  await finish()
})

test('a client that sends no initial response is asked for one, and an empty one is a response', async () => {
  const { client, authenticator, intake, finish } = await authRig()
  expect(await client.says('AUTH PLAIN\r\n')).toBe('334 \r\n')
  expect(await client.says(`${BAD}\r\n`)).toBe('535 5.7.8 Authentication failed\r\n')
  expect(await client.says('AUTH PLAIN =\r\n')).toBe('535 5.7.8 Authentication failed\r\n')
  expect(await client.says('AUTH PLAIN\r\n\r\n')).toBe('334 \r\n535 5.7.8 Authentication failed\r\n')
  expect(authenticator.calls.join()).toBe('PLAIN,no response,response bad,PLAIN,response ,PLAIN,no response,response ')
  expect(intake.calls).toContain('not authenticated ann by PLAIN: wrong password')
  await finish()
})

test('a mechanism of several steps, with its proof for the client at the end', async () => {
  const steps: AuthenticationStep[] = [
    challenge('server first'),
    { kind: 'success', user: 'ann', data: Buffer.from('v=proof') },
  ]
  const { client, authenticator, intake, finish } = await authRig({ step: (_response, index) => steps[index]! })
  await client.transcript(`
    C: AUTH SCRAM-SHA-256 ${base64('client first')}
    S: 334 ${base64('server first')}
    C: ${base64('client final')}
    S: 334 ${base64('v=proof')}
  `)
  expect(intake.calls).not.toContain('authenticated ann by SCRAM-SHA-256')
  expect(await client.says('\r\n')).toBe('235 2.7.0 welcome\r\n')
  expect(authenticator.calls).toEqual(['SCRAM-SHA-256', 'response client first', 'response client final'])
  expect(intake.calls).toContain('authenticated ann by SCRAM-SHA-256')
  await finish()
})

test.each([
  ['*', '501 5.7.0 Authentication cancelled'],
  [base64('more'), '501 5.5.2 Response is not what was expected'],
])('who answers the proof with %s is not authenticated', async (answer, said) => {
  const { client, authenticator, intake, finish } = await authRig({
    step: () => ({ kind: 'success', user: 'ann', data: Buffer.from('v=proof') }),
  })
  await client.says(`AUTH PLAIN ${GOOD}\r\n`)
  expect(await client.says(`${answer}\r\n`)).toBe(`${said}\r\n`)
  expect(authenticator.calls.at(-1)).toBe('cancel')
  expect(intake.calls.filter((call) => call.startsWith('authenticated'))).toEqual([])
  expect(await client.says('AUTH PLAIN\r\n')).toContain('334')
  await finish()
})

test('AUTH out of order, unknown or badly formed is refused with the right codes', async () => {
  const { connect, authenticator, finish } = await authRig()
  const client = await connect()
  await client.transcript(`
    S: 220 mx.example.org ESMTP
    C: AUTH PLAIN ${GOOD}
    S: 503 5.5.1 Send EHLO first
    C: HELO client.example
    S: 250 mx.example.org greets client.example
    C: AUTH PLAIN ${GOOD}
    S: 503 5.5.1 Send EHLO first
  `)
  await client.says(HELLO)
  await client.transcript(`
    C: AUTH
    S: 501 5.5.4 Syntax: AUTH mechanism [initial-response]
    C: AUTH PLAIN one two
    S: 501 5.5.4 Syntax: AUTH mechanism [initial-response]
    C: AUTH LOGIN
    S: 504 5.5.4 Authentication mechanism not supported
    C: AUTH PLAIN not-base64
    S: 501 5.5.2 Response is not what was expected
    C: AUTH PLAIN Zm9vYg
    S: 501 5.5.2 Response is not what was expected
    C: MAIL FROM:<ann@example.net>
    S: 250 2.1.0 sender ok
    C: AUTH PLAIN ${GOOD}
    S: 503 5.5.1 A mail transaction is open already
    C: RSET
    S: 250 2.0.0 OK
  `)
  expect(authenticator.calls).toEqual([])
  await finish()
})

test.each([
  ['*', '501 5.7.0 Authentication cancelled'],
  ['not base64', '501 5.5.2 Response is not what was expected'],
  ['Zm9v\0', '501 5.5.2 Response is not what was expected'],
  ['jürgen', '501 5.5.2 Response is not what was expected'],
  ['=', '501 5.5.2 Response is not what was expected'],
])('the response %j ends the exchange, and the next line is a command', async (response, said) => {
  const { client, authenticator, finish } = await authRig()
  await client.says('AUTH PLAIN\r\n')
  expect(await client.says(`${response}\r\nNOOP\r\n`)).toBe(`${said}\r\n250 2.0.0 OK\r\n`)
  expect(authenticator.calls).toEqual(['PLAIN', 'no response', 'cancel'])
  expect(authenticator.signals[0]?.aborted).toBe(true)
  await finish()
})

test('a response that ends in a bare LF ends the exchange', async () => {
  const { client, authenticator, finish } = await authRig()
  await client.says('AUTH PLAIN\r\n')
  expect(await client.says(`${GOOD}\nNOOP\r\n`)).toBe('500 5.5.2 bare <LF> received\r\n250 2.0.0 OK\r\n')
  expect(authenticator.calls.at(-1)).toBe('cancel')
  await finish()
})

const LONGEST = 'eHh4'.repeat(3_072)

test.each([
  ['at once', LONGEST, '535 5.7.8 Authentication failed'],
  ['in pieces', LONGEST, '535 5.7.8 Authentication failed'],
  ['at once', `${LONGEST}eHh4`, '500 5.5.6 Line too long'],
  ['in pieces', `${LONGEST}eHh4`, '500 5.5.6 Line too long'],
])('a response may have 12,288 octets and no more; it comes %s', async (how, response, said) => {
  const { client, authenticator, finish } = await authRig()
  await client.says('AUTH PLAIN\r\n')
  for (let at = 0; at < response.length; at += 1_000) {
    client.wire.write(response.slice(at, at + 1_000))
    if (how === 'in pieces') await client.heard()
  }
  expect(await client.says('\r\n')).toBe(`${said}\r\n`)
  expect(authenticator.calls.at(-1)).toMatch(said.startsWith('500') ? /^cancel$/ : /^response x{9216}$/)
  await finish()
})

test.each(['at once', 'in pieces'])('AUTH with a long token in its own line is taken; it comes %s', async (how) => {
  const { client, authenticator, finish } = await authRig()
  const line = `AUTH PLAIN ${'eHh4'.repeat(3_000)}`
  for (let at = 0; at < line.length; at += 1_000) {
    client.wire.write(line.slice(at, at + 1_000))
    if (how === 'in pieces') await client.heard()
  }
  expect(await client.says('\r\n')).toBe('535 5.7.8 Authentication failed\r\n')
  expect(authenticator.calls.at(-1)).toMatch(/^response x{9000}$/)
  await finish()
})

test('only AUTH may be that long', async () => {
  const { client, finish } = await authRig()
  expect(await client.says(`NOOP ${'x'.repeat(3_000)}\r\n`)).toBe('500 5.5.6 Line too long\r\n')
  await client.says(`AUTH PLAIN ${BAD}\r\n`)
  expect(await client.says(`NOOP ${'x'.repeat(3_000)}\r\n`)).toBe('500 5.5.6 Line too long\r\n')
  await finish()
})

test('the fourth failure ends the connection', async () => {
  const { client, intake, finish } = await authRig()
  const said = await client.says(`AUTH PLAIN ${BAD}\r\n`.repeat(5))
  expect(said.split('\r\n')).toEqual([
    '535 5.7.8 Authentication failed',
    '535 5.7.8 Authentication failed',
    '535 5.7.8 Authentication failed',
    '421 4.7.0 Too many authentication failures',
    '',
  ])
  expect(client.closed).toBe(true)
  expect(intake.calls.filter((call) => call.startsWith('not authenticated'))).toHaveLength(4)
  await finish()
})

test('trouble of the back end is said as it is, and is no guess at a password', async () => {
  const { client, finish } = await authRig({
    step: () => ({ kind: 'failure', reason: 'no answer', reply: reply(454, '4.7.0', 'try later') }),
  })
  for (let attempt = 0; attempt < 6; attempt++) {
    expect(await client.says(`AUTH PLAIN ${GOOD}\r\n`)).toBe('454 4.7.0 try later\r\n')
  }
  await finish()
})

const boom = (): never => {
  throw new Error('secret')
}

test.each([
  ['a step that throws', { step: boom }, {}],
  ['an exchange that cannot begin', { begin: boom }, {}],
  ['an intake that throws', {}, { authenticated: boom }],
])('%s lets nobody in', async (_what, script, intake) => {
  const { client, events, finish } = await authRig(script, intake)
  expect(await client.says(`AUTH PLAIN ${GOOD}\r\n`)).toBe('454 4.7.0 Temporary authentication failure\r\n')
  expect(events.of('failure')).toHaveLength(1)
  expect(await client.says(`AUTH PLAIN ${GOOD}\r\nNOOP\r\n`)).toContain('454 4.7.0')
  await finish()
})

test('an intake may refuse a user who has proved who he is', async () => {
  const { client, finish } = await authRig({}, { authenticated: () => reply(535, '5.7.8', 'not from there') })
  expect(await client.says(`AUTH PLAIN ${GOOD}\r\n`)).toBe('535 5.7.8 not from there\r\n')
  expect(await client.says(HELLO)).toContain('AUTH')
  await finish()
})

test('while the back end works the client is not too slow; while the client is asked it may be', async () => {
  const answer = Promise.withResolvers<AuthenticationStep>()
  const { client, clock, authenticator, finish } = await authRig({ step: () => answer.promise })
  await client.says(`AUTH PLAIN ${GOOD}\r\nNOOP\r\n`)
  await clock.advance('1h')
  expect(await client.heard()).toBe('')
  answer.resolve(challenge('well?'))
  expect(await client.heard()).toContain('334 ')
  await clock.advance('5m')
  expect(client.closed).toBe(true)
  await finish()
  expect(authenticator.calls.at(-1)).toBe('cancel')
})

test.each(['while it is asked', 'while the back end works'])('a client that vanishes %s cancels', async (when) => {
  const answer = Promise.withResolvers<AuthenticationStep>()
  const { client, authenticator, intake, events, finish } = await authRig({
    step: () => (when === 'while it is asked' ? challenge('well?') : answer.promise),
  })
  await client.says(`AUTH PLAIN ${GOOD}\r\n`)
  client.wire.destroy()
  await client.heard()
  expect(authenticator.calls.at(-1)).toBe('cancel')
  expect(authenticator.signals[0]?.aborted).toBe(true)
  answer.resolve({ kind: 'success', user: 'ann' })
  await client.heard()
  expect(intake.calls.filter((call) => call.startsWith('authenticated'))).toEqual([])
  expect(events.of('failure')).toEqual([])
  await finish()
})

test('in clear text AUTH is neither offered nor taken; in TLS it is, and bound to the channel', async () => {
  const authenticator = scriptedAuthenticator()
  const { greeted, finish } = await rig({}, { auth: authenticator, tls: certificate })
  const plain = await greeted()
  expect(await plain.says(HELLO)).not.toContain('AUTH')
  expect(await plain.says(`AUTH PLAIN ${GOOD}\r\n`)).toBe('538 5.7.11 Encryption is required for authentication\r\n')
  await plain.says('STARTTLS\r\n')
  const client = await plain.secure()
  expect(await client.says(HELLO)).toContain('250-AUTH SCRAM-SHA-256 PLAIN\r\n')
  expect(await client.says(`AUTH PLAIN ${GOOD}\r\n`)).toBe('235 2.7.0 welcome\r\n')
  const { channelBinding } = authenticator.contexts[0]!
  const wire = client.wire as unknown as {
    exportKeyingMaterial(length: number, label: string, context: Buffer): Buffer
  }
  expect(channelBinding?.type).toBe('tls-exporter')
  expect(channelBinding?.data).toEqual(wire.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)))
  await finish()
})

test('who is authenticated in clear text cannot begin TLS, which would have to forget it', async () => {
  const world = await rig({}, { auth: scriptedAuthenticator(), authWithoutTls: 'allowed', tls: certificate })
  const client = await world.greeted()
  await client.says(`AUTH PLAIN ${GOOD}\r\n`)
  expect(await client.says('STARTTLS\r\n')).toBe('503 5.5.1 You are authenticated already\r\n')
  await world.finish()
})

test('without a mechanism for this session AUTH is not offered', async () => {
  const { client, finish } = await authRig({ mechanisms: () => [] })
  expect(await client.says(HELLO)).not.toContain('AUTH')
  expect(await client.says('AUTH PLAIN\r\n')).toBe('504 5.5.4 Authentication mechanism not supported\r\n')
  await finish()
})

test('the submitter that a client names counts once it is authenticated', async () => {
  const { client, intake, finish } = await authRig()
  await client.says('MAIL FROM:<ann@example.net> AUTH=eve+2Bnews@example.net\r\nRSET\r\n')
  await client.says(`AUTH PLAIN ${GOOD}\r\n`)
  await client.says('MAIL FROM:<ann@example.net> AUTH=eve+2Bnews@example.net\r\nRSET\r\n')
  await client.says('MAIL FROM:<ann@example.net> AUTH=<>\r\nRSET\r\n')
  expect(intake.mails.map((mail) => mail.options.submitter)).toEqual(['', 'eve+news@example.net', ''])
  await finish()
})

test('mail after AUTH is taken as ever, pipelined and all', async () => {
  const { client, intake, finish } = await authRig()
  expect(await client.says(`AUTH PLAIN ${GOOD}\r\n${ENVELOPE}DATA\r\n`)).toMatch(/^235.*\r\n.*\r\n.*\r\n354 /)
  expect(await client.says('hi\r\n.\r\n')).toBe('250 2.0.0 queued\r\n')
  expect(intake.messages).toEqual(['hi\r\n'])
  await finish()
})
