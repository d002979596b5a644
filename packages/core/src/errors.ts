/** Errors with stable codes. Nobody matches message text; nobody shows it to a client. */
import { LOCAL_ERROR, type Refusal } from './reply.ts'

/** Every code a Mailwright error can carry. */
export type ErrorCode =
  /** A lease ended, or another worker holds the entry: the settlement was not written. */
  | 'ERR_MAILWRIGHT_CLAIM_LOST'
  /** The storage failed or is full. */
  | 'ERR_MAILWRIGHT_STORE'
  /** Another process owns the spool. */
  | 'ERR_MAILWRIGHT_STORE_BUSY'
  /** A value given to a block cannot work. */
  | 'ERR_MAILWRIGHT_CONFIG'
  /** The block was used before start or after stop. */
  | 'ERR_MAILWRIGHT_STOPPED'
  /** A wait took longer than allowed. */
  | 'ERR_MAILWRIGHT_TIMEOUT'
  /** A connection could not be made or was lost. */
  | 'ERR_MAILWRIGHT_CONNECTION'
  /** The peer broke the protocol. */
  | 'ERR_MAILWRIGHT_PROTOCOL'
  /** DNS gave no usable answer. */
  | 'ERR_MAILWRIGHT_DNS'
  /** Something is larger than whoever reads it allows. */
  | 'ERR_MAILWRIGHT_LIMIT'
  /** A test double was used in a way nobody scripted. */
  | 'ERR_MAILWRIGHT_UNEXPECTED'

const BRAND = Symbol.for('mailwright.error')

export interface MailwrightErrorOptions {
  readonly cause?: unknown
  /** What a client may be told. */
  readonly reply?: Refusal
}

/** The one error class. `instanceof` works across two installed copies of this package. */
export class MailwrightError extends Error {
  readonly code: ErrorCode
  /** What a client may be told; without it, `451 4.3.0`. */
  readonly reply: Refusal | undefined

  constructor(code: ErrorCode, message: string, options: MailwrightErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'MailwrightError'
    this.code = code
    this.reply = options.reply
    Object.defineProperty(this, BRAND, { value: true })
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && BRAND in value
  }
}

/** Converts anything thrown during a dialogue into what the client is told: total, temporary unless the error says otherwise. */
export function toRefusal(error: unknown): Refusal {
  return (error instanceof MailwrightError ? error.reply : undefined) ?? LOCAL_ERROR
}

/** Whether the error carries this code. */
export function hasCode(error: unknown, code: ErrorCode): error is MailwrightError {
  return error instanceof MailwrightError && error.code === code
}
