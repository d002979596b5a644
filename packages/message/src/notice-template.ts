/**
 * The wording of notices: what people read, apart from what a notice is. A template cannot change whom a notice goes to,
 * its null sender, its Auto-Submitted field or what programs read; and what it answers is cleaned before it stands in a
 * header or line, so that neither a template nor a remote server's words can add a field.
 */
import type { MessageId } from '@mailwright/core'
import type { DsnAction, DsnKind } from './dsn.ts'

/** What a template may speak of. No text has a line break; those from other servers have at most some 900 characters. */
export interface NoticeFacts {
  readonly kind: DsnKind
  /** Our name. */
  readonly hostname: string
  /** The original's id in the queue. */
  readonly queueId: MessageId
  /** The original's sender; empty for the null sender. */
  readonly sender: string
  /** The original's Subject field, as it was written. */
  readonly subject: string | undefined
  /** When the original was accepted, ms since the epoch. */
  readonly arrivedAt: number
  readonly recipients: readonly NoticeRecipient[]
  /** Whether the notice returns the whole message or its header alone. */
  readonly returned: 'message' | 'header'
}

export interface NoticeRecipient {
  readonly address: string
  /** What the sender wrote, where that led to another address. */
  readonly original: string | undefined
  readonly action: DsnAction
  /** The host that spoke, where it was not ours. */
  readonly host: string | undefined
  /** What it said. */
  readonly said: string
  /** Until when it is tried, ms since the epoch. */
  readonly retryUntil: number | undefined
}

/** How a notice of one kind is worded. */
export interface NoticeWording {
  readonly subject: string | ((facts: NoticeFacts) => string)
  /** The text, with any line breaks. Long lines are folded. */
  readonly text: (facts: NoticeFacts) => string
}

export interface NoticeTemplate {
  /** The language, as in RFC 5646: `en`, `de`, `pt-BR`. */
  readonly language: string
  /** The name beside the address in the From field. */
  readonly from: string
  readonly wording: Readonly<Record<DsnKind, NoticeWording>>
}

/** All that a plain notice says, in one language. */
export interface NoticeWords {
  readonly language: string
  readonly from: string
  readonly opening: (hostname: string) => string
  readonly kinds: Readonly<Record<DsnKind, { readonly subject: string; readonly explanation: string }>>
  readonly expandedFrom: (original: string) => string
  readonly hostSaid: (host: string) => string
  readonly actions: Readonly<Record<Exclude<DsnAction, 'failed' | 'delayed'>, string>>
  /** `message` or `header` is returned below. */
  readonly enclosed: Readonly<Record<NoticeFacts['returned'], string>>
}

/**
 * A template from the words of a language: an opening, what happened, and a paragraph for each recipient.
 *
 * @example
 * messageQueue({ …, notices: { templates: { fr: noticeTemplate({ language: 'fr', from: 'Distribution du courrier', … }) } } })
 */
export function noticeTemplate(words: NoticeWords): NoticeTemplate {
  const wording = (kind: DsnKind): NoticeWording => ({
    subject: words.kinds[kind].subject,
    text: (facts) =>
      [
        words.opening(facts.hostname),
        words.kinds[kind].explanation,
        ...facts.recipients.map((about) => paragraph(words, about)),
        words.enclosed[facts.returned],
      ].join('\n\n'),
  })
  return {
    language: words.language,
    from: words.from,
    wording: {
      failed: wording('failed'),
      delayed: wording('delayed'),
      delivered: wording('delivered'),
      mixed: wording('mixed'),
    },
  }
}

function paragraph(words: NoticeWords, about: NoticeRecipient): string {
  const { original, host, action } = about
  const who = `<${about.address}>${original === undefined ? '' : ` (${words.expandedFrom(`<${original}>`)})`}`
  const how = action === 'failed' || action === 'delayed' ? '' : `${words.actions[action]}: `
  return `${who}: ${how}${host === undefined ? '' : `${words.hostSaid(host)}: `}${about.said}`
}
