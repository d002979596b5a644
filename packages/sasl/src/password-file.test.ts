import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestScope, testScope } from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { passwordAuthentication } from './password-authentication.ts'
import { parseUsers, passwordFile } from './password-file.ts'
import { authenticate, plainClient } from './test-support/sasl-client.ts'

function fileOf(text: string): {
  path: string
  scope: TestScope
  login(user: string, password: string): Promise<string>
} {
  const folder = mkdtempSync(join(tmpdir(), 'password-file-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'users')
  writeFileSync(path, text)
  const scope = testScope()
  const authenticator = passwordAuthentication({ credentials: passwordFile(path) }).create(scope)
  return {
    path,
    scope,
    async login(user, password): Promise<string> {
      const end = await authenticate(authenticator, 'PLAIN', plainClient(user, password))
      return end.kind === 'failure' ? `${end.reply?.code ?? 535}` : end.kind
    },
  }
}

describe('a password file', () => {
  it('is read again when it has changed', async () => {
    const { path, login } = fileOf('ann:{PLAIN}one\n')
    expect(await login('ann', 'one')).toBe('success')
    appendFileSync(path, 'bob:{PLAIN}two\n')
    expect(await login('bob', 'two')).toBe('success')
    writeFileSync(path, 'ann:{PLAIN}a new one\n')
    expect([await login('ann', 'one'), await login('ann', 'a new one'), await login('bob', 'two')]).toEqual([
      '535',
      'success',
      '535',
    ])
  })

  it('has its broken lines reported, without what is in them, and the others used', async () => {
    const { scope, login } = fileOf(
      '# users\n\nann:{PLAIN}one:1000:1000::/home/ann\nhunter2\nbob:{ROT13}hunter2\nann:{PLAIN}x\n',
    )
    expect(await login('ann', 'one')).toBe('success')
    expect(await login('ann', 'x')).toBe('535')
    const told = scope.events.of('failure').map(({ error }) => String(error))
    expect(told.map((text) => /line \d.*/.exec(text)?.[0])).toEqual([
      'line 4 is broken, or of no known scheme',
      'line 5 is broken, or of no known scheme',
      'line 6 is a second one for its user',
    ])
    expect(told.join()).not.toContain('hunter2')
  })

  it('that cannot be read lets nobody in and refuses nobody for good', async () => {
    const { path, login } = fileOf('ann:{PLAIN}one\n')
    expect(await login('ann', 'one')).toBe('success')
    rmSync(path)
    expect(await login('ann', 'one')).toBe('454')
    writeFileSync(path, 'ann:{PLAIN}one\n')
    expect(await login('ann', 'one')).toBe('success')
  })

  it('is read by line ends of any system', () => {
    expect([...parseUsers('ann:{PLAIN}one\r\nbob:{PLAIN}two').byName.keys()]).toEqual(['ann', 'bob'])
  })

  it('refuses more passwords at once than may wait, for now', async () => {
    const { path } = fileOf(`ann:{SHA512-CRYPT}$6$x$${'.'.repeat(86)}`)
    const credentials = passwordFile(path, { atOnce: 1, waiting: 1 })
    const authenticator = passwordAuthentication({ credentials }).create(testScope())
    const attempts = Array.from({ length: 4 }, () => authenticate(authenticator, 'PLAIN', plainClient('ann', 'x')))
    const codes = (await Promise.all(attempts)).map((end) => (end.kind === 'failure' ? (end.reply?.code ?? 535) : 0))
    expect(codes.sort()).toEqual([454, 454, 535, 535])
  })
})
