/** The mechanisms by the examples of their RFCs, and against a small client. */
import { testScope } from '@mailwright/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Credentials, nobodyElse } from '../credentials.ts'
import { runExchange } from '../exchange.ts'
import { type PasswordMechanism, passwordAuthentication } from '../password-authentication.ts'
import { deriveScramKeys } from '../password-hash.ts'
import {
  authenticate,
  call,
  context,
  cramClient,
  loginClient,
  plainClient,
  scramClient,
  session,
  TLS,
  talk,
} from '../test-support/sasl-client.ts'
import { userTable } from '../user-table.ts'
import { cramMd5 } from './cram-md5.ts'
import { scram } from './scram.ts'

const ALL: readonly PasswordMechanism[] = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'PLAIN', 'LOGIN', 'CRAM-MD5']
const BINDING = { type: 'tls-exporter', data: Buffer.alloc(32, 7) } as const
const USERS: Readonly<Record<string, string>> = { ann: '{PLAIN}pencil', 'a,b=c': '{PLAIN}x', jürgen: '{PLAIN}Grüße' }

function users(options: Partial<Parameters<typeof passwordAuthentication>[0]> = {}) {
  const credentials = userTable((user) => USERS[user])
  return passwordAuthentication({ credentials, mechanisms: ALL, ...options }).create(testScope())
}

describe('SCRAM-SHA-256', () => {
  it('says what the example of RFC 7677 says', async () => {
    const keys = await deriveScramKeys('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4_096)
    const told: string[] = []
    const exchange = runExchange(
      (initial) =>
        scram(initial, {
          plus: 'no',
          plusOffered: 'no',
          serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
          keysOf: async () => ({ known: 'yes', keys }),
          mayActAs: nobodyElse,
        }),
      call,
      () => undefined,
    )
    const answers = [
      'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    ]
    const end = await talk(exchange, (challenge) => {
      if (challenge !== undefined) told.push(challenge)
      return answers.shift()
    })
    expect(told).toEqual(['r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'])
    expect(end).toEqual({
      kind: 'success',
      user: 'user',
      data: Buffer.from('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='),
    })
  })

  it('lets in who knows the password, and proves that it knows the user', async () => {
    for (const [user, password] of [
      ['ann', 'pencil'],
      ['a,b=c', 'x'],
      ['jürgen', 'Grüße'],
    ] as const) {
      const { client, proof } = scramClient(user, password)
      const end = await authenticate(users(), 'SCRAM-SHA-256', client)
      expect(end).toMatchObject({ kind: 'success', user })
      expect(end.kind === 'success' && Buffer.from(end.data!).toString()).toBe(proof())
    }
  })

  it('takes an unknown user through the whole exchange, with the same salt each time', async () => {
    const authenticator = users()
    const tries = [scramClient('nobody', 'x'), scramClient('nobody', 'nobody'), scramClient('ann', 'wrong')]
    const ends = []
    for (const { client } of tries) ends.push(await authenticate(authenticator, 'SCRAM-SHA-256', client))
    const told = tries.map((one) => /s=(.*)$/.exec(one.told())?.[1])
    expect(told[0]).toBe(told[1])
    expect(told[0]).not.toBe(told[2])
    expect(told.map((text) => text?.length)).toEqual([31, 31, 31])
    expect(ends.map((end) => end.kind === 'failure' && [end.reason, end.reply])).toEqual(
      Array(3).fill(['wrong user or password', undefined]),
    )
  })

  it('binds the PLUS form to the channel it runs in, and to no other', async () => {
    const plus = (header: string, binding: Uint8Array) =>
      authenticate(
        users(),
        'SCRAM-SHA-256-PLUS',
        scramClient('ann', 'pencil', { header, binding }).client,
        context({}, BINDING),
      )
    expect(await plus('p=tls-exporter', BINDING.data)).toMatchObject({ kind: 'success', user: 'ann' })
    expect(await plus('p=tls-exporter', Buffer.alloc(32, 8))).toMatchObject({ reason: 'wrong channel binding' })
    expect(await plus('p=tls-unique', BINDING.data)).toMatchObject({ reason: 'not the channel binding offered' })
    expect(await plus('n', Buffer.alloc(0))).toMatchObject({ kind: 'failure' })
  })

  it('refuses a client that was kept from seeing the PLUS form, and takes its y where there is none', async () => {
    const { client } = scramClient('ann', 'pencil', { header: 'y' })
    expect(await authenticate(users(), 'SCRAM-SHA-256', client, context({}, BINDING))).toMatchObject({
      kind: 'failure',
      reason: 'the client was kept from seeing the PLUS form',
    })
    const older = context({ tls: { ...TLS, protocol: 'TLSv1.2' } })
    const again = scramClient('ann', 'pencil', { header: 'y' }).client
    expect(await authenticate(users(), 'SCRAM-SHA-256', again, older)).toMatchObject({ kind: 'success' })
  })

  it('refuses a proof made for a nonce that is not ours', async () => {
    const { client } = scramClient('ann', 'pencil')
    const end = await authenticate(users(), 'SCRAM-SHA-256', (challenge) =>
      client(challenge?.replace(/^r=[^,]+/, 'r=of-an-earlier-exchange')),
    )
    expect(end).toMatchObject({ kind: 'failure', reason: 'wrong nonce' })
  })

  it('lets nobody act as another unless it may', async () => {
    const as = (who: string, mayActAs?: (user: string, who: string) => boolean) =>
      authenticate(users({ mayActAs }), 'SCRAM-SHA-256', scramClient('ann', 'pencil', { as: who }).client)
    expect(await as('ann')).toMatchObject({ kind: 'success', user: 'ann' })
    expect(await as('bob')).toMatchObject({ kind: 'failure' })
    expect(await as('bob', (user, who) => user === 'ann' && who === 'bob')).toMatchObject({ user: 'bob' })
  })
})

describe('CRAM-MD5', () => {
  it('takes the answer of the example of RFC 2195', async () => {
    const challenge = '<1896.697170952@postoffice.reston.mci.net>'
    const exchange = runExchange(
      (initial) => cramMd5(initial, challenge, async () => 'tanstaaftanstaaf'),
      call,
      () => undefined,
    )
    const end = await talk(exchange, (asked) =>
      asked === challenge ? 'tim b913a602c7eda7a495b4e6e7334d3890' : undefined,
    )
    expect(end).toEqual({ kind: 'success', user: 'tim' })
  })

  it('lets no unknown user in, whatever it keys its digest with', async () => {
    const end = await authenticate(users(), 'CRAM-MD5', (challenge) => cramClient('nobody', challenge ?? '')(challenge))
    expect(end).toMatchObject({ kind: 'failure', reason: 'wrong user or password' })
  })

  it('asks with a challenge of its own each time, in the name of the host', async () => {
    const asked: string[] = []
    const authenticator = users()
    for (const password of ['pencil', 'wrong']) {
      await authenticate(authenticator, 'CRAM-MD5', (challenge) => {
        if (challenge !== undefined) asked.push(challenge)
        return cramClient('ann', password)(challenge)
      })
    }
    expect(asked[0]).toMatch(/^<[\w-]{24}\.\d+@mail\.example\.org>$/)
    expect(asked[0]).not.toBe(asked[1])
  })
})

describe('every mechanism', () => {
  it('reads no response longer than a line of SMTP can carry', async () => {
    const exchange = users({ mayActAs: () => true }).begin('PLAIN', context(), call)
    const long = await exchange.step(Buffer.from(`${'x'.repeat(9_217)}\0ann\0pencil`))
    expect(long).toMatchObject({ kind: 'failure', reason: 'response too long', reply: { code: 501 } })
  })

  it('lets in the right user with the right password and nobody else', async () => {
    const authenticator = users()
    const clients = { PLAIN: plainClient, LOGIN: loginClient, 'CRAM-MD5': cramClient, 'SCRAM-SHA-256': scram256 }
    const names = fc.constantFrom('ann', 'jürgen', 'nobody', 'a,b=c')
    const passwords = fc.constantFrom('pencil', 'Grüße', 'x', 'Pencil', 'pencil ', '\u00adpencil')
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...(Object.keys(clients) as (keyof typeof clients)[])),
        names,
        passwords,
        async (mechanism, user, password) => {
          const end = await authenticate(authenticator, mechanism, clients[mechanism](user, password))
          // A soft hyphen is mapped to nothing by SASLprep, where the server sees the password.
          const sees = mechanism === 'PLAIN' || mechanism === 'LOGIN' ? password.replace('\u00ad', '') : password
          const right = USERS[user] === `{PLAIN}${sees}`
          expect(end).toMatchObject(
            right ? { kind: 'success', user } : { kind: 'failure', user, reason: 'wrong user or password' },
          )
          if (end.kind === 'failure') expect(end.reply).toBeUndefined()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('answers anything at all with a step, reports nothing, and lets nobody in', async () => {
    const scope = testScope()
    const credentials = userTable((user) => USERS[user])
    const authenticator = passwordAuthentication({ credentials, mechanisms: ALL }).create(scope)
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.uint8Array({ minLength: 9_000, maxLength: 9_300 }),
      fc.string({ maxLength: 40 }).map((text) => Buffer.from(`n,,n=${text},r=x`)),
      fc.constant(Buffer.from('\0'.repeat(9_000))),
      fc.constant(Buffer.from(`\0ann\0${'x'.repeat(9_000)}`)),
      fc.constant(Buffer.from([0, 0x61, 0, 0xff, 0xfe])),
      fc.constant(undefined),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...ALL),
        fc.array(bytes, { minLength: 1, maxLength: 4 }),
        async (name, turns) => {
          const exchange = authenticator.begin(name, context({}, BINDING), call)
          for (const response of turns) expect((await exchange.step(response)).kind).not.toBe('success')
        },
      ),
      { numRuns: 300 },
    )
    expect(scope.events.of('failure')).toEqual([])
  })

  it('says nothing more after the end, or when cancelled', async () => {
    const exchange = users().begin('PLAIN', context(), call)
    expect(await exchange.step(Buffer.from('\0ann\0wrong'))).toMatchObject({ kind: 'failure' })
    expect(await exchange.step(Buffer.from('\0ann\0pencil'))).toMatchObject({ kind: 'failure', reply: { code: 501 } })
    const cancelled = users().begin('PLAIN', context(), call)
    cancelled.cancel()
    expect(await cancelled.step(Buffer.from('\0ann\0pencil'))).toMatchObject({ kind: 'failure' })
  })

  it('is offered where it is safe: passwords in TLS only, the PLUS form in TLS 1.3', () => {
    const clear = session({ tls: undefined })
    expect(users().mechanisms(clear)).toEqual(['SCRAM-SHA-256', 'CRAM-MD5'])
    expect(users({ clearText: 'anywhere' }).mechanisms(clear)).toContain('PLAIN')
    expect(users().mechanisms(session())).toEqual(ALL)
    expect(users().mechanisms(session({ tls: { ...TLS, protocol: 'TLSv1.2' } }))).toEqual(ALL.slice(1))
  })

  it('is refused where it was not offered', async () => {
    const end = await authenticate(users(), 'PLAIN', plainClient('ann', 'pencil'), context({ tls: undefined }))
    expect(end).toMatchObject({ kind: 'failure', reply: { code: 501 } })
  })

  it('is not configured over credentials that cannot serve it', () => {
    const credentials: Credentials = { name: 'ldap', verify: async () => true }
    expect(() => passwordAuthentication({ credentials, mechanisms: ['CRAM-MD5'] })).toThrow('no stored secrets')
  })
})

describe('PLAIN', () => {
  it('lets nobody act as another unless it may', async () => {
    const as = (who: string, mayActAs?: (user: string, who: string) => boolean) =>
      authenticate(users({ mayActAs }), 'PLAIN', plainClient('ann', 'pencil', who))
    expect(await as('ann')).toEqual({ kind: 'success', user: 'ann' })
    expect(await as('bob')).toMatchObject({ kind: 'failure', user: 'ann' })
    expect(await as('bob', () => true)).toEqual({ kind: 'success', user: 'bob' })
  })

  it('answers 454, and tells the operator and not the client, when the back end fails', async () => {
    const scope = testScope()
    const credentials = userTable(() => Promise.reject(new Error('database password is hunter2')))
    const authenticator = passwordAuthentication({ credentials }).create(scope)
    const end = await authenticate(authenticator, 'PLAIN', plainClient('ann', 'pencil'))
    expect(end).toMatchObject({ kind: 'failure', reply: { code: 454, enhanced: '4.7.0' } })
    expect(JSON.stringify(end)).not.toContain('hunter2')
    expect(scope.events.of('failure')).toHaveLength(1)
  })
})

function scram256(user: string, password: string) {
  return scramClient(user, password).client
}
