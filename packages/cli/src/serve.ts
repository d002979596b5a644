import type { Mta } from '@mailwright/kernel'
import { shutdownSignal } from '@mailwright/kernel'
import { type JsonLog, jsonLog, logEvents } from '@mailwright/observe'
import { runWorkers, type Worker } from 'mailwright'
import { UsageError } from './command.ts'

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

/** Runs a server in so many processes, like `serve`; each line of their logs says which worker it is from. */
export async function serveByWorkers(
  count: number,
  level: LogLevel,
  assemble: (worker: Worker) => Mta | Promise<Mta>,
): Promise<void> {
  let log: JsonLog | undefined
  try {
    await runWorkers({ count }, async (worker) => {
      const mta = await assemble(worker)
      if (level !== 'silent') {
        log = jsonLog({ level, base: { worker: worker.index } })
        logEvents(mta.events, log)
      }
      return mta
    })
  } finally {
    await log?.close()
  }
}

const MOST_WORKERS = 64

/** How many processes `--workers` asks for. */
export function workerCount(text: string): number {
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0
  if (count < 1 || count > MOST_WORKERS)
    throw new UsageError(`--workers wants a number from 1 to ${MOST_WORKERS}, not ${JSON.stringify(text)}`)
  return count
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
