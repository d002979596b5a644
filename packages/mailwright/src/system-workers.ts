/**
 * Workers as processes of this machine, by `node:cluster`: each runs the program that started them, with the same
 * arguments. The first process opens the listening sockets and hands connections out in turn, so that a few clients that
 * keep their connections are spread evenly (sockets shared by `SO_REUSEPORT` gave one worker of four five of eight). It
 * costs the first process about 0.1 ms for each connection, none for each message. A connection that is being handed to
 * a worker at the moment it dies stays silent until its client gives up.
 *
 * Workers end with the first process, however that ends. Their standard error comes through it, so that lines stay whole.
 */
import cluster, { type Worker as ClusterWorker } from 'node:cluster'
import process from 'node:process'
import type { WorkerFate, WorkerProcess, WorkerReport } from './crew.ts'
import { wholeLines } from './whole-lines.ts'
import type { Worker } from './worker.ts'

/** Tells a process which worker it is: `1/4`. */
const SEAT = 'MAILWRIGHT_WORKER'
const STOP = 'stop'

/** Which worker this process is; undefined in the first process. */
export function ownSeat(): Worker | undefined {
  const seat = cluster.isWorker ? /^(\d+)\/(\d+)$/.exec(process.env[SEAT] ?? '') : null
  return seat === null ? undefined : { index: Number(seat[1]), count: Number(seat[2]) }
}

/** Starts this program once more, as a worker. */
export function startWorker({ index, count }: Worker, fate: WorkerFate): WorkerProcess {
  cluster.schedulingPolicy = cluster.SCHED_RR
  cluster.setupPrimary({ stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
  const worker: ClusterWorker = cluster.fork({ [SEAT]: `${index}/${count}` })
  const child = worker.process
  let problem: string | undefined
  const said = wholeLines((lines) => process.stderr.write(lines))
  child.stderr!.on('data', said.write)
  worker.on('message', (report: WorkerReport) => fate.heard(report))
  worker.on('error', (error) => {
    problem ??= error.message
  })
  // The last of its output has been read, too.
  child.once('close', (code, signal) => {
    said.end()
    fate.ended(problem ?? (signal === null ? `exit code ${code}` : `signal ${signal}`))
  })
  return {
    stop: () => {
      if (worker.isConnected()) worker.send(STOP, undefined, ignore)
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

/** The other end, in the worker. */
export interface Superior {
  report(report: WorkerReport): Promise<void>
  /** Aborts when the worker is to stop. */
  readonly stop: AbortSignal
  /** Lets the process end when there is nothing left to do. */
  leave(): void
}

export function superior(): Superior {
  const stop = new AbortController()
  // The first process is gone. What was acknowledged is safe, and an exit in order could wait for ever: nobody reads
  // the log any more, which is written out at exit.
  process.prependOnceListener('disconnect', () => {
    if (cluster.worker?.exitedAfterDisconnect !== true) process.kill(process.pid, 'SIGKILL')
  })
  process.on('message', (message) => {
    if (message === STOP) stop.abort(new Error('the server stops'))
  })
  // A terminal signals all processes, a service manager may. When to end at once is for the first process to say.
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stop.abort(new Error(`received ${name}`)))
  return {
    stop: stop.signal,
    report: (report) => new Promise((resolve) => process.send?.(report, undefined, undefined, () => resolve())),
    leave: () => cluster.worker?.disconnect(),
  }
}

/** It has ended already, and that is heard elsewhere. */
function ignore(): void {}
