/**
 * How notices of a queue are written: in whose words, in which language, and how much of the mail they return. What a
 * notice is, its null sender, its Auto-Submitted field and whom it goes to, is not for options to change.
 */
import type { Events, Labels, Mailbox, MessageSource, Recipient } from '@mailwright/core'
import {
  buildDsn,
  type DsnKind,
  type DsnReport,
  ENGLISH_NOTICES,
  GERMAN_NOTICES,
  type NoticeTemplate,
} from '@mailwright/message'

export interface NoticeOptions {
  /** Wordings by language, beside `en` and `de`, which they may replace. */
  readonly templates?: Readonly<Record<string, NoticeTemplate>>
  /** Chooses the language. Default, and for one without a template: English. */
  readonly language?: (audience: NoticeAudience) => string | undefined
  /** Whom notices are from. Default `MAILER-DAEMON` at our name. */
  readonly from?: Mailbox
  /** Largest message, in octets, that a notice of failure returns whole. Default 50,000. */
  readonly returnLimit?: number
}

/** Whom a notice is for, and what about. */
export interface NoticeAudience {
  readonly to: Mailbox
  readonly kind: DsnKind
  readonly recipients: readonly Recipient[]
  readonly labels: Labels | undefined
}

const BUILT_IN: Readonly<Record<string, NoticeTemplate>> = { en: ENGLISH_NOTICES, de: GERMAN_NOTICES }

/** Writes a notice to a sender. A template that breaks is a `failure` event; the notice is then in English. */
export function writeNotice(report: DsnReport, options: NoticeOptions, events: Events): MessageSource {
  const styled = withStyle(report, options)
  try {
    return buildDsn({ ...styled, template: templateFor(report, options) })
  } catch (error) {
    events.emit({ type: 'failure', where: `wording of the notice about ${report.original.id}`, error })
    return buildDsn(styled)
  }
}

/** The report from the address, and with as much of the original, as the options say. */
export function withStyle(report: DsnReport, { from, returnLimit }: NoticeOptions): DsnReport {
  return {
    ...report,
    ...(from === undefined ? {} : { from }),
    ...(returnLimit === undefined ? {} : { bodyLimit: returnLimit }),
  }
}

function templateFor(report: DsnReport, { templates, language }: NoticeOptions): NoticeTemplate {
  const named = (tag: string): NoticeTemplate | undefined => own(templates, tag) ?? own(BUILT_IN, tag)
  const wanted = language?.({
    to: report.to,
    kind: report.kind,
    recipients: report.recipients.map((about) => about.recipient),
    labels: report.original.options.labels,
  })
  return (wanted === undefined ? undefined : named(wanted)) ?? named('en')!
}

function own<T>(table: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined
}
