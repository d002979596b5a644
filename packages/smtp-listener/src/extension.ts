/**
 * Keywords and verbs of the host's own. A verb is answered like any other: in order, one at a time. It can neither
 * replace a verb of the engine nor read more than its own line, and counts among the commands that move no mail.
 */
import { type Awaitable, MailwrightError, type Reply, type Session } from '@mailwright/core'

/**
 * Answers one command of the client: `argument` is what stands behind the verb, without trailing blanks, printable ASCII
 * or UTF-8. May answer with a promise: the client waits. A throw or a rejection is `451 4.3.0` and a `failure`.
 */
export type VerbHandler = (argument: string, session: Session) => Awaitable<Reply>

/**
 * Something a host adds to the protocol (RFC 5321 §2.2).
 *
 * @example
 * const whoAmI: Extension = {
 *   keyword: () => 'XWHOAMI',
 *   verbs: { XWHOAMI: (_argument, session) => reply(250, '2.0.0', session.user ?? 'nobody') },
 * }
 */
export interface Extension {
  /** The line of the EHLO answer, printable ASCII; undefined where this session is not offered it. Asked at each EHLO. */
  keyword?(session: Session): string | undefined
  /** What answers each verb, by its name in capitals. */
  readonly verbs?: Readonly<Record<string, VerbHandler>>
}

/** All extensions of a listener. */
export interface Extensions {
  readonly verbs: ReadonlyMap<string, VerbHandler>
  keywords(session: Session): readonly string[]
}

const BUILT_IN = new Set(
  'MAIL RCPT EHLO HELO LHLO NOOP HELP VRFY DATA RSET QUIT STARTTLS BDAT AUTH EXPN ETRN TURN SEND SOML SAML XCLIENT XFORWARD'.split(
    ' ',
  ),
)
const VERB = /^[A-Z][A-Z0-9-]{0,31}$/
const KEYWORD = /^[A-Za-z0-9][A-Za-z0-9-]*(?: [\x21-\x7e]+)*$/

/**
 * Puts the extensions of a listener together; undefined when there are none.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a verb that is the engine's own, is no verb, or is there twice.
 */
export function extensionsOf(extensions: readonly Extension[] = []): Extensions | undefined {
  if (extensions.length === 0) return undefined
  const verbs = new Map<string, VerbHandler>()
  for (const extension of extensions) {
    for (const [verb, handler] of Object.entries(extension.verbs ?? {})) {
      if (!VERB.test(verb) || BUILT_IN.has(verb) || verbs.has(verb)) {
        throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpListener: an extension cannot have the verb ${verb}`)
      }
      verbs.set(verb, handler)
    }
  }
  return { verbs, keywords: (session) => extensions.map((it) => it.keyword?.(session)).filter(isKeyword) }
}

/** What is no keyword is not offered: it could not be told from another line of the answer. */
function isKeyword(text: string | undefined): text is string {
  return text !== undefined && KEYWORD.test(text)
}
