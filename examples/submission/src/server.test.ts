import {
  type Dialogue,
  dialogue,
  fakeDns,
  type ScriptedMx,
  scriptedMx,
  testAuthority,
  testEnvironment,
} from '@mailwright/testing'
import { memoryStore } from 'mailwright'
import { describe, expect, it, onTestFinished } from 'vitest'
import { submissionService } from './server.ts'
import { storedPassword, usersWithPasswords } from './users.ts'

const call = { signal: new AbortController().signal }
const authority = testAuthority()
const trust = { servername: 'mail.example.org', verify: true, ca: [authority.ca] } as const
const salt = new Uint8Array(16)
const users = usersWithPasswords(new Map([['ann', await storedPassword('secret', salt)]]))

interface World {
  readonly mx: ScriptedMx
  /** A client that has TLS, from the first byte, and has said EHLO. */
  readonly client: Dialogue
  settle(): Promise<void>
}

async function service(): Promise<World> {
  const zones = { 'example.net': { MX: [[10, 'mx.example.net'] as const] }, 'mx.example.net': { A: ['192.0.2.25'] } }
  const world = testEnvironment({ dns: fakeDns(zones) })
  const mx = await scriptedMx({ network: world.net, clock: world.clock, host: '192.0.2.25' })
  const { mta } = submissionService({
    tls: authority.issue({ names: ['mail.example.org'] }),
    auth: users,
    store: memoryStore(),
    ports: { starttls: 587, implicit: 465 },
    environment: world,
  })
  await mta.start()
  const wire = await world.net.connect({ host: '127.0.0.1', port: 465 }, call)
  const client = dialogue((await world.net.secure(wire, trust, call)).wire)
  onTestFinished(async () => {
    client.destroy()
    await world.clock.until(mta.stop())
    await mx.down()
    world.assertQuiet()
  })
  await client.expect('220 mail.example.org')
  await client.command('EHLO client.example.com', 250)
  return { mx, client, settle: () => world.clock.settle() }
}

function plain(user: string, password: string): string {
  return `AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString('base64')}`
}

it('takes nothing from a client that has not said who it is', async () => {
  const { client } = await service()
  await client.command('MAIL FROM:<ann@example.org>', '530 5.7.0 Authentication required')
})

// Needs a listener that offers AUTH.
it('sends on what a user submits, with the fields it lacks', async () => {
  const { client, mx, settle } = await service()
  await client.command(plain('ann', 'wrong'), '535 5.7.8')
  await client.command(plain('ann', 'secret'), '235 2.7.0')
  await client.command('MAIL FROM:<bob@example.org>', 250)
  await client.command('RCPT TO:<zoe@example.net>', '553 5.7.1 Sender address rejected: not owned by user')
  await client.command('RSET', 250)
  await client.mail('ann@example.org', ['zoe@example.net'], 'Subject: hello\r\n\r\nhello\r\n')
  await settle()
  const [letter] = mx.messages.map(({ data }) => data.toString())
  expect(letter).toMatch(
    /^Received: [\s\S]* with ESMTPSA id [\s\S]*\r\nDate: .*\r\nMessage-ID: <.*@mail\.example\.org>\r\n/,
  )
})

describe('the users', () => {
  const session = { tls: { protocol: 'TLSv1.3', cipher: 'AES' } }
  async function said(response: string): Promise<string> {
    const step = await users
      .begin('PLAIN', { session: session as never, hostname: 'x' }, call)
      .step(Buffer.from(response))
    return step.kind === 'failure' ? step.reason : step.kind
  }

  it('prove who they are by their password', async () => {
    expect(await said('\0ann\0secret')).toBe('success')
    expect(await said('ann\0ann\0secret')).toBe('success')
  })

  it.each([
    ['\0ann\0wrong', 'wrong user or password'],
    ['\0bob\0secret', 'wrong user or password'],
    ['bob\0ann\0secret', 'not a PLAIN response'],
    ['\0ann', 'not a PLAIN response'],
    ['\0\0', 'not a PLAIN response'],
    ['\0ann\0secret\0more', 'not a PLAIN response'],
  ])('are nobody by anything else: %j', async (response, reason) => {
    expect(await said(response)).toBe(reason)
  })

  it('are asked for it when they did not send it with the command', async () => {
    const exchange = users.begin('PLAIN', { session: session as never, hostname: 'x' }, call)
    expect(await exchange.step(undefined)).toMatchObject({ kind: 'challenge' })
    exchange.cancel()
  })

  it('are offered nothing in clear text', () => {
    expect(users.mechanisms({} as never)).toEqual([])
    expect(users.mechanisms(session as never)).toEqual(['PLAIN'])
  })
})
