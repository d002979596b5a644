import { UsageError } from './command.ts'
import type { LogLevel } from './serve.ts'

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error', 'silent']

/** The level that `--log-level` names. */
export function logLevel(text: string): LogLevel {
  if (!LEVELS.includes(text))
    throw new UsageError(`--log-level wants one of ${LEVELS.join(', ')}, not ${JSON.stringify(text)}`)
  return text as LogLevel
}
