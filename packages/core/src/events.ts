/**
 * What happens, as a closed, documented vocabulary with causal ids. Blocks never log: logs, metrics, dashboards and
 * audit are subscribers. An event is built only for somebody who listens: ask `wants` first on hot paths.
 */

import type { MessageId, Recipient } from './envelope.ts'
import type { Mailbox } from './mailbox.ts'
import type { Outcome, ResponseCategory } from './outcome.ts'
import type { RemoteTls, TlsDomainPolicy, TlsFailure } from './remote-tls.ts'
import type { Reply } from './reply.ts'
import type { Lane } from './router.ts'
import type { Peer, Session, TlsFacts } from './session.ts'
import type { Suspension, SuspensionScope } from './suspension.ts'

/** The first client of forwarded mail. What is absent is unknown. */
export interface ForwardedClient {
  readonly name?: string | undefined
  readonly address?: string | undefined
  readonly port?: number | undefined
  readonly protocol?: string | undefined
  readonly helo?: string | undefined
  /** The message's name at the forwarding host, e.g. its queue id. */
  readonly ident?: string | undefined
  /** `LOCAL` or `REMOTE`: whether the mail began at the forwarding host. */
  readonly source?: string | undefined
}

export type MailEvent =
  /** A listener takes connections at `url`: `smtp://127.0.0.1:2525`. */
  | { readonly type: 'listener.ready'; readonly listener: string; readonly url: string }
  | { readonly type: 'session.opened'; readonly session: Session }
  /** TLS is up, after STARTTLS or from the first byte. */
  | { readonly type: 'session.secured'; readonly session: Session; readonly tls: TlsFacts }
  /** A client proved who it is: `session.user`. */
  | { readonly type: 'session.authenticated'; readonly session: Session; readonly mechanism: string }
  /** A client failed to. `user` is whom it claimed to be; secrets are in no event. */
  | {
      readonly type: 'authentication.failed'
      readonly session: Session
      readonly mechanism: string
      readonly user?: string | undefined
      readonly reason: string
      readonly reply: Reply
    }
  /** A trusted host said whom it forwards mail for (XFORWARD): for the log, nothing is decided by it. */
  | { readonly type: 'session.forwarded'; readonly session: Session; readonly forwarded: ForwardedClient }
  | { readonly type: 'session.closed'; readonly session: Session; readonly messages: number }
  /** A connection was turned away before a session began: over a limit. */
  | { readonly type: 'connection.refused'; readonly client: Peer; readonly reply: Reply; readonly reason: string }
  /** The client was refused something. `policy` is who said so, or the engine itself. */
  | {
      readonly type: 'dialogue.refused'
      readonly session: Session
      readonly stage: string
      readonly reply: Reply
      readonly policy: string
      readonly reason?: string | undefined
      readonly sender?: Mailbox | null | undefined
      readonly recipient?: Mailbox | undefined
    }
  /** We took responsibility: the client has, or is about to get, its 250. */
  | {
      readonly type: 'message.accepted'
      readonly session: Session
      readonly message: MessageId
      readonly sender: Mailbox | null
      readonly recipients: readonly Recipient[]
      readonly size: number
      /** The message's own Message-ID field, if it has one. */
      readonly messageId?: string | undefined
    }
  /** A policy had the message accepted and thrown away. */
  | {
      readonly type: 'message.discarded'
      readonly session: Session
      readonly message: MessageId
      readonly policy: string
    }
  /** The message is durable in the queue. */
  | {
      readonly type: 'message.queued'
      readonly message: MessageId
      readonly sender: Mailbox | null
      readonly size: number
      readonly recipients: number
      readonly lanes: readonly string[]
      readonly held?: string | undefined
    }
  /** One recipient, one attempt, one outcome. */
  | {
      readonly type: 'recipient.settled'
      readonly message: MessageId
      readonly recipient: Recipient
      readonly sender: Mailbox | null
      readonly lane: Lane
      readonly outcome: Outcome
      readonly attempt: number
      readonly delays: Delays
      /** When the next attempt may start, for a deferral. */
      readonly retryAt?: number | undefined
      /** What the answer is about, for a deferral or failure, where somebody reads answers. */
      readonly category?: ResponseCategory | undefined
    }
  /** A notice about `message` was queued as `dsn`. */
  | {
      readonly type: 'message.bounced'
      /** What the notice is about; absent means failure. */
      readonly about?: 'failure' | 'success' | 'both' | 'delay'
      readonly message: MessageId
      readonly dsn: MessageId
      readonly sender: Mailbox
      readonly recipients: readonly Recipient[]
    }
  /** A failed message whose sender is null: there is nobody to tell (RFC 5321 §4.5.5). */
  | { readonly type: 'message.undeliverable'; readonly message: MessageId; readonly recipients: readonly Recipient[] }
  /**
   * A report about mail of ours came back, from a server about its delivery or from a user's complaint: an event for
   * each recipient reported. Unless the report is `signed`, what it says is a stranger's word.
   */
  | {
      readonly type: 'notice.received'
      readonly kind: 'bounce' | 'delay' | 'success' | 'complaint'
      /** The message that brought the report. */
      readonly message: MessageId
      /** Whose mail it was: as our return path says, otherwise as reported. */
      readonly recipient?: Mailbox | undefined
      /** The sender that the mail left with, as far as that is known; without the recipient in a return path. */
      readonly sender?: Mailbox | undefined
      /** It came to a return path that only we can have made. */
      readonly signed: boolean
      /** RFC 3463, e.g. `5.1.1`. */
      readonly status?: string | undefined
      readonly diagnostic?: string | undefined
      readonly remoteMta?: string | undefined
      readonly reportingMta?: string | undefined
      /** The ENVID that the mail was sent with. */
      readonly envelopeId?: string | undefined
      /** The Message-ID field of the mail. */
      readonly messageId?: string | undefined
      /** What a complaint is about: `abuse`, `opt-out`. */
      readonly feedback?: string | undefined
      /** Whether the recipient is not to be written to any more. */
      readonly suppressed?: true | undefined
    }
  /** Nothing of the message is left in the queue. */
  | { readonly type: 'message.removed'; readonly message: MessageId }
  /**
   * A session with an exchanger of `domain` was secured, or was not: the stuff of TLS reports (RFC 8460). Mail may go on
   * without TLS where the policy allows that. Of exchangers found by MX only.
   */
  | {
      readonly type: 'tls.result'
      readonly domain: string
      readonly policy: TlsDomainPolicy
      readonly mx: string
      /** The exchanger's address; absent when none was connected to. */
      readonly address?: string | undefined
      readonly localAddress?: string | undefined
      readonly result: 'success' | TlsFailure
      readonly tls?: RemoteTls | undefined
    }
  /** The scheduler gave a destination up for a while, or took it up again. */
  | {
      readonly type: 'lane.state'
      readonly lane: string
      readonly state: 'dead' | 'alive'
      readonly until?: number
    }
  /** Mail is kept from being tried, or may be tried again. */
  | { readonly type: 'queue.suspended'; readonly suspension: Suspension }
  | { readonly type: 'queue.resumed'; readonly scope: SuspensionScope }
  /** What a store found at start and did with it. */
  | { readonly type: 'store.recovered'; readonly messages: number; readonly strays: number; readonly corrupt: number }
  /** A stored record could not be read; it was set aside and the rest goes on. */
  | { readonly type: 'store.corrupt'; readonly message: MessageId; readonly problem: string }
  /** Storage is set up so that accepted mail may be lost: an operator has to look. */
  | { readonly type: 'store.unsafe'; readonly store: string; readonly problem: string }
  /** Storage began or ceased to refuse new mail. */
  | { readonly type: 'store.refusing'; readonly reply: Reply | null }
  /** Something went wrong that is nobody's mail: background work, a subscriber, a bug. */
  | { readonly type: 'failure'; readonly where: string; readonly error: unknown }

/** Where the time of a delivery went, in ms. */
export interface Delays {
  /** From arrival until this attempt began. */
  readonly queued: number
  /** The attempt itself. */
  readonly attempt: number
}

export type EventOf<T extends MailEvent['type']> = Extract<MailEvent, { type: T }>
export type Listener = (event: MailEvent, at: number) => void

/** Whether a listener hears events of a type. Asked each time, so that it may change its mind. */
export type Interest = (type: MailEvent['type']) => boolean

export interface Events {
  /** Whether anybody hears events of this type. Cheap: for hot paths, which build no event otherwise. */
  wants(type: MailEvent['type']): boolean
  /** Tells every listener, in order of subscription. A listener that throws becomes a `failure` event for the others. */
  emit(event: MailEvent): void
  /** Subscribes, to all events or those of interest; the result ends the subscription. `at` is ms since the epoch. */
  subscribe(listener: Listener, interest?: Interest): () => void
}
