/** Tokens and certificates: whose they are, and what a client is told when they are nobody's. */
import type { AuthenticationStep, ClientCertificate } from '@mailwright/core'
import { type ManualClock, type TestScope, testScope } from '@mailwright/testing'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { certificateAuthentication } from './certificate-authentication.ts'
import { jwks } from './jwks.ts'
import { authenticate, call, context, session, TLS } from './test-support/sasl-client.ts'
import { type Tokens, tokenAuthentication } from './token-authentication.ts'
import { tokenIntrospection } from './token-introspection.ts'

const ISSUER = 'https://id.example.org'
const keys = await generateKeyPair('ES256')
const others = await generateKeyPair('ES256')

/** What a token of the issuer says, unless told otherwise. */
async function token(scope: TestScope, claims: Record<string, unknown> = {}, key = keys.privateKey, kid = 'k1') {
  const now = Math.floor(scope.environment.clock.now() / 1_000)
  const all = { email: 'ann@example.org', iss: ISSUER, aud: 'smtp', exp: now + 600, ...claims }
  return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid }).sign(key)
}

function advance(scope: TestScope, by: Parameters<ManualClock['advance']>[0]): Promise<void> {
  return (scope.environment.clock as ManualClock).advance(by)
}

interface Issuer {
  asked: number
  status: number
  readonly fetch: typeof globalThis.fetch
}

/** An issuer that answers with a JSON value, or what a function makes of the request. */
function issuer(answer: (body: string) => unknown): Issuer {
  const self: Issuer = {
    asked: 0,
    status: 200,
    fetch: async (_, init) => {
      self.asked++
      return Response.json(answer(String(init?.body ?? '')), { status: self.status })
    },
  }
  return self
}

async function published(): Promise<Issuer> {
  const set = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256' }] }
  return issuer(() => set)
}

function xoauth2(
  scope: TestScope,
  tokens: Tokens,
  given: string,
  user = 'ann@example.org',
): Promise<AuthenticationStep> {
  const answers = [`user=${user}\x01auth=Bearer ${given}\x01\x01`, '']
  return authenticate(tokenAuthentication({ tokens }).create(scope), 'XOAUTH2', () => answers.shift())
}

describe('a signed token', () => {
  it('lets its user in until it expires', async () => {
    const scope = testScope()
    const { fetch } = await published()
    const tokens = jwks({ url: `${ISSUER}/keys`, issuer: ISSUER, audience: 'smtp', fetch })
    const given = await token(scope)
    expect(await xoauth2(scope, tokens, given)).toEqual({ kind: 'success', user: 'ann@example.org' })
    expect(await xoauth2(scope, tokens, given, 'Ann@Example.org')).toMatchObject({ user: 'ann@example.org' })
    expect(await xoauth2(scope, tokens, given, 'bob@example.org')).toMatchObject({ kind: 'failure' })
    await advance(scope, '11m')
    expect(await xoauth2(scope, tokens, given)).toMatchObject({ kind: 'failure', reason: /ERR_JWT_EXPIRED/ })
  })

  it('of another issuer, audience or key, or for an unconfirmed address, lets nobody in', async () => {
    const scope = testScope()
    const { fetch } = await published()
    const tokens = jwks({ url: `${ISSUER}/keys`, issuer: ISSUER, audience: 'smtp', fetch })
    for (const given of [
      await token(scope, { iss: 'https://evil.example' }),
      await token(scope, { aud: 'web' }),
      await token(scope, { exp: undefined }),
      await token(scope, { email: undefined }),
      await token(scope, { email_verified: false }),
      await token(scope, {}, others.privateKey),
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"email":"ann@example.org"}').toString('base64url')}.`,
      'x',
    ]) {
      expect(await xoauth2(scope, tokens, given)).toMatchObject({ kind: 'failure', user: 'ann@example.org' })
    }
    expect(scope.events.of('failure')).toEqual([])
  })

  it('with an unknown key has the keys asked for again, and not each time', async () => {
    const scope = testScope()
    const source = await published()
    const tokens = jwks({ url: `${ISSUER}/keys`, issuer: ISSUER, audience: 'smtp', fetch: source.fetch })
    for (let turn = 0; turn < 5; turn++) await xoauth2(scope, tokens, await token(scope, {}, others.privateKey, 'k2'))
    expect(source.asked).toBe(1)
    await advance(scope, '31s')
    await xoauth2(scope, tokens, await token(scope, {}, others.privateKey, 'k2'))
    expect(source.asked).toBe(2)
  })

  it('is answered 454 while the issuer is out of order', async () => {
    const scope = testScope()
    const source = await published()
    source.status = 503
    const tokens = jwks({ url: `${ISSUER}/keys`, issuer: ISSUER, audience: 'smtp', fetch: source.fetch })
    const end = await xoauth2(scope, tokens, await token(scope))
    expect(end).toMatchObject({ kind: 'failure', reply: { code: 454, enhanced: '4.7.0' } })
    expect(scope.events.of('failure')).toHaveLength(1)
  })
})

describe('a token the issuer is asked about', () => {
  const client = { id: 'smtp', secret: 's' }

  it('lets its user in, is asked about once, and anew when the answer is old', async () => {
    const scope = testScope()
    const source = issuer((body) => ({
      active: body.startsWith('token=good'),
      username: 'ann@example.org',
      aud: ['smtp'],
    }))
    const tokens = tokenIntrospection({ url: `${ISSUER}/ask`, client, audience: 'smtp', fetch: source.fetch })
    expect(await xoauth2(scope, tokens, 'good')).toEqual({ kind: 'success', user: 'ann@example.org' })
    expect(await xoauth2(scope, tokens, 'good')).toMatchObject({ kind: 'success' })
    expect(source.asked).toBe(1)
    expect(await xoauth2(scope, tokens, 'bad')).toMatchObject({ kind: 'failure', reason: 'the token is not active' })
    await advance(scope, '30s')
    expect(await xoauth2(scope, tokens, 'good')).toMatchObject({ kind: 'success' })
    expect(source.asked).toBe(3)
  })

  it.each([
    [{ active: true, username: 'ann@example.org', aud: 'web' }, 'for another audience'],
    [{ active: true, username: 'ann@example.org', aud: 'smtp', exp: 1 }, 'the token has expired'],
    [{ active: true, aud: 'smtp' }, 'the token names no user'],
  ])('lets nobody in when the answer is %j', async (answer, reason) => {
    const { fetch } = issuer(() => answer)
    const tokens = tokenIntrospection({ url: `${ISSUER}/ask`, client, audience: 'smtp', fetch })
    expect(await xoauth2(testScope(), tokens, 'good')).toMatchObject({ kind: 'failure', reason })
  })

  it.each([[{ active: 'true' }], [[]], [null], ['x'.repeat(70_000)]])(
    'is answered 454 when the answer makes no sense',
    async (answer) => {
      const { fetch } = issuer(() => answer)
      const tokens = tokenIntrospection({ url: `${ISSUER}/ask`, client, fetch })
      expect(await xoauth2(testScope(), tokens, 'good')).toMatchObject({ kind: 'failure', reply: { code: 454 } })
    },
  )

  it('is answered 454 when the issuer is silent', async () => {
    const scope = testScope()
    const fetch: typeof globalThis.fetch = (_, init) =>
      new Promise((_resolve, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason)))
    const tokens = tokenIntrospection({ url: `${ISSUER}/ask`, client, fetch })
    const end = xoauth2(scope, tokens, 'good')
    await advance(scope, '5s')
    expect(await end).toMatchObject({ kind: 'failure', reply: { code: 454 } })
  })

  it('is sent to no address that is not https', () => {
    expect(() => tokenIntrospection({ url: 'http://id.example.org/ask', client })).toThrow('https')
  })
})

describe('OAUTHBEARER', () => {
  const tokens: Tokens = {
    name: 'tokens',
    check: async (given) => (given === 'good' ? { kind: 'user', user: 'ann' } : { kind: 'refused', reason: 'no' }),
  }
  const say = async (message: string): Promise<readonly AuthenticationStep[]> => {
    const exchange = tokenAuthentication({ tokens, scope: 'mail' })
      .create(testScope())
      .begin('OAUTHBEARER', context(), call)
    const steps = [await exchange.step(Buffer.from(message))]
    if (steps[0]?.kind === 'challenge') steps.push(await exchange.step(Buffer.from('\x01')))
    return steps
  }

  it('takes a token, with or without the name of its user', async () => {
    expect(await say('n,a=ann,\x01host=mail.example.org\x01port=587\x01auth=Bearer good\x01\x01')).toEqual([
      { kind: 'success', user: 'ann' },
    ])
    expect(await say('n,,\x01auth=Bearer good\x01\x01')).toEqual([{ kind: 'success', user: 'ann' }])
  })

  it('tells a client in JSON what is wrong, and fails when that is acknowledged', async () => {
    const [told, end] = await say('n,a=ann,\x01auth=Bearer bad\x01\x01')
    expect(told?.kind === 'challenge' && JSON.parse(Buffer.from(told.data).toString())).toEqual({
      status: 'invalid_token',
      scope: 'mail',
    })
    expect(end).toMatchObject({ kind: 'failure', user: 'ann' })
    expect(end?.kind === 'failure' && end.reply).toBeUndefined()
  })

  it.each([
    '',
    'n,,',
    'n,,\x01\x01',
    'n,,\x01auth=Basic x\x01\x01',
    'n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01',
    'p=x,,\x01auth=Bearer good\x01\x01',
  ])('refuses %j, which is no message of its', async (message) => {
    expect(await say(message)).toMatchObject([{ kind: 'failure', reply: { code: 501 } }])
  })

  it('is offered in TLS only', () => {
    const authenticator = tokenAuthentication({ tokens }).create(testScope())
    expect(authenticator.mechanisms(session({ tls: undefined }))).toEqual([])
  })
})

describe('EXTERNAL', () => {
  const shown: ClientCertificate = {
    subject: 'CN=a',
    issuer: 'CN=b',
    fingerprint: 'ab',
    publicKeyFingerprint: 'cd',
    verified: true,
  }
  const known = { user: ({ fingerprint }: ClientCertificate) => (fingerprint === 'ab' ? 'ann' : undefined) }
  const tlsWith = (changes: Partial<ClientCertificate> = {}) =>
    context({ tls: { ...TLS, clientCertificate: { ...shown, ...changes } } })

  it('lets in whom the certificate stands for, as nobody else', async () => {
    const authenticator = certificateAuthentication(known).create(testScope())
    expect(await authenticate(authenticator, 'EXTERNAL', () => '', tlsWith())).toEqual({ kind: 'success', user: 'ann' })
    expect(await authenticate(authenticator, 'EXTERNAL', () => 'ann', tlsWith())).toEqual({
      kind: 'success',
      user: 'ann',
    })
    expect(await authenticate(authenticator, 'EXTERNAL', () => 'bob', tlsWith())).toMatchObject({ kind: 'failure' })
    const stranger = tlsWith({ fingerprint: 'ff' })
    expect(await authenticate(authenticator, 'EXTERNAL', () => '', stranger)).toMatchObject({ kind: 'failure' })
  })

  it('is offered with a verified certificate only, unless any will do', () => {
    const unverified = tlsWith({ verified: false }).session
    expect(certificateAuthentication(known).create(testScope()).mechanisms(unverified)).toEqual([])
    expect(certificateAuthentication(known).create(testScope()).mechanisms(session())).toEqual([])
    const any = certificateAuthentication({ ...known, certificates: 'any' }).create(testScope())
    expect(any.mechanisms(unverified)).toEqual(['EXTERNAL'])
  })
})
