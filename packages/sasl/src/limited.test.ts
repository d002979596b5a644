import type { AuthenticationStep, Session } from '@mailwright/core'
import { type TestEnvironment, testEnvironment, testScope } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { authenticators } from './authenticators.ts'
import { clientNetwork } from './client-network.ts'
import { failureCount } from './failure-count.ts'
import { type LimitedOptions, limited } from './limited.ts'
import { passwordAuthentication } from './password-authentication.ts'
import { authenticate, call, context, plainClient, session } from './test-support/sasl-client.ts'
import { tokenAuthentication } from './token-authentication.ts'
import { userTable } from './user-table.ts'

interface Guesser {
  readonly world: TestEnvironment
  /** Logs in as ann from an address: the code of the answer, 235 for success. */
  guess(password: string, address?: string, user?: string): Promise<number>
}

function guesser(options: Partial<LimitedOptions> = {}): Guesser {
  const world = testEnvironment()
  const scope = testScope({ environment: world })
  const credentials = userTable((user) => {
    if (user === 'down') throw new Error('down')
    return user === 'ann' || user === 'Ann' ? '{PLAIN}pencil' : undefined
  })
  const authenticator = passwordAuthentication({ credentials }).create(scope)
  const guarded = limited({ authenticator, ...options }).create(scope)
  return {
    world,
    async guess(password, address = '192.0.2.7', user = 'ann'): Promise<number> {
      const given = context({ client: { address, port: 1 } })
      return codeOf(await authenticate(guarded, 'PLAIN', plainClient(user, password), given))
    },
  }
}

function codeOf(step: AuthenticationStep): number {
  return step.kind === 'failure' ? (step.reply?.code ?? 535) : 235
}

describe('an authenticator with limits', () => {
  it('answers a network that guessed too often no more, right or wrong, until the window is over', async () => {
    const { guess, world } = guesser({ perNetwork: 2, window: '10m' })
    expect([await guess('x'), await guess('y', '192.0.2.8'), await guess('pencil'), await guess('z')]).toEqual([
      535, 535, 454, 454,
    ])
    expect(await guess('pencil', '198.51.100.1')).toBe(235)
    await world.clock.advance('10m')
    expect(await guess('pencil')).toBe(235)
  })

  it('tells many guesses made at once no more than guesses made one by one', async () => {
    const { guess } = guesser({ perNetwork: 2 })
    const codes = await Promise.all(['a', 'b', 'c', 'pencil'].map((password) => guess(password)))
    expect(codes).toEqual([535, 535, 454, 454])
  })

  it('answers a login that was guessed from everywhere no more, except where its user is at home', async () => {
    const { guess } = guesser({ perLogin: 3 })
    expect(await guess('pencil', '203.0.113.5')).toBe(235)
    for (const host of [1, 2, 3]) expect(await guess('x', `198.51.${host}.1`)).toBe(535)
    expect(await guess('pencil', '198.51.9.1')).toBe(454)
    expect(await guess('pencil', '198.51.9.1', 'Ann')).toBe(454)
    expect(await guess('pencil', '203.0.113.5')).toBe(235)
  })

  it('does not count a back end that is out of order', async () => {
    const { guess } = guesser({ perNetwork: 1 })
    expect([await guess('x', undefined, 'down'), await guess('x', undefined, 'down'), await guess('pencil')]).toEqual([
      454, 454, 235,
    ])
  })

  it('closes the connection instead, where that is wanted', async () => {
    const { guess } = guesser({ perNetwork: 1, answer: 'close' })
    expect([await guess('x'), await guess('pencil')]).toEqual([535, 421])
  })

  it('counts a client that leaves after a challenge', async () => {
    const scope = testScope()
    const tokens = { name: 'tokens', check: async () => ({ kind: 'refused' as const, reason: 'no' }) }
    const guarded = limited({ authenticator: tokenAuthentication({ tokens }).create(scope), perNetwork: 1 }).create(
      scope,
    )
    const exchange = guarded.begin('XOAUTH2', context(), call)
    expect(await exchange.step(Buffer.from('user=ann\x01auth=Bearer x\x01\x01'))).toMatchObject({ kind: 'challenge' })
    exchange.cancel()
    expect(codeOf(await guarded.begin('XOAUTH2', context(), call).step(undefined))).toBe(454)
  })

  it('remembers no more than it may', () => {
    const counts = failureCount(testEnvironment().clock, 1_000, 3)
    for (let key = 0; key < 100; key++) counts.add(String(key))
    expect([counts.size, counts.count('99'), counts.count('96')]).toEqual([3, 1, 0])
  })

  it.each([
    ['192.0.2.7', '192.0.2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:DB8:0000:0000:1:2:3:4', '2001:db8:0:0'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['::1', '0:0:0:0'],
  ])('counts %s as of %s', (address, network) => {
    expect(clientNetwork(address)).toBe(network)
  })
})

describe('several authenticators', () => {
  it('offer what each offers, and each serves its own', async () => {
    const scope = testScope()
    const passwords = passwordAuthentication({ credentials: userTable(() => '{PLAIN}x') }).create(scope)
    const tokens = { name: 'tokens', check: async () => ({ kind: 'user' as const, user: 'tom' }) }
    const all = authenticators([passwords, tokenAuthentication({ tokens }).create(scope)])
    const clear: Session = session({ tls: undefined })
    expect([all.mechanisms(session()), all.mechanisms(clear)]).toEqual([
      ['PLAIN', 'LOGIN', 'OAUTHBEARER', 'XOAUTH2'],
      [],
    ])
    expect(await authenticate(all, 'PLAIN', plainClient('ann', 'x'))).toEqual({ kind: 'success', user: 'ann' })
    expect(await authenticate(all, 'XOAUTH2', () => 'user=tom\x01auth=Bearer x\x01\x01')).toMatchObject({ user: 'tom' })
    expect(codeOf(await authenticate(all, 'GSSAPI', () => ''))).toBe(501)
  })
})
