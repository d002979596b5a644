/** Users that a real Dovecot knows, and passwords that its `doveadm` and Apache's `htpasswd` have hashed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Authenticator, Block, Lifecycle } from '@mailwright/core'
import { systemEnvironment } from '@mailwright/kernel'
import { dovecotAuth, passwordAuthentication, passwordFile } from '@mailwright/sasl'
import { testScope } from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  authenticate,
  type Client,
  cramClient,
  loginClient,
  plainClient,
  scramClient,
  session,
} from '../../packages/sasl/src/test-support/sasl-client.ts'
import { dovecotSocket, startDovecot } from './dovecot.ts'
import { missing, runProgram } from './programs.ts'
import { temporaryFolder } from './temporary-folder.ts'

const CLIENTS: Readonly<Record<string, (user: string, password: string) => Client>> = {
  PLAIN: plainClient,
  LOGIN: loginClient,
  'CRAM-MD5': cramClient,
  'SCRAM-SHA-256': (user, password) => scramClient(user, password).client,
}

describe("Dovecot's authentication socket", () => {
  it.skipIf(missing('dovecot'))('says who a client is, in each mechanism it announces', async () => {
    const { socket } = await startDovecot(temporaryFolder(), 'ann:{PLAIN}pencil\ntom:{PLAIN}x::::::nologin=y\n')
    const authenticator = await started(dovecotAuth({ socket }))
    const offered = authenticator.mechanisms(session())
    expect([...offered].sort()).toEqual(Object.keys(CLIENTS).sort())
    for (const [mechanism, client] of Object.entries(CLIENTS)) {
      expect(await authenticate(authenticator, mechanism, client('ann', 'pencil')), mechanism).toMatchObject({
        kind: 'success',
        user: 'ann',
      })
      for (const [user, password] of [
        ['ann', 'wrong'],
        ['nobody', 'pencil'],
      ] as const) {
        const end = await authenticate(authenticator, mechanism, client(user, password))
        expect(end, mechanism).toMatchObject({ kind: 'failure', user, reason: 'Dovecot: refused' })
        expect(end.kind === 'failure' && end.reply).toBeUndefined()
      }
    }
    expect(await authenticate(authenticator, 'PLAIN', plainClient('tom', 'x'))).toMatchObject({ kind: 'failure' })
  })

  it.skipIf(missing('dovecot'))('serves many clients at once over one connection', async () => {
    const { socket } = await startDovecot(temporaryFolder(), 'ann:{PLAIN}pencil\n')
    const authenticator = await started(dovecotAuth({ socket }))
    const ends = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        authenticate(
          authenticator,
          index % 2 ? 'SCRAM-SHA-256' : 'PLAIN',
          CLIENTS[index % 2 ? 'SCRAM-SHA-256' : 'PLAIN']!('ann', index % 4 < 2 ? 'pencil' : 'wrong'),
        ),
      ),
    )
    expect(ends.map(({ kind }) => kind)).toEqual(ends.map((_, index) => (index % 4 < 2 ? 'success' : 'failure')))
  })

  it.skipIf(missing('dovecot'))('is answered for with 454 until it is there', async () => {
    const folder = temporaryFolder()
    const authenticator = await started(dovecotAuth({ socket: dovecotSocket(folder), retryAfter: 0 }))
    const attempt = () => authenticate(authenticator, 'PLAIN', plainClient('ann', 'pencil'))
    expect(await attempt()).toMatchObject({ kind: 'failure', reply: { code: 454, enhanced: '4.7.0' } })
    await startDovecot(folder, 'ann:{PLAIN}pencil\n')
    expect(await attempt()).toEqual({ kind: 'success', user: 'ann' })
  })
})

describe('a password file', () => {
  it.skipIf(missing('doveadm'))(
    'with hashes of doveadm lets its users in',
    async () => {
      const schemes = [
        'BLF-CRYPT',
        'SHA512-CRYPT',
        'SHA256-CRYPT',
        'ARGON2ID',
        'PBKDF2',
        'SCRAM-SHA-256',
        'PLAIN',
        'SSHA512',
      ]
      const lines: string[] = []
      for (const scheme of schemes) {
        lines.push(`${scheme}:${(await runProgram('doveadm', ['-O', 'pw', '-s', scheme, '-p', 'Grüße, Ann'])).trim()}`)
      }
      await expectUsers(lines, schemes, 'Grüße, Ann')
    },
    60_000,
  )

  it.skipIf(missing('htpasswd'))('with hashes of htpasswd lets its users in', async () => {
    const forms = ['-B', '-m', '-s']
    const lines: string[] = []
    for (const form of forms) lines.push((await runProgram('htpasswd', ['-nb', form, `user${form}`, 'secret'])).trim())
    await expectUsers(
      lines,
      forms.map((form) => `user${form}`),
      'secret',
    )
  })
})

async function expectUsers(lines: readonly string[], users: readonly string[], password: string): Promise<void> {
  const path = join(temporaryFolder(), 'users')
  writeFileSync(path, lines.join('\n'))
  const authenticator = await started(passwordAuthentication({ credentials: passwordFile(path) }))
  for (const user of users) {
    expect(await authenticate(authenticator, 'PLAIN', plainClient(user, password)), user).toEqual({
      kind: 'success',
      user,
    })
    expect(await authenticate(authenticator, 'PLAIN', plainClient(user, 'wrong')), user).toMatchObject({
      kind: 'failure',
    })
  }
}

async function started(block: Block<Authenticator>): Promise<Authenticator> {
  const authenticator: Authenticator & Lifecycle = block.create(testScope({ environment: systemEnvironment() }))
  await authenticator.start?.({ signal: new AbortController().signal })
  onTestFinished(() => authenticator.stop?.())
  return authenticator
}
