/** Options that several presets have, as their blocks want them. */
import type { MailIntakeOptions } from '@mailwright/intake'
import { etrnAnswers, type MessageQueue } from '@mailwright/queue'
import type { SmtpListenerOptions } from '@mailwright/smtp-listener'

/** What an intake is told of ETRN: nothing where there are no domains for it. */
export function etrnOf(queue: MessageQueue, domains: readonly string[] = []): Pick<MailIntakeOptions, 'etrn'> {
  return domains.length === 0 ? {} : { etrn: etrnAnswers({ queue, domains }) }
}

/** What a listener is told of peers on its unix socket. */
export function unixPeersOf({
  unixPeers,
}: {
  readonly unixPeers?: SmtpListenerOptions['unixPeers']
}): Pick<SmtpListenerOptions, 'unixPeers'> {
  return unixPeers === undefined ? {} : { unixPeers }
}
