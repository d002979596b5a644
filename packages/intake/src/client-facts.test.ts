/** What is known of a client, and how it changes: AUTH, STARTTLS, the word of a trusted host, and the verbs beside mail. */
import {
  accept,
  type Capability,
  discard,
  MailwrightError,
  type Policy,
  policy,
  reject,
  reply,
  replyLine,
  type TlsFacts,
  type Transport,
} from '@mailwright/core'
import { mailbox, scriptedTransport, testScope } from '@mailwright/testing'
import { describe, expect, test } from 'vitest'
import { type MailIntakeOptions, mailIntake } from './mail-intake.ts'
import { acceptAll, type ConversationOptions, conversation, MESSAGE, willing } from './testing-support/conversation.ts'

const TLS: TlsFacts = { protocol: 'TLSv1.3', cipher: 'AES' }
const CERTIFICATE = { subject: 'CN=a', issuer: 'CN=b', fingerprint: 'f', publicKeyFingerprint: 'p', verified: true }

/** `with` of the Received field of a message received so. */
async function receivedWith(
  options: ConversationOptions,
  greeting: 'HELO' | 'EHLO' | 'LHLO',
  user: 'somebody' | 'nobody',
  smtputf8 = {},
): Promise<string | undefined> {
  const transport = willing()
  const client = conversation({ ...options, transport })
  await client.greet()
  await client.helo(greeting)
  if (user === 'somebody') await client.dialogue.authenticated('ann', 'PLAIN')
  await client.mail('sender@example.net', { options: smtputf8 })
  await client.rcpt()
  await client.data(MESSAGE)
  return / with (\S+) /.exec(Buffer.from(transport.jobs[0]!.message.head).toString())?.[1]
}

describe('Received says how the message came', () => {
  test.each([
    ['SMTP', {}, 'HELO', 'nobody', {}],
    ['ESMTP', {}, 'EHLO', 'nobody', {}],
    ['ESMTPA', {}, 'EHLO', 'somebody', {}],
    ['ESMTPS', { tls: TLS }, 'EHLO', 'nobody', {}],
    ['ESMTPSA', { tls: TLS }, 'EHLO', 'somebody', {}],
    ['UTF8SMTP', {}, 'EHLO', 'nobody', { smtputf8: true }],
    ['UTF8SMTPSA', { tls: TLS }, 'EHLO', 'somebody', { smtputf8: true }],
    ['LMTP', { protocol: 'lmtp' }, 'LHLO', 'nobody', {}],
    ['LMTPSA', { protocol: 'lmtp', tls: TLS }, 'LHLO', 'somebody', {}],
    ['UTF8LMTPS', { protocol: 'lmtp', tls: TLS }, 'LHLO', 'nobody', { smtputf8: true }],
  ] as const)('%s', async (expected, options, greeting, user, given) => {
    expect(await receivedWith(options, greeting, user, given)).toBe(expected)
  })
})

describe('a client that authenticates', () => {
  test('is its user to policies and in events from then on', async () => {
    const asked: (string | undefined)[] = []
    const watch = policy('watch', (session) => ({ mail: () => void asked.push(session.user) }))
    const client = conversation({ policies: [acceptAll, watch] })
    await client.helo()
    await client.mail()
    client.dialogue.reset()
    expect(replyLine(await client.dialogue.authenticated('ann', 'SCRAM-SHA-256'))).toMatch(/^235 2\.7\.0/)
    await client.mail()
    expect(asked).toEqual([undefined, 'ann'])
    expect(client.events.of('session.authenticated')).toMatchObject([
      { mechanism: 'SCRAM-SHA-256', session: { user: 'ann', mechanism: 'SCRAM-SHA-256' } },
    ])
    client.dialogue.close()
    expect(client.events.of('session.closed')).toMatchObject([{ session: { user: 'ann' } }])
  })

  test('and fails is nobody, and the attempt is told', async () => {
    const client = conversation()
    client.dialogue.notAuthenticated('PLAIN', 'wrong password', 'ann', reply(535, '5.7.8', 'no'))
    expect(client.dialogue.session.user).toBeUndefined()
    expect(client.events.of('authentication.failed')).toMatchObject([
      { mechanism: 'PLAIN', user: 'ann', reason: 'wrong password', reply: { code: 535 } },
    ])
  })

  test('and asks for TLS afterwards has to do it again (RFC 3207 §4.2)', async () => {
    const client = conversation()
    await client.dialogue.authenticated('ann', 'PLAIN')
    client.dialogue.secured(TLS)
    expect(client.dialogue.session).toMatchObject({ user: undefined, mechanism: undefined, helo: undefined, tls: TLS })
  })
})

describe('a trusted host that speaks for another client', () => {
  const PROXY = { address: '192.0.2.7', port: 40_000 }
  const CLIENT = { address: '203.0.113.9', port: 4_000 }
  /** Refuses at connect whoever comes from the proxy; says which clients it was opened for. */
  function onlyOthers(opened: string[], closed: string[]): Policy {
    return policy('only-others', (session) => {
      const { address } = session.client
      opened.push(address)
      return {
        connect: () => (address === PROXY.address ? reject(reply(550, '5.7.1', 'not you')) : undefined),
        rcpt: () => accept(),
        close: () => void closed.push(address),
      }
    })
  }

  test('begins the session again: policies are opened with the new facts, and what was said is forgotten', async () => {
    const [opened, closed]: [string[], string[]] = [[], []]
    const client = conversation({ policies: [onlyOthers(opened, closed)] })
    await client.greet()
    await client.helo()
    await client.mail()
    expect(await client.rcpt()).toBe('550 5.7.1 not you')
    expect(replyLine(await client.dialogue.claimed({ client: CLIENT, clientName: 'mail.example.net' }))).toMatch(/^220/)
    expect(client.dialogue.session).toMatchObject({
      client: CLIENT,
      via: PROXY,
      clientName: 'mail.example.net',
      helo: undefined,
      extended: false,
    })
    expect(opened).toEqual([PROXY.address, CLIENT.address])
    expect(closed).toEqual([PROXY.address])
    expect(await client.rcpt()).toMatch(/^503/)
    await client.helo()
    await client.mail()
    expect(await client.rcpt()).toMatch(/^250/)
    client.dialogue.close()
    expect(closed).toEqual([PROXY.address, CLIENT.address])
  })

  test('what the policies of the proxy left for its messages is not left for those of the client', async () => {
    const transport = willing()
    const marks = policy('marks', (session) => {
      const value = session.client.address
      return {
        connect: () => ({
          verdict: { kind: 'hold' },
          edits: [{ edit: 'prepend-header', name: 'X-From', value }],
        }),
      }
    })
    const client = conversation({ transport, policies: [acceptAll, marks] })
    await client.greet()
    await client.dialogue.claimed({ client: CLIENT })
    await client.helo()
    await client.mail()
    await client.rcpt()
    await client.data(MESSAGE)
    const head = Buffer.from(transport.jobs[0]!.message.head).toString()
    expect(head.match(/X-From: .*/g)).toEqual([`X-From: ${CLIENT.address}`])
  })

  test('never hands on the user it authenticated as, nor its certificate', async () => {
    const client = conversation({ tls: { ...TLS, clientCertificate: CERTIFICATE } })
    await client.dialogue.authenticated('proxy', 'EXTERNAL')
    await client.dialogue.claimed({ client: CLIENT })
    expect(client.dialogue.session).toMatchObject({ user: undefined, mechanism: undefined })
    expect(client.dialogue.session.tls).toEqual(TLS)
    await client.dialogue.claimed({ user: 'ann' })
    expect(client.dialogue.session).toMatchObject({ user: 'ann', mechanism: undefined, client: CLIENT, via: PROXY })
    await client.dialogue.claimed({ helo: 'claimed.example.net', server: { address: '192.0.2.99', port: 25 } })
    expect(client.dialogue.session).toMatchObject({
      user: undefined,
      helo: 'claimed.example.net',
      server: { address: '192.0.2.99' },
    })
  })

  test('may be greeted with a refusal of that client', async () => {
    const strict = policy('strict', (session) => ({
      connect: () => (session.client.address === CLIENT.address ? reject(reply(550, '5.7.1', 'not you')) : undefined),
    }))
    const client = conversation({ policies: [strict], refuse: 'at-once' })
    expect(await client.greet()).toMatch(/^220/)
    expect(replyLine(await client.dialogue.claimed({ client: CLIENT }))).toBe('554 5.7.1 not you')
  })
})

describe('ETRN', () => {
  const ok = reply(250, '2.0.0', 'Queuing started')
  const no = reply(458, '4.3.0', 'Unable to queue')

  test('is not offered by omission', async () => {
    expect(replyLine(await conversation().dialogue.etrn('example.org'))).toMatch(/^502 5\.5\.1/)
  })

  test.each([
    ['at once', () => ok, () => no],
    ['later', async () => ok, async () => no],
  ])('is answered by the program, %s', async (_when, yes, refuse) => {
    const asked: string[] = []
    const willingly = conversation({ etrn: (domain) => (asked.push(domain) > 0 ? yes() : no) })
    expect(await willingly.dialogue.etrn('example.org')).toBe(ok)
    expect(asked).toEqual(['example.org'])
    expect(willingly.refusals).toEqual([])
    const unwilling = conversation({ etrn: refuse })
    expect(await unwilling.dialogue.etrn('example.org')).toBe(no)
    expect(unwilling.refusals).toEqual([`etrn intake ${replyLine(no)}`])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('secret')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('secret')
      },
    ],
  ])('is a temporary refusal when the program %s', async (_how, fail) => {
    const client = conversation({ etrn: fail })
    expect(replyLine(await client.dialogue.etrn('example.org'))).toMatch(/^451 4\.3\.0/)
    expect(client.events.of('failure')).toMatchObject([{ where: 'etrn' }])
  })

  test('is refused in the words the error brings', async () => {
    const error = new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'full', { reply: reply(459, '4.3.1', 'Not now') })
    const client = conversation({
      etrn: () => {
        throw error
      },
    })
    expect(replyLine(await client.dialogue.etrn('example.org'))).toBe('459 4.3.1 Not now')
  })
})

test('VRFY verifies nobody', async () => {
  expect(replyLine(await conversation().dialogue.vrfy('ann'))).toMatch(/^252 2\.0\.0/)
})

describe('a message in chunks', () => {
  const BINARY = 'Subject: hi\r\n\r\na\nb\rc\0d'

  async function chunks(
    form: 'data' | 'bdat',
    body: 'binarymime' | '8bitmime',
    ...pieces: string[]
  ): Promise<string[]> {
    const client = conversation()
    await client.greet()
    await client.helo()
    await client.mail('sender@example.net', { options: { body } })
    await client.rcpt()
    const answer = await client.dialogue.data(form)
    if (answer.kind === 'refuse') return [replyLine(answer.reply), ...client.refusals]
    for (const piece of pieces) await answer.body.write(Buffer.from(piece))
    return (await answer.body.end()).map(replyLine)
  }

  test('may hold any byte with BODY=BINARYMIME, and ends where it ends', async () => {
    expect(await chunks('bdat', 'binarymime', BINARY)).toMatchObject([expect.stringMatching(/^250/)])
  })

  test('obeys the line-end rule like DATA without it', async () => {
    expect(await chunks('bdat', '8bitmime', BINARY)).toEqual(['550 5.5.2 bare <LF> received'])
  })

  test.each([
    ['Subject: hi\nX: y\r\n\r\nbody', '550 5.5.2 bare <LF> received'],
    ['Subject: hi\rX: y\r\n\r\nbody', '550 5.5.2 bare <CR> received'],
    ['Subject: hi\0\r\n\r\nbody', '550 5.5.2 NUL octet received'],
    ['Subject: all head\r', '550 5.5.2 bare <CR> received'],
  ])('has a head made of lines all the same: %j', async (text, refusal) => {
    expect(await chunks('bdat', 'binarymime', text)).toEqual([refusal])
  })

  test('cannot come by DATA when it is binary (RFC 3030 §3)', async () => {
    const refusal = '503 5.5.1 BODY=BINARYMIME needs BDAT'
    expect(await chunks('data', 'binarymime', BINARY)).toEqual([refusal, `data intake ${refusal}`])
  })
})

describe('an intake honours', () => {
  test('nothing that its transport does not name', () => {
    expect([...intakeOver({ name: 'plain', deliver: async () => new Map() })]).toEqual([])
  })

  test('what its transport names, and ETRN only when it is answered', () => {
    const transport = scriptedTransport({ capabilities: ['dsn', 'etrn', 'smtputf8'] })
    expect([...intakeOver(transport)]).toEqual(['dsn', 'smtputf8'])
    expect([...intakeOver(transport, { etrn: () => reply(250, '2.0.0', 'Ok') })]).toEqual(['dsn', 'etrn', 'smtputf8'])
  })

  function intakeOver(transport: Transport, more: Partial<MailIntakeOptions> = {}): ReadonlySet<Capability> {
    return mailIntake({ hostname: 'mx.example.org', policies: [], transport, ...more }).create(testScope()).capabilities
  }
})

describe('what nobody listens to', () => {
  test('is not told, and everything goes its way without', async () => {
    const transport = willing()
    const client = conversation({ transport, heard: 'nobody' })
    await client.greet()
    client.dialogue.secured(TLS)
    client.dialogue.notAuthenticated('PLAIN', 'wrong password', 'ann', reply(535, '5.7.8', 'no'))
    await client.dialogue.authenticated('ann', 'PLAIN')
    expect(await client.rcpt()).toMatch(/^503/)
    await client.helo()
    await client.mail()
    await client.rcpt()
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^250/)])
    client.dialogue.refused('command', reply(500, '5.5.2', 'no'))
    client.dialogue.close()
    expect(transport.jobs).toHaveLength(1)
    expect(client.events.all).toEqual([])
  })

  test('does not keep a discarded message from being discarded', async () => {
    const transport = willing()
    const client = conversation({
      transport,
      heard: 'nobody',
      policies: [policy('sink', { rcpt: () => discard() })],
    })
    await client.upToData()
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^250/)])
    expect(transport.jobs).toEqual([])
  })
})

test('what a client said of a recipient is kept, each with or without the other', async () => {
  const transport = willing()
  const client = conversation({ transport })
  await client.upToData('ann@example.org')
  await client.rcpt('bob@example.org', { orcpt: 'rfc822;info@example.org' })
  await client.rcpt('cid@example.org', { notify: ['never'] })
  await client.data(MESSAGE)
  const [ann, bob, cid] = transport.jobs[0]!.envelope.recipients
  expect(Object.keys(ann!)).toEqual(['id', 'address', 'original'])
  expect(bob).toEqual({ id: 2, address: bob!.address, original: bob!.address, orcpt: 'rfc822;info@example.org' })
  expect(cid).toEqual({ id: 3, address: cid!.address, original: cid!.address, notify: ['never'] })
})

test('a transport that forgets the copy a policy asked for has not taken the message', async () => {
  const copy = policy('copy', {
    rcpt: () => ({
      verdict: { kind: 'accept' },
      edits: [{ edit: 'add-recipient', address: mailbox('log@example.org') }],
    }),
  })
  const transport: Transport = {
    name: 'forgetful',
    deliver: async () => new Map([[1, { status: 'ok', action: 'queued', reply: reply(250, '2.0.0', 'Ok') }]]),
  }
  const client = conversation({ transport, policies: [copy] })
  await client.upToData()
  expect(await client.data(MESSAGE)).toEqual(['451 4.3.0 Temporary failure, please try again later'])
})
