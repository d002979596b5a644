/**
 * A signal that aborts at the first SIGTERM or SIGINT. A second one ends the process at once, with the exit code a
 * shell expects (128 + signal number).
 *
 * @example
 * await mta.run(shutdownSignal())
 */
export function shutdownSignal(): AbortSignal {
  const shutdown = new AbortController()
  const numbers = { SIGTERM: 15, SIGINT: 2 } as const
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (shutdown.signal.aborted) process.exit(128 + numbers[name])
      shutdown.abort(new Error(`received ${name}`))
    })
  }
  return shutdown.signal
}
