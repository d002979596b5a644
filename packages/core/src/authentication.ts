/**
 * Who a client is (RFC 4954, RFC 4422). The protocol engine carries the exchange and knows no mechanism; an
 * authenticator knows mechanisms and users and no SMTP. Secrets stay inside the exchange: they are in no event, no error.
 */
import type { Call } from './call.ts'
import type { Refusal } from './reply.ts'
import type { Session } from './session.ts'

/** Checks who clients are. */
export interface Authenticator {
  /** Names the back end in events. */
  readonly name: string
  /**
   * The mechanisms offered to this session, the preferred first, in capitals: `SCRAM-SHA-256`, `PLAIN`. Cheap and
   * synchronous: asked at each EHLO. What needs TLS, or a certificate, is left out without it.
   */
  mechanisms(session: Session): readonly string[]
  /** Begins an exchange in one of the mechanisms offered. Does not throw; failure is a step. */
  begin(mechanism: string, context: AuthenticationContext, call: Call): AuthenticationExchange
}

/** What an exchange may look at. */
export interface AuthenticationContext {
  readonly session: Session
  /** Our name: the realm of a challenge, the host of a service. */
  readonly hostname: string
  /** Binds the exchange to the TLS channel it runs in (RFC 5929, RFC 9266); absent where there is none. */
  readonly channelBinding?: ChannelBinding | undefined
}

export interface ChannelBinding {
  readonly type: 'tls-exporter' | 'tls-server-end-point'
  readonly data: Uint8Array
}

/** One attempt to authenticate. */
export interface AuthenticationExchange {
  /**
   * The client's next response, decoded; undefined at the start when the client sent no initial response (an empty one
   * is empty bytes). Never rejects: trouble of the back end is a `failure` with a 454 reply.
   */
  step(response: Uint8Array | undefined): Promise<AuthenticationStep>
  /** The client cancelled with `*`, or is gone. No step follows. */
  cancel(): void
}

export type AuthenticationStep =
  /** Send this and ask for another response. */
  | { readonly kind: 'challenge'; readonly data: Uint8Array }
  /** The client is `user`. `data` is proof that the mechanism still owes the client (RFC 4954 §4). */
  | { readonly kind: 'success'; readonly user: string; readonly data?: Uint8Array | undefined }
  /**
   * `user` is who the client claimed to be, for limits and logs, never for the reply. `reply`: other than `535 5.7.8`.
   * Wrong user and wrong password look the same from outside, in words and in time.
   */
  | {
      readonly kind: 'failure'
      readonly reason: string
      readonly user?: string | undefined
      readonly reply?: Refusal | undefined
    }
