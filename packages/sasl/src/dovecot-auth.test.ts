/** Dovecot's protocol, against a server in memory that says what the test tells it. A real one is asked in test/interop. */
import type { Authenticator, Lifecycle, Wire } from '@mailwright/core'
import { type TestEnvironment, type TestScope, testEnvironment, testScope } from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type DovecotAuthOptions, dovecotAuth } from './dovecot-auth.ts'
import { formatLine, parseLine } from './dovecot-line.ts'
import { authenticate, call, context, plainClient, session, TLS } from './test-support/sasl-client.ts'

const PATH = '/run/dovecot/auth-client'
const HANDSHAKE =
  'VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tSCRAM-SHA-256\tdictionary\nMECH\tEXTERNAL\nMECH\tANONYMOUS\tanonymous\nMECH\tSECRET\tprivate\nSPID\t1\nDONE\n'

interface Fixture {
  readonly world: TestEnvironment
  readonly scope: TestScope
  readonly authenticator: Authenticator & Lifecycle
  /** Every line Dovecot was sent. */
  readonly heard: string[]
  /** The connections to it. */
  readonly wires: Wire[]
}

/** `answer` says what Dovecot answers to a line; nothing at all for undefined. */
async function dovecot(
  answer: (line: string, number: string) => string | undefined,
  options: Partial<DovecotAuthOptions> = {},
  handshake = HANDSHAKE,
): Promise<Fixture> {
  const world = testEnvironment()
  const scope = testScope({ environment: world })
  const heard: string[] = []
  const wires: Wire[] = []
  const listening = await world.net.listen({ host: PATH, port: 0 }, (wire) => {
    wires.push(wire)
    wire.write(handshake)
    wire.on('error', () => undefined)
    wire.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().split('\n').filter(Boolean)) {
        heard.push(line)
        const said = answer(line, line.split('\t')[1]!)
        if (said !== undefined) wire.write(said)
      }
    })
  })
  const authenticator: Authenticator & Lifecycle = dovecotAuth({ socket: PATH, ...options }).create(scope)
  onTestFinished(async () => {
    await authenticator.stop?.()
    await listening.close()
    await world.clock.settle()
    expect(world.clock.pending).toBe(0)
    world.assertQuiet()
  })
  return { world, scope, authenticator, heard, wires }
}

const accepting = (line: string, number: string): string | undefined =>
  line.startsWith('AUTH') ? `OK\t${number}\tuser=ann\n` : undefined

describe('Dovecot', () => {
  it('is told who is asking, with the initial response last', async () => {
    const { authenticator, heard } = await dovecot(accepting)
    const given = context({ client: { address: '2001:db8::7', port: 4 }, server: { address: '192.0.2.1', port: 587 } })
    expect(await authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'), given)).toEqual({
      kind: 'success',
      user: 'ann',
    })
    expect(heard[0]).toBe('VERSION\t1\t1')
    expect(heard[1]).toMatch(/^CPID\t\d+$/)
    expect(heard[2]).toBe(
      'AUTH\t1\tPLAIN\tservice=smtp\tsecured\tlip=192.0.2.1\trip=2001:db8::7\tlport=587\trport=4\tresp=AGFubgB4',
    )
  })

  it('has its mechanisms offered, those that send passwords in TLS only', async () => {
    const { authenticator } = await dovecot(accepting)
    expect(authenticator.mechanisms(session())).toEqual(['PLAIN', 'LOGIN'])
    await authenticator.start?.(call)
    expect(authenticator.mechanisms(session())).toEqual(['PLAIN', 'SCRAM-SHA-256'])
    expect(authenticator.mechanisms(session({ tls: undefined }))).toEqual(['SCRAM-SHA-256'])
  })

  it('has its challenges carried to the client and the responses back', async () => {
    const { authenticator, heard } = await dovecot((line, number) => {
      if (line.startsWith('AUTH')) return `CONT\t${number}\t${btoa('who?')}\n`
      return line.startsWith('CONT') ? `OK\t${number}\tuser=ann\tresp=${btoa('proof')}\n` : undefined
    })
    const answers = [undefined, 'me']
    const end = await authenticate(authenticator, 'PLAIN', () => answers.shift())
    expect(end).toEqual({ kind: 'success', user: 'ann', data: Buffer.from('proof') })
    expect(heard[2]).not.toContain('resp=')
    expect(heard[3]).toBe('CONT\t1\tbWU=')
  })

  it.each([
    ['FAIL\tN\tuser=ann\n', undefined],
    ['FAIL\tN\tuser=ann\ttemp\n', 454],
    ['FAIL\tN\tuser=ann\tcode=temp_fail\n', 454],
    ['OK\tN\n', 454],
    ['OK\tN\tuser=ann\x01nAUTH\n', 454],
    ['OK\tN\tuser=ann\tnologin\n', undefined],
  ])('lets nobody in by %j', async (said, code) => {
    const { authenticator } = await dovecot((line, number) =>
      line.startsWith('AUTH') ? said.replace('N', number) : undefined,
    )
    const end = await authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'))
    expect(end).toMatchObject({ kind: 'failure' })
    expect(end.kind === 'failure' && end.reply?.code).toBe(code)
  })

  it('that breaks off fails what is in hand with 454, and is connected to again', async () => {
    const { authenticator, wires, scope } = await dovecot((line, number) => {
      if (!line.startsWith('AUTH')) return undefined
      if (wires.length > 1) return `OK\t${number}\tuser=ann\n`
      wires[0]!.destroy()
      return undefined
    })
    const attempt = () => authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'))
    const ends = await Promise.all([attempt(), attempt()])
    for (const end of ends) expect(end).toMatchObject({ kind: 'failure', reply: { code: 454 } })
    expect(await attempt()).toMatchObject({ kind: 'success' })
    expect(wires).toHaveLength(2)
    expect(scope.events.of('failure')).toHaveLength(1)
  })

  it('that says nothing is waited for no longer than allowed', async () => {
    const { authenticator, world, heard } = await dovecot(() => undefined)
    const end = authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'))
    await world.clock.advance('30s')
    expect(await end).toMatchObject({ kind: 'failure', reply: { code: 454 } })
    expect(heard.at(-1)).toBe('CANCEL\t1')
  })

  it('that never finishes its greeting is waited for no longer than allowed', async () => {
    const { authenticator, world } = await dovecot(accepting, {}, 'VERSION\t1\t2\n')
    const end = authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'))
    await world.clock.advance('5s')
    expect(await end).toMatchObject({ kind: 'failure', reply: { code: 454 } })
  })

  it.each(['VERSION\t2\t0\nDONE\n', 'DONE\n', 'x'.repeat(70_000)])('of another kind is not used', async (handshake) => {
    const { authenticator, scope } = await dovecot(accepting, {}, handshake)
    expect(await authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'))).toMatchObject({
      kind: 'failure',
      reply: { code: 454 },
    })
    expect(scope.events.of('failure')).toHaveLength(1)
  })

  it('is not tried again at once when it was not there, and told of once', async () => {
    const world = testEnvironment()
    const scope = testScope({ environment: world })
    const authenticator: Authenticator = dovecotAuth({ socket: PATH }).create(scope)
    for (let turn = 0; turn < 5; turn++) {
      expect(await authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'))).toMatchObject({
        reply: { code: 454 },
      })
    }
    expect(world.net.attempts).toHaveLength(1)
    expect(scope.events.of('failure')).toHaveLength(1)
    await world.clock.advance('1s')
    await authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'))
    expect(world.net.attempts).toHaveLength(2)
  })

  it('is told when a client gives up, and hears no more of it', async () => {
    const { authenticator, heard, world } = await dovecot((line, number) =>
      line.startsWith('AUTH') ? `CONT\t${number}\t\n` : undefined,
    )
    const exchange = authenticator.begin('PLAIN', context(), call)
    expect(await exchange.step(undefined)).toMatchObject({ kind: 'challenge' })
    exchange.cancel()
    expect(await exchange.step(Buffer.from('x'))).toMatchObject({ kind: 'failure' })
    await world.clock.settle()
    expect(heard.at(-1)).toBe('CANCEL\t1')
  })

  it('is kept from more exchanges than may be in hand', async () => {
    const { authenticator } = await dovecot(accepting, { maxPending: 1 })
    const open = authenticator.begin('PLAIN', context({ tls: TLS }), call)
    const attempt = () => authenticate(authenticator, 'PLAIN', plainClient('ann', 'x'))
    expect(await attempt()).toMatchObject({ kind: 'failure', reply: { code: 454 } })
    open.cancel()
    expect(await attempt()).toMatchObject({ kind: 'success' })
  })
})

describe("a line of Dovecot's protocol", () => {
  it('cannot be split by what stands in it', () => {
    const parameters = ['a\tb\nOK\t1\r\0', '\x01', 'ü']
    const line = formatLine('AUTH', parameters)
    expect(line.slice(0, -1)).not.toMatch(/[\r\n\0]/)
    expect(line.split('\t')).toHaveLength(4)
    expect(parseLine(line.slice(0, -1))).toEqual({ command: 'AUTH', parameters })
  })
})
