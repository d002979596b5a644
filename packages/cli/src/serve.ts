import type { Mta } from '@mailwright/kernel'
import { shutdownSignal } from '@mailwright/kernel'
import { jsonLog, logEvents } from '@mailwright/observe'

/** How much a server command logs. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Runs a server until it is told to stop: announces its listeners on stderr, logs its events there, ends in order. */
export async function serve(mta: Mta, level: LogLevel = 'info'): Promise<void> {
  announceListeners(mta)
  if (level === 'silent') return mta.run(shutdownSignal())
  const log = jsonLog({ level })
  logEvents(mta.events, log)
  try {
    await mta.run(shutdownSignal())
  } finally {
    await log.close()
  }
}

/** One line for each listener that is ready: `mailwright: listening on smtp://127.0.0.1:2525`. */
export function announceListeners(mta: Mta): void {
  mta.events.subscribe(
    (event) => {
      if (event.type === 'listener.ready') console.error(`mailwright: listening on ${event.url}`)
    },
    (type) => type === 'listener.ready',
  )
}
