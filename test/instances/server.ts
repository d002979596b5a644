/** A whole server for one place: a spool and a Maildir of its own, and everything for `elsewhere.example` by SMTP. */
import { join } from 'node:path'
import type { Environment, MailEvent, QueueStore } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta, type Mta } from '@mailwright/kernel'
import { maildir } from '@mailwright/local-delivery'
import { acceptAll } from '@mailwright/policy'
import { type MessageQueue, messageQueue } from '@mailwright/queue'
import { createRouter } from '@mailwright/router'
import { type ListenerHandle, smtpListener } from '@mailwright/smtp-listener'
import { smtpTransport } from '@mailwright/smtp-transport'

export interface PlaceOptions {
  /** Both the server's name and its domain: `north` serves `north.example`. */
  readonly name: string
  readonly store: QueueStore
  /** Where its Maildirs are. */
  readonly mail: string
  /** Where mail for other domains goes: `[192.0.2.10]:25`. */
  readonly nextHop: string
  readonly environment?: Partial<Environment>
}

export interface Place {
  readonly mta: Mta
  readonly queue: MessageQueue
  readonly listener: ListenerHandle
  readonly events: readonly MailEvent[]
}

export function place({ name, store, mail, nextHop, environment }: PlaceOptions): Place {
  const hostname = `mx.${name}.example`
  const mta = createMta({ name, grace: '1s', ...(environment === undefined ? {} : { environment }) })
  const events: MailEvent[] = []
  mta.events.subscribe((event) => events.push(event))
  const mailboxes = { [`ann@${name}.example`]: join(mail, 'ann') }
  const router = createRouter({ hostname, local: [`${name}.example`], mailboxes })
  const transports = {
    local: maildir({ mailboxes, hostname }),
    smtp: smtpTransport({ hostname, nextHop }),
  }
  const queue = mta.use(messageQueue({ hostname, store, router, transports }))
  const intake = mta.use(mailIntake({ hostname, transport: queue, policies: [acceptAll()] }))
  const listener = mta.use(smtpListener({ intake, port: 0 }))
  return { mta, queue, listener, events }
}
