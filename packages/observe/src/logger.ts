/** What an event log writes to. A pino logger is one; so is anything with these four methods. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Takes one line: its fields, and the message that names its kind. */
export type LogMethod = (fields: object, message: string) => void

export interface Logger {
  readonly debug: LogMethod
  readonly info: LogMethod
  readonly warn: LogMethod
  readonly error: LogMethod
  /** Whether a line of this level goes anywhere. Without it, every line is built. */
  isLevelEnabled?(level: LogLevel): boolean
}
