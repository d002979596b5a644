/**
 * Who may use which sender address: Postfix's `reject_sender_login_mismatch` and its variants. The owners of an address
 * are user names, compared without case. The null sender belongs to nobody and passes. What fails to look up owners
 * makes the policy fail: a temporary refusal.
 */
import {
  type Awaitable,
  type Call,
  type Decision,
  formatMailbox,
  type Mailbox,
  MailwrightError,
  mailboxKey,
  type Policy,
  policy,
  type Refusal,
  reject,
  reply,
} from '@mailwright/core'

/** The users that own an address; none, or undefined, when it is nobody's. */
export type SenderOwners = (sender: Mailbox, call: Call) => Awaitable<readonly string[] | undefined>

export interface SenderLoginOptions {
  /**
   * Address to users: `{ 'info@example.org': ['ann', 'bob'], '@example.net': ['carol'] }`; a whole address goes before
   * its domain. Or a function, for everything else: address extensions, databases.
   */
  readonly owners: Readonly<Record<string, readonly string[]>> | SenderOwners
  /**
   * Whose mail is looked at. `authenticated`: users may send only as themselves. `unauthenticated`: what has an owner
   * needs a login. Default `all`, which is both.
   */
  readonly clients?: 'all' | 'authenticated' | 'unauthenticated'
  /** What users may do with addresses that are nobody's. Default `reject`. */
  readonly unowned?: 'reject' | 'permit'
}

const NOT_OWNED: Refusal = reply(553, '5.7.1', 'Sender address rejected: not owned by user')
const NOT_LOGGED_IN: Refusal = reply(553, '5.7.1', 'Sender address rejected: not logged in')

/**
 * Rejects senders that do not belong to the client: `553 5.7.1`, "not owned by user" for those who are logged in as
 * somebody else, "not logged in" for those who are not logged in. To be put before what permits.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a key of `owners` that is neither address nor `@domain`.
 * @example
 * restrictions([rejectSenderLoginMismatch({ owners: { 'ann@example.org': ['ann'] } }), permitAuthenticated()])
 */
export function rejectSenderLoginMismatch(options: SenderLoginOptions): Policy {
  const { clients = 'all', unowned = 'reject' } = options
  const ownersOf = typeof options.owners === 'function' ? options.owners : ownersIn(options.owners)
  return policy('reject-sender-login-mismatch', (session) => ({
    mail({ sender }, call) {
      const { user } = session
      if (sender === null || clients === (user === undefined ? 'authenticated' : 'unauthenticated')) return undefined
      const judge = (owners: readonly string[] | undefined): Decision | undefined =>
        user === undefined ? judgeStranger(sender, owners) : judgeUser(sender, user, owners, unowned)
      const owners = ownersOf(sender, call)
      return owners instanceof Promise ? owners.then(judge) : judge(owners)
    },
  }))
}

function judgeStranger(sender: Mailbox, owners: readonly string[] | undefined): Decision | undefined {
  if (owners === undefined || owners.length === 0) return undefined
  return reject(NOT_LOGGED_IN, `${formatMailbox(sender)} has an owner and the client is not logged in`)
}

function judgeUser(
  sender: Mailbox,
  user: string,
  owners: readonly string[] | undefined,
  unowned: 'reject' | 'permit',
): Decision | undefined {
  if (owners === undefined || owners.length === 0)
    return unowned === 'permit' ? undefined : reject(NOT_OWNED, `${formatMailbox(sender)} has no owner`)
  const name = user.toLowerCase()
  if (owners.some((owner) => owner.toLowerCase() === name)) return undefined
  return reject(NOT_OWNED, `${formatMailbox(sender)} is not owned by ${user}`)
}

function ownersIn(table: Readonly<Record<string, readonly string[]>>): SenderOwners {
  const byAddress = new Map<string, readonly string[]>()
  for (const [address, owners] of Object.entries(table)) {
    if (!/.@.|^@./.test(address)) throw notAnAddress(address)
    byAddress.set(address.toLowerCase(), owners)
  }
  return (sender) => byAddress.get(mailboxKey(sender)) ?? byAddress.get(`@${sender.domain}`)
}

function notAnAddress(text: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `owners are for an address or @domain, not for ${text}`)
}
