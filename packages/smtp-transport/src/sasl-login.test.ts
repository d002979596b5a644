import { testAuthority } from '@mailwright/testing'
import { afterEach, describe, expect, it } from 'vitest'
import type { SmtpCredentials, SmtpCredentialsSource } from './credentials.ts'
import type { SmtpTransportOptions } from './options.ts'
import { smtpTransport } from './smtp-transport.ts'
import type { Answer, ServerOptions } from './testing-support/scripted-server.ts'
import { job, summary, type World, world } from './testing-support/world.ts'

const ANN: SmtpCredentials = { user: 'ann', password: 'pencil' }
const HOST = 'mx.example.org[192.0.2.25]:25'
const base64 = (text: string): string => Buffer.from(text).toString('base64')
const plain = (user: string, password: string): string => `AUTH PLAIN ${base64(`\0${user}\0${password}`)}`

const worlds: World[] = []
afterEach(async () => {
  for (const each of worlds.splice(0)) await each.end()
})

/** A smarthost that offers these mechanisms and answers by script: by a command's beginning, one answer each time. */
async function smarthost(
  mechanisms: string,
  script: readonly (readonly [string, Answer])[],
  auth: SmtpCredentialsSource,
  options: Partial<SmtpTransportOptions> = {},
  server: ServerOptions = {},
): Promise<World> {
  const left = [...script]
  const made = await world(
    { auth, authWithoutTls: 'allowed', ...options },
    {
      capabilities: ['PIPELINING', `AUTH ${mechanisms}`],
      answer: (command) => {
        if (command === '<greeting>' || command.startsWith('EHLO')) return undefined
        const at = left.findIndex(([start]) => command.startsWith(start))
        return at < 0 ? undefined : left.splice(at, 1)[0]![1]
      },
      ...server,
    },
  )
  worlds.push(made)
  return made
}

const OK = '235 2.7.0 welcome'

describe('a smarthost that wants to know who we are', () => {
  it.each<readonly [string, SmtpCredentials, readonly (readonly [string, Answer])[], readonly string[]]>([
    ['PLAIN', ANN, [['AUTH', OK]], [plain('ann', 'pencil')]],
    [
      'LOGIN',
      ANN,
      [
        ['AUTH', `334 ${base64('Username:')}`],
        [base64('ann'), `334 ${base64('Password:')}`],
        [base64('pencil'), OK],
      ],
      ['AUTH LOGIN', base64('ann'), base64('pencil')],
    ],
    [
      'CRAM-MD5',
      // The example of RFC 2195.
      { user: 'tim', password: 'tanstaaftanstaaf' },
      [
        ['AUTH', `334 ${base64('<1896.697170952@postoffice.reston.mci.net>')}`],
        ['dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw', OK],
      ],
      ['AUTH CRAM-MD5', 'dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw'],
    ],
    [
      'XOAUTH2',
      { user: 'ann', token: 'ya29' },
      [['AUTH', OK]],
      [`AUTH XOAUTH2 ${base64('user=ann\x01auth=Bearer ya29\x01\x01')}`],
    ],
    [
      'OAUTHBEARER',
      { user: 'ann@example.org', token: 'ya29' },
      [['AUTH', OK]],
      [
        `AUTH OAUTHBEARER ${base64('n,a=ann@example.org,\x01host=mx.example.org\x01port=25\x01auth=Bearer ya29\x01\x01')}`,
      ],
    ],
  ])('is told by %s, and takes mail', async (mechanism, credentials, script, said) => {
    const { deliver, server } = await smarthost(mechanism, script, credentials)
    expect(summary(await deliver())).toEqual([expect.stringMatching(/^ok/)])
    const { commands } = server.visits[0]!
    expect(commands.slice(2, 2 + said.length)).toEqual(said)
    expect(commands[2 + said.length]).toMatch(/^MAIL/)
  })

  it('is told once for each connection', async () => {
    const { deliver, server } = await smarthost('PLAIN', [['AUTH', OK]], ANN)
    for (let n = 0; n < 3; n++) expect(summary(await deliver())).toEqual([expect.stringMatching(/^ok/)])
    expect(server.visits).toHaveLength(1)
  })

  it('is told in the strongest way that both know, and in none that was not allowed', async () => {
    const { deliver, server } = await smarthost('LOGIN PLAIN CRAM-MD5', [], { ...ANN, mechanisms: ['LOGIN', 'PLAIN'] })
    await deliver()
    expect(server.visits[0]!.commands[2]).toBe(plain('ann', 'pencil'))
    const other = await smarthost('LOGIN PLAIN CRAM-MD5', [], ANN)
    await other.deliver()
    expect(other.server.visits[0]!.commands[2]).toBe('AUTH CRAM-MD5')
  })

  it('and finds one way too weak is told in another', async () => {
    const script: [string, Answer][] = [
      ['AUTH CRAM-MD5', '504 5.5.4 not for you'],
      ['AUTH PLAIN', OK],
    ]
    const { deliver } = await smarthost('CRAM-MD5 PLAIN', script, ANN)
    expect(summary(await deliver())).toEqual([expect.stringMatching(/^ok/)])
  })
})

describe('mail is kept for later, and no secret told, when the smarthost', () => {
  const refusedText = `deferred destination 451 4.7.8 host ${HOST} said: 535 5.7.8 wrong`
  it.each<readonly [string, string, readonly (readonly [string, Answer])[], string]>([
    ['does not know us', 'PLAIN', [['AUTH', '535 5.7.8 wrong']], refusedText],
    ['cannot say', 'PLAIN', [['AUTH', '454 4.7.0 later']], 'deferred destination 451 4.7.0'],
    ['offers nothing we know', 'GSSAPI', [], 'deferred destination 451 4.7.8'],
    ['asks without end', 'PLAIN', Array(9).fill(['', '334 ']), 'deferred destination 451 4.7.8'],
    ['asks what makes no sense', 'SCRAM-SHA-256', [['AUTH', '334 bm9uc2Vuc2U=']], 'deferred destination 451 4.7.8'],
    ['does not prove that it knows us', 'SCRAM-SHA-256', [['AUTH', OK]], 'deferred destination 451 4.7.8'],
    ['hangs up', 'PLAIN', [['AUTH', { and: 'close' }]], 'deferred destination 451 4.4.2'],
    ['falls silent', 'PLAIN', [['AUTH', { and: 'silence' }]], 'deferred destination 451 4.4.2'],
    ['talks rubbish', 'PLAIN', [['AUTH', { say: '!\r\n', and: 'silence' }]], 'deferred destination 451 4.5.0'],
    ['agrees to what it was not told', 'LOGIN', [['AUTH', '250 fine']], 'deferred destination 451 4.7.8'],
  ])('%s', async (_, mechanisms, script, expected) => {
    const { deliver, server } = await smarthost(mechanisms, script, ANN)
    const outcomes = await deliver()
    const line = summary(outcomes)[0]!
    expect(line.startsWith(expected), line).toBe(true)
    expect(server.messages).toEqual([])
    const told = JSON.stringify([...outcomes])
    for (const secret of ['pencil', base64('pencil'), base64('\0ann\0pencil')]) expect(told).not.toContain(secret)
  })

  it('refuses us: no other host is asked, because that locks accounts', async () => {
    const zones = {
      'example.org': {
        MX: [
          [1, 'a.example'],
          [2, 'b.example'],
        ] as const,
      },
      'a.example': { A: ['192.0.2.25'] },
      'b.example': { A: ['192.0.2.25'] },
    }
    const made = await world(
      { auth: ANN, authWithoutTls: 'allowed', maxSessions: 5 },
      { capabilities: ['AUTH PLAIN'], answer: (command) => (command.startsWith('AUTH') ? '535 5.7.8 no' : undefined) },
      { zones },
    )
    worlds.push(made)
    expect(summary(await made.deliver())[0]).toMatch(/^deferred destination 451 4\.7\.8/)
    expect(made.server.visits).toHaveLength(1)
  })

  it('has no TLS: credentials are not for clear text', async () => {
    const { deliver, server } = await smarthost('PLAIN', [['AUTH', OK]], ANN, { authWithoutTls: 'never' })
    expect(summary(await deliver())[0]).toMatch(/^deferred destination 451 4\.7\.4/)
    expect(server.visits[0]!.commands.join()).not.toContain('AUTH')
    const none = await smarthost('PLAIN', [['AUTH', OK]], ANN, { authWithoutTls: 'never', tls: 'none' })
    expect(summary(await none.deliver())[0]).toMatch(/^deferred destination 451 4\.7\.8/)
    expect(none.server.visits[0]!.commands.join()).not.toContain('AUTH')
  })
})

it('Credentials go over TLS where the server has it', async () => {
  const tls = testAuthority().issue({ names: ['mx.example.org'] })
  const { deliver, server } = await smarthost('PLAIN', [['AUTH', OK]], ANN, { authWithoutTls: 'never' }, { tls })
  expect(summary(await deliver())).toEqual([expect.stringMatching(/^ok/)])
  expect(server.visits[0]!.secure).toBe(true)
})

describe('an access token that is refused', () => {
  const refusal: readonly (readonly [string, Answer])[] = [
    ['AUTH', `334 ${base64('{"status":"401"}')}`],
    ['', '535 5.7.8 expired'],
  ]

  /** Fresh tokens from a list, the first as long as nobody wants a fresh one. */
  function tokens(...all: readonly string[]): { readonly asked: string[]; readonly credentials: SmtpCredentials } {
    const asked: string[] = []
    const left = [...all]
    const token = (wanted: 'any' | 'fresh'): string => {
      asked.push(wanted)
      return left.shift() ?? 'none left'
    }
    return { asked, credentials: { user: 'ann', token } }
  }

  /** Answers AUTH by the token it brings. */
  function judge(good: string): NonNullable<ServerOptions['answer']> {
    return (command) => {
      if (command === '') return '535 5.7.8 expired'
      const response = /^AUTH XOAUTH2 (.*)$/.exec(command)?.[1]
      if (response === undefined) return undefined
      return Buffer.from(response, 'base64').toString().includes(`Bearer ${good}\x01`) ? OK : refusal[0]![1]
    }
  }

  it('is replaced by a fresh one', async () => {
    const { asked, credentials } = tokens('stale', 'good')
    const { deliver } = await smarthost('XOAUTH2', [], credentials, {}, { answer: judge('good') })
    expect(summary(await deliver())).toEqual([expect.stringMatching(/^ok/)])
    expect(asked).toEqual(['any', 'fresh'])
  })

  it('and a fresh one refused too defers the mail', async () => {
    const { asked, credentials } = tokens('stale', 'staler', 'good')
    const { deliver } = await smarthost('XOAUTH2', [], credentials, {}, { answer: judge('good') })
    expect(summary(await deliver())[0]).toMatch(/^deferred destination 451 4\.7\.8/)
    expect(asked).toEqual(['any', 'fresh'])
  })

  it('and cannot be replaced defers the mail, without a word of who could not', async () => {
    const credentials: SmtpCredentials = { user: 'ann', token: () => Promise.reject(new Error('secret key rejected')) }
    const { deliver } = await smarthost('XOAUTH2', [], credentials)
    const outcomes = await deliver()
    expect(summary(outcomes)[0]).toBe('deferred destination 451 4.7.8 there is no access token to authenticate with')
    expect(JSON.stringify([...outcomes])).not.toContain('secret key')
  })
})

describe('credentials by next hop and sender', () => {
  it('keep connections apart by who we are', async () => {
    const auth: SmtpCredentialsSource = (destination, sender) => {
      expect(destination).toBe('example.org')
      return sender === null ? undefined : { user: sender.local, password: 'x' }
    }
    const { deliver, server } = await smarthost(
      'PLAIN',
      [
        ['AUTH', OK],
        ['AUTH', OK],
      ],
      auth,
    )
    for (const from of ['ann@example.net', 'bob@example.net', '', 'ann@example.net']) {
      expect(summary(await deliver(job({ from })))).toEqual([expect.stringMatching(/^ok/)])
    }
    const who = server.visits.map(({ commands }) => commands.find((command) => command.startsWith('AUTH')))
    expect(who).toEqual([plain('ann', 'x'), plain('bob', 'x'), undefined])
    expect(server.visits.map(({ messages }) => messages.length)).toEqual([2, 1, 1])
  })

  it('that cannot be had defer the mail', async () => {
    const { deliver, server } = await smarthost('PLAIN', [], () => Promise.reject(new Error('vault sealed')))
    expect(summary(await deliver())).toEqual([expect.stringMatching(/^deferred destination 451 4\.3\.0/)])
    expect(server.visits).toEqual([])
  })
})

it.each([
  ['no user', { user: '', password: 'x' }],
  ['no secret', { user: 'ann' }],
  ['two secrets', { user: 'ann', password: 'x', token: 'y' }],
  ['mechanisms for another secret', { user: 'ann', password: 'x', mechanisms: ['XOAUTH2'] }],
])('Credentials with %s are an error of configuration', (_, auth) => {
  expect(() => smtpTransport({ hostname: 'a.example', auth: auth as never })).toThrow(
    expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }),
  )
})
