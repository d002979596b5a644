/**
 * A server as several processes that share its listeners. The same program runs in all of them: in the first,
 * `runWorkers` starts the others and looks after them; in each of these it runs the server it is given.
 */
import type { Duration } from '@mailwright/core'
import { type Mta, shutdownSignal, systemClock } from '@mailwright/kernel'
import { Crew } from './crew.ts'
import { ownSeat, startWorker, superior } from './system-workers.ts'
import type { Worker } from './worker.ts'

export interface RunWorkersOptions {
  /** Processes that serve, 1 at least. */
  readonly count: number
  /** How long they may take to stop before they are killed. Default 15 s; a server's own grace is 10 s. */
  readonly patience?: Duration
  /** In the first process, once for each place where they listen. Default: one line on standard error. */
  readonly announce?: (url: string) => void
}

/**
 * Runs a server in several processes until SIGTERM or SIGINT. Resolves, in each process, when its part has ended in
 * order; a second signal ends all of them at once. A worker that dies is started again and finds its shard of the spool.
 * Nothing but the listeners is shared: concurrency and rates hold for each worker, unless the server's limits are shared.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_STOPPED` in the first process when a worker cannot start for the first time.
 * @example
 * await runWorkers({ count: 4 }, (worker) =>
 *   relayServer({ hostname, listen, nextHop, store: spoolStore({ directory: './spool', worker }),
 *     queue: concurrencyShare(worker) }).mta)
 */
export async function runWorkers(
  options: RunWorkersOptions,
  serve: (worker: Worker) => Mta | Promise<Mta>,
): Promise<void> {
  const worker = ownSeat()
  if (worker !== undefined) return work(() => serve(worker))
  const say = (text: string): void => console.error(`mailwright: ${text}`)
  const crew = new Crew({
    count: options.count,
    patience: options.patience,
    start: startWorker,
    clock: systemClock(),
    announce: options.announce ?? ((url) => say(`listening on ${url}`)),
    remark: say,
  })
  await crew.run(shutdownSignal())
}

/** A worker's life. What keeps it from starting is said by the first process, once. */
async function work(serve: () => Mta | Promise<Mta>): Promise<void> {
  const { report, stop, leave } = superior()
  try {
    const mta = await serve()
    mta.events.subscribe(
      (event) => {
        if (event.type === 'listener.ready') void report({ kind: 'listening', url: event.url })
      },
      (type) => type === 'listener.ready',
    )
    await mta.start()
    await report({ kind: 'ready' })
    if (!stop.aborted) await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve()))
    await mta.stop()
  } catch (error) {
    process.exitCode = 1
    await report({ kind: 'failed', problem: problemOf(error) })
  } finally {
    leave()
  }
}

function problemOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
