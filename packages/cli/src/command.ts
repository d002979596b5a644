/** What a command is, and how it fails: one clear line, and exit code 2 for wrong usage or 1 for anything else. */

/** One of the `mailwright` commands. */
export interface Command {
  /** One line of usage, after `mailwright `. */
  readonly usage: string
  /** What it does, in a line. */
  readonly summary: string
  /** Runs to its end. Rejects with a `UsageError`, or with anything else: then the exit code is 1. */
  run(args: readonly string[]): Promise<void>
}

/** The command was called wrongly. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Where a server listens or connects, from `HOST:PORT`, `[::1]:25` or `*:25`. */
export function hostAndPort(text: string, option: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) throw new UsageError(`${option} wants HOST:PORT, not ${JSON.stringify(text)}`)
  const host = match[1] ?? match[2]!
  return { host: host === '*' || host === '' ? '0.0.0.0' : host, port }
}
