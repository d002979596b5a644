/**
 * Which troubles the postmaster hears of too, by the classes that Postfix knows, as far as a queue sees them. Copies
 * have the header of the mail alone. What fails on its way to the postmaster is told to nobody: copies make no copies.
 */
import { type Mailbox, MailwrightError, mailboxKey, type Outcome } from '@mailwright/core'
import type { Told } from './bounce.ts'

/**
 * `bounce`: mail that failed, whoever wants to hear of it; `2bounce`: failed mail whose sender cannot be told; `delay`:
 * mail that is late, when its sender is warned; `policy`: mail that failed by a policy (X.7.X); `resource`: by lack of
 * space of ours (X.3.1); `software`: by something broken here (X.3.0, X.3.5).
 */
export type PostmasterClass = 'bounce' | '2bounce' | 'delay' | 'policy' | 'resource' | 'software'

export interface PostmasterOptions {
  readonly address: Mailbox
  /** Default `['resource', 'software']`. */
  readonly classes?: readonly PostmasterClass[]
}

/** The options, after a check of what a program without types may have given. */
export function checkedPostmaster(options: PostmasterOptions): Required<PostmasterOptions> {
  const { address, classes = ['resource', 'software'] } = options
  const known: readonly string[] = ['bounce', '2bounce', 'delay', 'policy', 'resource', 'software']
  const unknown = classes.find((each) => !known.includes(each))
  if (unknown !== undefined)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a class of notices to the postmaster: ${String(unknown)}`)
  return { address, classes }
}

/** Whether the postmaster hears of what befell mail of this sender. */
export function concernsPostmaster(
  { address, classes }: Required<PostmasterOptions>,
  told: Told,
  audience: 'sender' | 'nobody',
): boolean {
  const troubled = [...told.failed, ...told.delayed]
  if (troubled.every(({ recipient }) => mailboxKey(recipient.original) === mailboxKey(address))) return false
  return classes.some((each) => {
    if (each === '2bounce') return audience === 'nobody' && told.failed.length > 0
    if (audience === 'nobody') return false
    if (each === 'bounce') return told.failed.length > 0
    if (each === 'delay') return told.delayed.length > 0
    return troubled.some(({ outcome }) => isOfClass(each, outcome))
  })
}

function isOfClass(each: 'policy' | 'resource' | 'software', outcome: Outcome): boolean {
  const subject = outcome.reply.enhanced.slice(2)
  if (each === 'policy') return subject.startsWith('7.')
  // What others lack or have broken is theirs to hear of.
  if (outcome.remote !== undefined) return false
  return each === 'resource' ? subject === '3.1' : subject === '3.0' || subject === '3.5'
}
