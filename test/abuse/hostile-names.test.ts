/**
 * Names that strangers choose: of their host (PTR), in HELO, in logins, in what a trusted host says of them. Whatever stands
 * in them, nobody gets a reply, a header field or a log line of his own making.
 */
import { type Authenticator, accept, type Decision, type Policy, type Resolver, reject, reply } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { type Logger, logEvents, logPostfixLines } from '@mailwright/observe'
import { smtpListener } from '@mailwright/smtp-listener'
import { scriptedTransport, testEnvironment } from '@mailwright/testing'
import { expect, test } from 'vitest'
import { type RawClient, rawClient } from '../support/raw-client.ts'

const HOSTILE = {
  'a reply of its own': 'a\r\n250 2.0.0 forged',
  'a field of its own': 'a\r\nX-Forged: yes',
  'a body of its own': 'a\r\n\r\nforged',
  'a field behind LF': 'a\nX-Forged: yes',
  'a field behind CR': 'a\rX-Forged: yes',
  'a line for those who read NEL or LS as one': 'a\u0085X-Forged: yes\u2028X-Forged: yes',
  'a NUL': 'a\0b',
  'orders for a terminal': 'a\x1b[2J\x9b31m',
  'the end of its comment': 'a) by forged.example with SMTP id 1; (b',
  'an address of its own': 'a> X=<victim@example.org',
  'orders for a log': '%s%n$' + '{jndi:ldap://forged.example/x}',
  'no end': 'x'.repeat(3_000),
  'no end, in UTF-8': 'ü'.repeat(1_001),
  'half a character': 'a\ud800b',
} as const

/** Where a client has the name put. `%` is the name as bytes, `^` the same as xtext. */
const PLACES: Readonly<Record<string, string>> = {
  HELO: 'EHLO %',
  'a path': 'MAIL FROM:<"%"@example.net>',
  'a parameter': 'MAIL FROM:<ann@example.net> ENVID=^',
  'another parameter': 'RCPT TO:<bob@example.org> ORCPT=rfc822;^',
  'the address of an ETRN': 'ETRN %',
  'a question': 'VRFY %',
  'an unknown command': '%',
  'what a trusted host says': 'XCLIENT ADDR=192.0.2.9 NAME=^',
  'what a trusted host heard': 'XCLIENT ADDR=192.0.2.9 HELO=^ LOGIN=^',
  'what a trusted host forwards': 'XFORWARD NAME=^ IDENT=^',
}

/** Says the client's host name wherever a policy can. */
const talkative: Policy = {
  name: 'talkative',
  open: (session, { dns }) => ({
    async rcpt({ address }, _, call): Promise<Decision> {
      if (address.local === 'welcome') return accept()
      const found = await dns.resolve(session.client.address, 'PTR', call)
      const name = found.status === 'found' ? found.records[0]! : 'unknown'
      const refusal = reply(550, '5.7.1', `${name} is not welcome`)
      const decision = address.local === 'marked' ? accept(name) : reject(refusal, name)
      return { ...decision, edits: [{ edit: 'prepend-header', name: 'X-Client-Name', value: name }] }
    },
  }),
}

/** DNS in which every address has that name. */
function everybodyIs(name: string): Resolver {
  const found = { status: 'found', records: [name], ttlMs: 0, secure: false } as const
  return { resolve: (async () => found) as Resolver['resolve'] }
}

/** Believes everybody, so that the name is in everything said of the user. */
const credulous: Authenticator = {
  name: 'credulous',
  mechanisms: () => ['LOGIN'],
  begin: () => ({
    step: async (response) => {
      const user = Buffer.from(response ?? []).toString()
      return user.startsWith('!') ? { kind: 'failure', reason: user, user } : { kind: 'success', user }
    },
    cancel: () => {},
  }),
}

interface Witness {
  readonly connect: () => Promise<RawClient>
  /** How many messages came through. */
  readonly delivered: () => number
  /** Stops the server, and checks everything it has said, sent on and logged. */
  readonly close: () => Promise<void>
}

async function world(hostName: string): Promise<Witness> {
  const environment = testEnvironment()
  const transport = scriptedTransport({ outcomes: { '*': 'ok' }, capabilities: ['dsn', 'smtputf8'] })
  const mta = createMta({ name: 'names', environment: { ...environment, dns: everybodyIs(hostName) } })
  const logged: string[] = []
  logPostfixLines(mta.events, (line) => logged.push(line), { hostname: 'mx' })
  const records: string[] = []
  const note = (fields: object): void => void records.push(JSON.stringify(fields))
  const logger: Logger = { debug: note, info: note, warn: note, error: note }
  logEvents(mta.events, logger)
  const etrn = (domain: string) => reply(459, '4.7.1', `No mail is kept for ${domain}`)
  const intake = mta.use(mailIntake({ hostname: 'mx.example.org', transport, policies: [talkative], etrn }))
  const host = '192.0.2.1'
  mta.use(
    smtpListener({
      intake,
      host,
      port: 25,
      auth: credulous,
      authWithoutTls: 'allowed',
      trusted: { xclient: ['192.0.2.7'], xforward: ['192.0.2.7'] },
    }),
  )
  await mta.start()
  const clients: RawClient[] = []
  return {
    async connect(): Promise<RawClient> {
      const call = { signal: new AbortController().signal }
      const client = rawClient(await environment.net.connect({ host, port: 25, localAddress: '192.0.2.7' }, call))
      clients.push(client)
      await client.reply()
      client.send('EHLO client.example\r\n')
      await client.reply()
      return client
    },
    delivered: () => transport.jobs.length,
    async close(): Promise<void> {
      for (const client of clients) client.leave('destroy')
      await environment.clock.until(mta.stop())
      for (const { said } of clients) {
        const lines = Buffer.from(said, 'latin1').toString().split('\r\n')
        expect(lines.pop()).toBe('')
        for (const line of lines) {
          expect(line).toMatch(/^\d{3}[ -][^\x00-\x1f\x7f-\x9f\u2028\u2029]*$/)
          expect(Buffer.byteLength(line)).toBeLessThanOrEqual(510)
        }
        expect(said).not.toMatch(/^250 2\.0\.0 forged/m)
      }
      for (const { message } of transport.jobs) {
        const head = Buffer.from(message.head).toString()
        expect(head).not.toMatch(/(?<!\r)\n|\r(?!\n)|\0/)
        expect(head).toMatch(HEAD)
      }
      expect(logged.length).toBeGreaterThan(0)
      for (const line of logged) expect(line).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/)
      for (const record of records) expect(record).not.toMatch(/[\x00-\x1f]/)
    },
  }
}

/** Our Received field, what the policy has added, and the client's own subject: nothing else. */
const HEAD =
  /^Received: from [\w.:[\]-]+ \(\[192\.0\.2\.[79]\]\)\r\n\tby mx\.example\.org with E?SMTPA? id \w+(?:\r\n\tfor <\w+@example\.org>)?;\r\n\t[\w ,:+-]+\r\n(?:X-Client-Name: [^\r]*\r\n(?:[ \t][^\r]*\r\n)*)*Subject: hi\r\n\r\n$/

/** Commands, one at a time, until the server hangs up. Each gets one reply. */
async function says(client: RawClient, ...commands: readonly (string | Uint8Array)[]): Promise<void> {
  for (const command of commands) {
    if (client.over) return
    client.send(command)
    client.send('\r\n')
    await client.reply()
  }
}

const LETTER = ['DATA', 'Subject: hi\r\n\r\nhi\r\n.'] as const

test.each(Object.entries(HOSTILE))('a host whose name brings %s', async (_what, name) => {
  const { connect, close } = await world(name)
  const client = await connect()
  await says(client, 'MAIL FROM:<ann@example.net>', 'RCPT TO:<bob@example.org>', 'RCPT TO:<marked@example.org>')
  await says(client, ...LETTER, 'NOOP')
  // One reply each: whatever stands in the name, it is no reply of its own.
  expect(client.codes).toMatch(/^220 250 250 550 250 354 (?:250|451) 250$/)
  await close()
})

test.each(Object.entries(HOSTILE))('a user whose name brings %s', async (_what, name) => {
  const { connect, close } = await world('client.example')
  for (const user of [name, `!${name}`]) {
    const client = await connect()
    await says(client, `AUTH LOGIN ${Buffer.from(user).toString('base64')}`, 'MAIL FROM:<ann@example.net>')
    await says(client, 'RCPT TO:<welcome@example.org>', ...LETTER, 'NOOP')
    expect(client.codes).toMatch(/^220 250 (?:235|535|500) 250 250 354 250 250$/)
  }
  await close()
})

test.each(Object.entries(PLACES))('a client with a hostile name in %s', async (_where, place) => {
  const { connect, delivered, close } = await world('client.example')
  for (const name of Object.values(HOSTILE)) {
    const client = await connect()
    const bytes = Buffer.from(name)
    const xtext = Array.from(bytes, (byte) => `+${byte.toString(16).padStart(2, '0').toUpperCase()}`).join('')
    const command = place.replaceAll('^', () => xtext).replaceAll('%', () => bytes.toString('latin1'))
    const before = /^RCPT/.test(place) ? ['MAIL FROM:<ann@example.net>'] : []
    await says(client, ...before, Buffer.from(command, 'latin1'), 'RSET', 'EHLO again.example')
    await says(client, 'MAIL FROM:<ann@example.net>', 'RCPT TO:<welcome@example.org>', ...LETTER, 'NOOP', 'NOOP')
  }
  expect(delivered()).toBe(Object.keys(HOSTILE).length)
  await close()
})
