/**
 * The seam between a protocol engine (sockets, TLS, verbs, dot-stuffing) and the dialogue behind it (stages, policies,
 * hand-off). The engine calls in the order the client speaks; every answer is a reply to send as it stands.
 * A method never throws and never rejects: failure is a refusal.
 */
import type { Awaitable } from './call.ts'
import type { MailOptions, Notify } from './envelope.ts'
import type { Mailbox } from './mailbox.ts'
import type { Reply } from './reply.ts'
import type { Peer, Profile, Session, TlsFacts } from './session.ts'
import type { Capability } from './transport.ts'

export interface Intake {
  /** The name in the greeting, in HELO answers and in Received. */
  readonly hostname: string
  /** Largest message in bytes, announced as SIZE. */
  readonly maxSize: number
  /** Most recipients of one message. */
  readonly maxRecipients: number
  /** What the transport behind it honours: the engine offers no extension beyond it. */
  readonly capabilities: ReadonlySet<Capability>
  /** A client has connected. */
  open(client: ClientConnection): Dialogue
}

export interface ClientConnection {
  readonly protocol: 'smtp' | 'lmtp'
  /** Default `mx`. */
  readonly profile?: Profile
  readonly client: Peer
  readonly server: Peer
  readonly tls?: TlsFacts | undefined
  /** The host that speaks for the client. */
  readonly via?: Peer | undefined
}

/** What a trusted host says of the client it speaks for (XCLIENT). Absent: unchanged. */
export interface ClientClaims {
  readonly client?: Peer | undefined
  readonly server?: Peer | undefined
  readonly clientName?: string | undefined
  readonly helo?: string | undefined
  readonly user?: string | undefined
}

export interface Dialogue {
  readonly session: Session
  /** The greeting: a 220, or a refusal after which the engine closes. Its text begins with the host name. */
  greet(): Awaitable<Reply>
  /** HELO, EHLO or LHLO. The engine adds the keywords to a positive answer. Ends any transaction. */
  helo(verb: 'HELO' | 'EHLO' | 'LHLO', name: string): Awaitable<Reply>
  /** STARTTLS is done: forget what the client said in clear text (RFC 3207 §4.2). */
  secured(tls: TlsFacts): void
  /** The client has proved to be `user`. The engine answers 235 with what this says, or refuses with it. */
  authenticated(user: string, mechanism: string): Awaitable<Reply>
  /** The client could not prove it: for the events and the limits. `user` is whom it claimed to be. */
  notAuthenticated(mechanism: string, reason: string, user: string | undefined, answer: Reply): void
  /** A trusted host speaks for another client from now on (XCLIENT): the session begins again, with a new greeting. */
  claimed(claims: ClientClaims): Awaitable<Reply>
  /** ETRN: asks for waiting mail of a domain (RFC 1985). */
  etrn(domain: string): Awaitable<Reply>
  /** VRFY. */
  vrfy(argument: string): Awaitable<Reply>
  mail(command: MailCommand): Awaitable<Reply>
  rcpt(command: RcptCommand): Awaitable<Reply>
  /** DATA, or the first BDAT: a refusal to give instead of 354, or the place for the body. */
  data(form?: 'data' | 'bdat'): Awaitable<DataAnswer>
  /** RSET: forget the transaction. */
  reset(): void
  /** The engine refused something itself (syntax, limit): for the events, so that the operator sees every refusal. */
  refused(stage: string, reply: Reply, detail?: RefusalDetail): void
  /** The connection has ended, for whatever reason. The last call. */
  close(): void
}

/** What more there is to know of a refusal of the engine. */
export interface RefusalDetail {
  /** Why, for operators: `recipient rate`. Never sent. */
  readonly reason?: string | undefined
  /** Whom the mail would have been for. */
  readonly recipient?: Mailbox | undefined
}

export interface MailCommand {
  readonly sender: Mailbox | null
  readonly options: MailOptions
  /** SIZE as declared (RFC 1870). */
  readonly declaredSize?: number | undefined
}

export interface RcptCommand {
  readonly recipient: Mailbox
  readonly orcpt?: string | undefined
  readonly notify?: readonly Notify[] | undefined
}

export type DataAnswer =
  | { readonly kind: 'refuse'; readonly reply: Reply }
  | { readonly kind: 'go'; readonly body: BodySink }

/** Takes the message, dot-unstuffed, in the order of arrival. Limits and line-end rules are applied here. */
export interface BodySink {
  /**
   * A returned promise asks the engine to stop reading until it settles. Never rejects. The chunk is the sink's from
   * now on: nobody changes it later.
   */
  write(chunk: Uint8Array): Awaitable<void>
  /**
   * Set once the rest is not wanted at all, e.g. far more than the size limit has come: the engine answers with this,
   * calls `abort` and closes. To be looked at after each `write`; cheap.
   */
  hopeless(): Reply | undefined
  /** Bytes of the message that are in memory now, for the engine's budget; absent: all that was written. Cheap. */
  held?(): number
  /**
   * End of data. One reply; with LMTP one per accepted RCPT, in their order (RFC 2033 §4.2).
   * A positive reply is a commitment: the message survives a crash.
   */
  end(): Awaitable<readonly Reply[]>
  /** The client vanished or the engine gave up before the end of data. */
  abort(): void
}
