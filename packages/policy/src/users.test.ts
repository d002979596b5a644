import { type ClientCertificate, type Decision, MailwrightError, type Policy, type TlsFacts } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { rejectSenderLoginMismatch, type SenderLoginOptions } from './sender-login.ts'
import { atRcpt, call, opened, session, transaction, verdictOf } from './test-support/ask.ts'
import { permitClientCertificate, requireAuthentication } from './users.ts'

/** What the policy says at MAIL to this client, or to a stranger. */
async function atMail(policy: Policy, sender: string | null, user?: string): Promise<string> {
  const answer: Decision | undefined | void = await opened(policy, { user }).mail?.(transaction(sender), call)
  return verdictOf(answer)
}

it('mail without authentication is refused where it is required, until the client has authenticated', async () => {
  const facts = session()
  const asked = opened(requireAuthentication(), facts)
  expect(verdictOf(await asked.mail?.(transaction(), call))).toBe('reject 530 5.7.0 Authentication required')
  facts.user = 'ann'
  expect(verdictOf(await asked.mail?.(transaction(), call))).toBe('silence')
})

describe('a client certificate', () => {
  const [OF_CERTIFICATE, OF_KEY] = ['ab'.repeat(32), 'cd'.repeat(32)]
  const clientCertificate: ClientCertificate = {
    subject: 'CN=relay.example.net',
    issuer: 'CN=ca',
    fingerprint: OF_CERTIFICATE,
    publicKeyFingerprint: OF_KEY,
    verified: false,
  }
  const tls: TlsFacts = { protocol: 'TLSv1.3', cipher: 'AES', clientCertificate }

  it.each([OF_CERTIFICATE, OF_KEY, OF_KEY.toUpperCase().replace(/..(?!$)/g, '$&:')])(
    'lets its client relay when its fingerprint is known: %s',
    async (fingerprint) => {
      expect(await atRcpt(permitClientCertificate(['ef'.repeat(32), fingerprint]), undefined, { tls })).toBe('accept')
    },
  )

  it('that is another, or none, says nothing', async () => {
    const policy = permitClientCertificate(['ef'.repeat(32)])
    expect(await atRcpt(policy, undefined, { tls })).toBe('silence')
    expect(await atRcpt(policy, undefined, { tls: { protocol: 'x', cipher: 'y' } })).toBe('silence')
    expect(await atRcpt(policy)).toBe('silence')
  })

  it('counts from STARTTLS on', async () => {
    const facts = session()
    const asked = opened(permitClientCertificate([OF_KEY]), facts)
    expect(await atRcpt(asked)).toBe('silence')
    facts.tls = tls
    expect(await atRcpt(asked)).toBe('accept')
  })

  it.each(['', 'ab', 'xy'.repeat(32), 'ab'.repeat(20)])('cannot be known by %j', (fingerprint) => {
    expect(() => permitClientCertificate([fingerprint])).toThrow(
      expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }),
    )
  })
})

describe('a sender address', () => {
  const owners = { 'Info@example.org': ['Ann', 'bob'], '@example.net': ['carol'], 'eve@example.net': ['eve'] }
  const NOT_OWNED = 'reject 553 5.7.1 Sender address rejected: not owned by user'
  const NOT_LOGGED_IN = 'reject 553 5.7.1 Sender address rejected: not logged in'
  type Case = readonly [string | null, string | undefined, Partial<SenderLoginOptions>, string]

  it.each<Case>([
    ['info@example.org', 'ann', {}, 'silence'],
    ['INFO@example.org', 'BOB', {}, 'silence'],
    ['info@example.org', 'carol', {}, NOT_OWNED],
    ['info@example.org', undefined, {}, NOT_LOGGED_IN],
    ['any@example.net', 'carol', {}, 'silence'],
    ['any@example.net', 'ann', {}, NOT_OWNED],
    ['eve@example.net', 'carol', {}, NOT_OWNED],
    ['eve@example.net', 'eve', {}, 'silence'],
    ['other@example.org', 'ann', {}, NOT_OWNED],
    ['other@example.org', undefined, {}, 'silence'],
    ['other@example.org', 'ann', { unowned: 'permit' }, 'silence'],
    ['info@example.org', 'carol', { unowned: 'permit' }, NOT_OWNED],
    ['info@example.org', 'carol', { clients: 'unauthenticated' }, 'silence'],
    ['info@example.org', undefined, { clients: 'unauthenticated' }, NOT_LOGGED_IN],
    ['info@example.org', 'carol', { clients: 'authenticated' }, NOT_OWNED],
    ['info@example.org', undefined, { clients: 'authenticated' }, 'silence'],
    [null, 'ann', {}, 'silence'],
    [null, undefined, {}, 'silence'],
  ])('%s of user %s with %o: %s', async (sender, user, options, verdict) => {
    expect(await atMail(rejectSenderLoginMismatch({ owners, ...options }), sender, user)).toBe(verdict)
  })

  it('may be looked up anywhere, at once or later', async () => {
    const asked = rejectSenderLoginMismatch({ owners: async ({ local }) => (local === 'info' ? ['ann'] : []) })
    expect(await atMail(asked, 'info@example.org', 'ann')).toBe('silence')
    expect(await atMail(asked, 'info@example.org', 'bob')).toBe(NOT_OWNED)
    expect(await atMail(asked, 'x@example.org', 'ann')).toBe(NOT_OWNED)
    expect(await atMail(asked, 'x@example.org')).toBe('silence')
  })

  it('whose owners cannot be looked up is no pass', async () => {
    const down = new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', 'the table is down')
    const later = rejectSenderLoginMismatch({ owners: () => Promise.reject(down) })
    await expect(atMail(later, 'info@example.org', 'ann')).rejects.toBe(down)
  })

  it('names its owners by address or @domain only', () => {
    for (const wrong of ['', 'ann', '@', 'ann@'])
      expect(() => rejectSenderLoginMismatch({ owners: { [wrong]: ['ann'] } })).toThrow(
        expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }),
      )
  })
})
