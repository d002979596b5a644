import { type Capability, hasCode, type Reply, reply } from '@mailwright/core'
import { testAuthority } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { smtpListener } from './index.ts'
import { ENVELOPE, HELLO, rig } from './test-support/rig.ts'
import { scriptedIntake } from './test-support/scripted-intake.ts'

const certificate = testAuthority().issue({ names: ['mx.example.org'] })
const EVERYTHING: readonly Capability[] = [
  'binarymime',
  'deliverby',
  'dsn',
  'etrn',
  'futurerelease',
  'mt-priority',
  'requiretls',
  'smtputf8',
]

test('an intake that honours nothing is offered with nothing but the engine', async () => {
  const { connect, finish } = await rig(
    { capabilities: [], maxRecipients: 50 },
    { softErrorLimit: 100, hardErrorLimit: 100 },
  )
  const client = await connect()
  await client.transcript(`
    S: 220 mx.example.org ESMTP
    C: EHLO client.example
    S: 250-mx.example.org greets client.example
    S: 250-PIPELINING
    S: 250-SIZE 10000000
    S: 250-8BITMIME
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=50
    S: 250 ENHANCEDSTATUSCODES
    C: MAIL FROM:<ann@example.net> SMTPUTF8
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<jürgen@example.net>
    S: 553 5.6.7 The address needs SMTPUTF8
    C: MAIL FROM:<ann@example.net> BODY=BINARYMIME
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net> RET=HDRS
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net> ENVID=x
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net> REQUIRETLS
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net> MT-PRIORITY=3
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net> BY=120;R
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net> HOLDFOR=10
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net> HOLDUNTIL=2030-01-01T00:00:00Z
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net> AUTH=<>
    S: 555 5.5.4 Unsupported parameter
    C: MAIL FROM:<ann@example.net>
    S: 250 2.1.0 sender ok
    C: RCPT TO:<jürgen@example.org>
    S: 553 5.6.7 The address needs SMTPUTF8
    C: RCPT TO:<bob@example.org> NOTIFY=NEVER
    S: 555 5.5.4 Unsupported parameter
    C: RCPT TO:<bob@example.org> ORCPT=rfc822;bob@example.org
    S: 555 5.5.4 Unsupported parameter
    C: RSET
    S: 250 2.0.0 OK
    C: ETRN example.org
    S: 502 5.5.1 Command not implemented
  `)
  await finish()
})

test('what the intake honours is offered, REQUIRETLS only in TLS', async () => {
  const { greeted, clock, intake, finish } = await rig({ capabilities: EVERYTHING }, { tls: certificate })
  const plain = await greeted()
  const last = new Date(clock.now() + 30 * 86_400_000).toISOString().replace('.000Z', 'Z')
  expect(await plain.says(HELLO)).toBe(
    [
      '250-mx.example.org greets client.example',
      '250-PIPELINING',
      '250-SIZE 10000000',
      '250-8BITMIME',
      '250-SMTPUTF8',
      '250-CHUNKING',
      '250-BINARYMIME',
      '250-DSN',
      '250-MT-PRIORITY',
      '250-DELIVERBY',
      '250-ETRN',
      `250-FUTURERELEASE 2592000 ${last}`,
      '250-LIMITS RCPTMAX=100',
      '250-ENHANCEDSTATUSCODES',
      '250 STARTTLS',
      '',
    ].join('\r\n'),
  )
  expect(await plain.says('MAIL FROM:<ann@example.net> REQUIRETLS\r\n')).toContain('555 5.5.4')
  await plain.says('STARTTLS\r\n')
  const client = await plain.secure()
  expect(await client.says(HELLO)).toContain('250-REQUIRETLS\r\n')
  expect(await client.says('MAIL FROM:<ann@example.net> REQUIRETLS\r\n')).toContain('250 2.1.0')
  expect(intake.mails[0]?.options).toEqual({ requireTls: true })
  await finish()
})

test('parameters are read for the intake, relative to its clock', async () => {
  const { greeted, intake, clock, finish } = await rig({ capabilities: EVERYTHING })
  const client = await greeted()
  await client.says(
    'MAIL FROM:<ann@example.net> RET=HDRS ENVID=a+2Bb MT-PRIORITY=-3 BY=120;NT HOLDFOR=60 SIZE=5 SMTPUTF8\r\n',
  )
  expect(intake.mails[0]).toEqual({
    sender: { local: 'ann', domain: 'example.net' },
    declaredSize: 5,
    options: {
      ret: 'hdrs',
      envid: 'a+2Bb',
      priority: -3,
      deliverBy: { at: clock.now() + 120_000, otherwise: 'notify', trace: true },
      notBefore: clock.now() + 60_000,
      smtputf8: true,
    },
  })
  await client.says('RCPT TO:<bob@example.org> NOTIFY=SUCCESS,delay ORCPT=rfc822;bob+2Bx@example.org\r\n')
  await client.says('RCPT TO:<jürgen@example.org> NOTIFY=NEVER ORCPT=utf-8;jürgen@example.org\r\n')
  expect(intake.rcpts).toEqual([
    {
      recipient: { local: 'bob', domain: 'example.org' },
      notify: ['success', 'delay'],
      orcpt: 'rfc822;bob+2Bx@example.org',
    },
    { recipient: { local: 'jürgen', domain: 'example.org' }, notify: ['never'], orcpt: 'utf-8;jürgen@example.org' },
  ])
  await finish()
})

test('ETRN asks for the waiting mail of a domain', async () => {
  const { connect, intake, finish } = await rig({
    capabilities: ['etrn'],
    etrn: async (domain) => (domain === 'example.com' ? reply(458, '4.3.0', 'unable') : reply(250, '2.0.0', 'started')),
  })
  const client = await connect()
  await client.transcript(`
    S: 220 mx.example.org ESMTP
    C: ETRN example.org
    S: 503 5.5.1 Send EHLO first
  `)
  await client.says(HELLO)
  await client.transcript(`
    C: ETRN Example.org
    S: 250 2.0.0 started
    C: ETRN @example.net
    S: 250 2.0.0 started
    C: ETRN example.com
    S: 458 4.3.0 unable
    C: ETRN
    S: 501 5.5.4 Syntax: ETRN domain
    C: ETRN #queue
    S: 501 5.5.4 Syntax: ETRN domain
    C: ETRN example.org now
    S: 501 5.5.4 Syntax: ETRN domain
    C: MAIL FROM:<ann@example.net>
    S: 250 2.1.0 sender ok
    C: ETRN example.org
    S: 503 5.5.1 A mail transaction is open already
  `)
  expect(intake.calls.filter((call) => call.startsWith('etrn'))).toEqual([
    'etrn example.org',
    'etrn example.net',
    'etrn example.com',
  ])
  await finish()
})

test('VRFY is answered by the intake', async () => {
  const { greeted, intake, finish } = await rig()
  const client = await greeted()
  expect(await client.says('VRFY bob@example.org\r\n')).toBe('252 2.0.0 try it\r\n')
  expect(intake.calls).toContain('vrfy bob@example.org')
  await finish()
})

test('a host adds keywords and verbs of its own', async () => {
  const { greeted, finish } = await rig(
    {},
    {
      extensions: [
        {
          keyword: (session) => `XCOUNT ${session.protocol}`,
          verbs: {
            XCOUNT: (argument) => reply(250, '2.0.0', `${argument.length} characters`),
            XLATER: async () => reply(250, '2.0.0', 'later'),
            XBYE: () => reply(421, '4.7.0', 'that is all'),
          },
        },
        { keyword: () => undefined },
        { keyword: () => 'XBAD\r\n250 STARTTLS' },
      ],
    },
  )
  const client = await greeted()
  expect(await client.says(HELLO)).toMatch(/\r\n250-LIMITS [^\r]*\r\n250-XCOUNT smtp\r\n250 ENHANCEDSTATUSCODES\r\n$/)
  await client.transcript(`
    C: xcount some words
    C: XCOUNT
    C: XLATER
    C: NOOP
    S: 250 2.0.0 10 characters
    S: 250 2.0.0 0 characters
    S: 250 2.0.0 later
    S: 250 2.0.0 OK
    C: XOTHER
    S: 500 5.5.1 Command not recognized
    C: XBYE
    S: 421 4.7.0 that is all
    S: <closed>
  `)
  await finish()
})

const boom = (): never => {
  throw new Error('secret')
}

test('a verb of the host that throws is a temporary failure, and one that is asked for without end is the end', async () => {
  for (const handler of [boom, async (): Promise<Reply> => boom()]) {
    const { greeted, events, finish } = await rig({}, { extensions: [{ verbs: { XBOOM: handler } }] })
    const client = await greeted()
    expect(await client.says('XBOOM\r\nNOOP\r\n')).toBe(
      '451 4.3.0 Temporary failure, please try again later\r\n250 2.0.0 OK\r\n',
    )
    expect(events.of('failure')).toHaveLength(1)
    expect(await client.says('XBOOM\r\n'.repeat(100))).toMatch(/421 4\.7\.0 Too many errors[^\r]*\r\n$/)
    await finish()
  }
})

test.each(['MAIL', 'BDAT', 'XCLIENT', 'xlower', 'TWO WORDS', ''])('%j cannot be a verb of the host', (verb) => {
  const make = (): unknown =>
    smtpListener({
      intake: scriptedIntake(),
      port: 0,
      extensions: [{ verbs: { [verb]: () => reply(250, '2.0.0', 'ok') } }],
    })
  expect(make).toThrow(expect.toSatisfy((error) => hasCode(error, 'ERR_MAILWRIGHT_CONFIG')))
})

test('mail is taken as ever where everything is offered', async () => {
  const { greeted, intake, finish } = await rig({ capabilities: EVERYTHING })
  const client = await greeted()
  await client.says(`${ENVELOPE}DATA\r\n`)
  expect(await client.says('hi\r\n.\r\n')).toBe('250 2.0.0 queued\r\n')
  expect(intake.mails).toEqual([{ sender: { local: 'ann', domain: 'example.net' }, options: {} }])
  await finish()
})
