/** The languages notices come in without anybody's doing. */
import { type NoticeTemplate, type NoticeWording, noticeTemplate } from './notice-template.ts'

/** Notices in English. */
export const ENGLISH_NOTICES: NoticeTemplate = noticeTemplate({
  language: 'en',
  from: 'Mail Delivery System',
  opening: (hostname) => `This is the mail system at host ${hostname}.`,
  kinds: {
    failed: {
      subject: 'Undelivered Mail Returned to Sender',
      explanation:
        'Your message could not be delivered to one or more recipients.\nIt will not be tried again for those below.',
    },
    delayed: {
      subject: 'Delayed Mail (still being retried)',
      explanation:
        'Your message could not be delivered yet to one or more recipients.\n' +
        'It will be tried again. You do not need to send it again.',
    },
    delivered: {
      subject: 'Successful Mail Delivery Report',
      explanation: 'Your message was delivered, or passed on, to the recipients below.',
    },
    mixed: {
      subject: 'Mail Delivery Status Report',
      explanation: 'This is what became of your message for the recipients below.',
    },
  },
  expandedFrom: (original) => `expanded from ${original}`,
  hostSaid: (host) => `host ${host} said`,
  actions: { delivered: 'delivered', relayed: 'relayed', expanded: 'expanded' },
  enclosed: {
    message: 'Your message is enclosed below the report.',
    header: 'The header of your message is enclosed below the report.',
  },
})

/** Notices in German. */
export const GERMAN_NOTICES: NoticeTemplate = noticeTemplate({
  language: 'de',
  from: 'Mailzustellung',
  opening: (hostname) => `Hier ist das Mailsystem auf dem Rechner ${hostname}.`,
  kinds: {
    failed: {
      subject: 'Unzustellbare Nachricht zurück an Absender',
      explanation:
        'Ihre Nachricht konnte nicht an alle Empfänger zugestellt werden.\n' +
        'Für die unten genannten wird es nicht mehr versucht.',
    },
    delayed: {
      subject: 'Verzögerte Nachricht (Zustellung wird weiter versucht)',
      explanation:
        'Ihre Nachricht konnte noch nicht an alle Empfänger zugestellt werden.\n' +
        'Es wird weiter versucht. Sie müssen sie nicht noch einmal senden.',
    },
    delivered: {
      subject: 'Bericht: Nachricht zugestellt',
      explanation: 'Ihre Nachricht wurde den unten genannten Empfängern zugestellt oder für sie weitergegeben.',
    },
    mixed: {
      subject: 'Bericht: Stand der Zustellung',
      explanation: 'Das wurde aus Ihrer Nachricht für die unten genannten Empfänger.',
    },
  },
  expandedFrom: (original) => `statt ${original}`,
  hostSaid: (host) => `der Rechner ${host} antwortete`,
  actions: { delivered: 'zugestellt', relayed: 'weitergegeben', expanded: 'an mehrere verteilt' },
  enclosed: {
    message: 'Ihre Nachricht liegt diesem Bericht bei.',
    header: 'Der Kopf Ihrer Nachricht liegt diesem Bericht bei.',
  },
})

/** Copies for the postmaster: about somebody's mail, not to its sender. */
export const POSTMASTER_NOTICES: NoticeTemplate = {
  language: 'en',
  from: 'Mail Delivery System',
  wording: {
    failed: forPostmaster('Undelivered Mail'),
    delayed: forPostmaster('Delayed Mail'),
    delivered: forPostmaster('Delivered Mail'),
    mixed: forPostmaster('Mail Delivery Status'),
  },
}

/** What could not be returned to anybody. */
export const UNRETURNABLE_NOTICES: NoticeTemplate = {
  ...POSTMASTER_NOTICES,
  wording: {
    ...POSTMASTER_NOTICES.wording,
    failed: forPostmaster('Undeliverable Notice', 'It could not be returned to its sender either.'),
  },
}

function forPostmaster(
  what: string,
  remark = 'Its sender has been told what the sender asked to be told.',
): NoticeWording {
  return {
    subject: `Postmaster Copy: ${what}`,
    text: ({ hostname, sender, queueId, recipients }) =>
      [
        `This is the mail system at host ${hostname}.`,
        `Message ${queueId} from <${sender}>: ${what.toLowerCase()}. ${remark}`,
        ...recipients.map(
          ({ address, original, host, said }) =>
            `<${address}>${original === undefined ? '' : ` (expanded from <${original}>)`}: ` +
            `${host === undefined ? '' : `host ${host} said: `}${said}`,
        ),
      ].join('\n\n'),
  }
}
