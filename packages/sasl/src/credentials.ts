/**
 * The port behind the password mechanisms: what a place that keeps users' secrets has to answer. Implemented here by
 * `passwordFile` and `userTable`, and by a host in a few lines.
 */
import type { Call, Clock } from '@mailwright/core'

/** What a back end is given with each question. */
export interface BackEndCall extends Call {
  readonly clock: Clock
  /** Tells the operator of something wrong that is no answer: a broken line. Never a secret. */
  report(problem: Error): void
}

/** What is kept of a user's password. */
export type StoredSecret =
  /** A one-way hash: serves mechanisms that send the password itself, PLAIN and LOGIN. */
  | { readonly kind: 'hash'; readonly text: string }
  /** SCRAM-SHA-256 keys: serve SCRAM, PLAIN and LOGIN. */
  | ({ readonly kind: 'scram-sha-256' } & ScramKeys)
  /** The password itself: serves all. */
  | { readonly kind: 'plain'; readonly password: string }

/** What a server keeps for SCRAM-SHA-256 (RFC 5802 §3). */
export interface ScramKeys {
  readonly iterations: number
  readonly salt: Uint8Array
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

/** A place that knows users' secrets. */
export interface Credentials {
  /** Names it in events. */
  readonly name: string
  /**
   * Whether this is the user's password. An unknown user takes as long as a wrong password. Rejects when it cannot tell;
   * the client is then answered 454.
   */
  verify(user: string, password: string, call: BackEndCall): Promise<boolean>
  /** What is stored: needed for SCRAM and CRAM-MD5. Undefined for an unknown user. Rejects as `verify` does. */
  stored?(user: string, call: BackEndCall): Promise<StoredSecret | undefined>
}

/**
 * Whether an authenticated user may act as somebody else (the authorization identity of RFC 4422 §3.4.1). Where it may,
 * the session's user is that somebody.
 */
export type MayActAs = (user: string, as: string) => boolean
/** Nobody may. */
export const nobodyElse: MayActAs = () => false
