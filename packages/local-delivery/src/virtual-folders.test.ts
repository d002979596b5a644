import type { Call } from '@mailwright/core'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type VirtualFolders, virtualFolders } from './virtual-folders.ts'

const call: Call = { signal: new AbortController().signal }
const at = async (
  local: string,
  domain = 'example.org',
  more: Partial<VirtualFolders> = {},
): Promise<string | undefined> =>
  virtualFolders({ root: '/srv/mail', exists: () => true, ...more })({ local, domain }, call)

it.each([
  ['ann', '/srv/mail/example.org/ann'],
  ['Ann.Smith', '/srv/mail/example.org/ann.smith'],
  ['ann+list', '/srv/mail/example.org/ann%2blist'],
  ['..', '/srv/mail/example.org/%2e.'],
  ['.hidden', '/srv/mail/example.org/%2ehidden'],
  ['../../etc/passwd', '/srv/mail/example.org/%2e.%2f..%2fetc%2fpasswd'],
  ['a/b', '/srv/mail/example.org/a%2fb'],
  ['a%2fb', '/srv/mail/example.org/a%252fb'],
  ['a\0b', '/srv/mail/example.org/a%00b'],
  ['-rf', '/srv/mail/example.org/-rf'],
  ['jürgen', '/srv/mail/example.org/j%c3%bcrgen'],
])('the mailbox of %j is %s', async (local, expected) => {
  expect(await at(local)).toBe(expected)
})

it('layouts', async () => {
  expect(await at('ann', 'Example.ORG', { layout: 'domain/u/user', within: 'Maildir' })).toBe(
    '/srv/mail/example.org/a/ann/Maildir',
  )
  expect(await at('+x', 'example.org', { layout: 'domain/u/user' })).toBe('/srv/mail/example.org/_/%2bx')
  expect(await at('ann', '../../etc')).toBe('/srv/mail/%2e.%2f..%2fetc/ann')
})

it('nobody has a folder who does not exist, or whose name is too long for one', async () => {
  expect(await at('ann', 'example.org', { exists: ({ local }) => local === 'bob' })).toBeUndefined()
  expect(await at('a'.repeat(256))).toBeUndefined()
  expect(await at('+'.repeat(90))).toBeUndefined()
  expect(await at('')).toBeUndefined()
})

it('a query that fails is no answer', async () => {
  const failing = at('ann', 'example.org', { exists: () => Promise.reject(new Error('database is gone')) })
  await expect(failing).rejects.toThrow('database is gone')
})

it('two addresses never share a folder, and none leads out of the root', async () => {
  const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(text, text, async (one, other) => {
      const [first, second] = [await at(one), await at(other)]
      expect(first).toMatch(/^\/srv\/mail\/example\.org\/(?!\.)[a-z0-9._%-]+$/)
      expect(first === second).toBe(Buffer.from(one.toLowerCase()).equals(Buffer.from(other.toLowerCase())))
    }),
  )
})

it('a root that depends on the working directory is refused', () => {
  expect(() => virtualFolders({ root: 'mail', exists: () => true })).toThrow('not an absolute path')
})
