/**
 * A log of JSON lines, written by pino through a buffer, so that a line costs no system call of its own.
 *
 * What is in the buffer is written when 8 KB are together, a second later at most, on `flush` and `close`, and when the
 * process exits or dies of an exception; a kill -9 loses it. A destination that fails (disk full) is tried again with
 * every line: up to 16 MB wait for it, what does not fit is counted in `lost`. Mail is never held up by its log.
 * Rotation is left to others: to `copytruncate`, or to whoever reads standard error.
 */
import { openSync, writeSync } from 'node:fs'
import { MailwrightError } from '@mailwright/core'
import { destination, type LoggerOptions, pino } from 'pino'
import type { Logger, LogLevel } from './logger.ts'

export interface JsonLogOptions {
  /** Lines below this level are dropped. Default `info`. */
  readonly level?: LogLevel | 'silent'
  /** A file descriptor, or the path of a file to append to. Default 2, standard error. */
  readonly destination?: number | string
  /** Fields of every line, such as the server's name. Default none. */
  readonly base?: Readonly<Record<string, string | number>>
}

export interface JsonLog extends Logger {
  isLevelEnabled(level: LogLevel): boolean
  /** Lines that could not be kept, because the destination failed for too long. */
  readonly lost: number
  /** Everything logged so far is written when it resolves. Rejects with `ERR_MAILWRIGHT_STORE` when that fails. */
  flush(): Promise<void>
  /** Writes what is left and lets go of the destination. Later lines are dropped. Rejects like `flush`. */
  close(): Promise<void>
}

const BUFFER = 8_192
const LONGEST_IN_BUFFER_MS = 1_000
const MOST_TRIES_AT_EXIT = 100
const PAUSE = new Int32Array(new SharedArrayBuffer(4))
const MOST_WAITING = 16 * 1_024 * 1_024

/**
 * Opens a log.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when the file cannot be opened.
 * @example
 * const log = jsonLog({ destination: '/var/log/mailwright.json' })
 * logEvents(mta.events, log)
 * await mta.run(shutdownSignal())
 * await log.close()
 */
export function jsonLog(options: JsonLogOptions = {}): JsonLog {
  const sink = destination({
    dest: descriptor(options.destination ?? 2),
    sync: false,
    minLength: BUFFER,
    maxLength: MOST_WAITING,
    periodicFlush: LONGEST_IN_BUFFER_MS,
  })
  const settings: LoggerOptions = { level: options.level ?? 'info', base: options.base ?? null }
  const log = pino(settings, sink)
  let lost = 0
  let state: 'open' | 'unread' | 'closed' = 'open'
  let closing: Promise<void> | undefined
  sink.on('drop', () => {
    lost++
  })
  // Without a listener an error would end the process. The line stays in the buffer and is tried again with the next.
  sink.on('error', (error: unknown) => {
    // Nobody reads the pipe any more, and nobody will.
    if (isBrokenPipe(error)) state = 'unread'
  })
  sink.flushSync = () => writeAtExit(sink as unknown as Waiting)

  function flushOnce(): Promise<void> {
    return new Promise((resolve, reject) => {
      sink.flush((error?: Error | null) => {
        // A pipe or a terminal cannot be synced; the write itself was well.
        if (!error || isUnsyncable(error) || isBrokenPipe(error)) resolve()
        else reject(failure(error))
      })
    })
  }

  function end(): Promise<void> {
    return new Promise((resolve, reject) => {
      sink.once('close', resolve)
      sink.once('error', (error: unknown) => {
        if (isBrokenPipe(error)) return resolve()
        // What could not be written now is given up: the descriptor is not kept for it.
        sink.destroy()
        reject(failure(error))
      })
      sink.end()
    })
  }

  const write =
    (level: LogLevel) =>
    (fields: object, message: string): void => {
      if (state === 'open') log[level](fields, message)
    }

  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    isLevelEnabled: (level) => state === 'open' && log.isLevelEnabled(level),
    get lost(): number {
      return lost
    },
    async flush(): Promise<void> {
      if (state !== 'open') return closing
      // The first round may end with a write that was under way already, and leave less than a buffer behind.
      await flushOnce()
      if (state === 'open') await flushOnce()
    },
    close(): Promise<void> {
      if (closing !== undefined) return closing
      closing = state === 'unread' ? Promise.resolve() : end()
      state = 'closed'
      return closing
    },
  }
}

/** What a destination still has to write, in the terms of sonic-boom, whose version pino pins. */
interface Waiting {
  readonly fd: number
  readonly _writing: boolean
  readonly _writingBuf: string
  _bufs: string[]
}

/**
 * Writes what is left when the process exits, as far as that goes. The destination's own way tries for ever, whatever the
 * error: a process must be able to end though its log cannot be written.
 */
function writeAtExit(waiting: Waiting): void {
  const left = Buffer.from((waiting._writing ? '' : waiting._writingBuf) + waiting._bufs.join(''))
  waiting._bufs = []
  let tries = 0
  for (let at = 0; at < left.length; ) {
    try {
      at += writeSync(waiting.fd, left, at)
    } catch (error) {
      // Full, or nobody reads it; a pipe whose reader is slow gets some time.
      if (codeOf(error) !== 'EAGAIN' || ++tries > MOST_TRIES_AT_EXIT) return
      Atomics.wait(PAUSE, 0, 0, 10)
    }
  }
}

/** Opened here and now: a log that cannot be written is a mistake in the configuration, not in the mail. */
function descriptor(target: number | string): number {
  if (typeof target === 'number') return target
  try {
    return openSync(target, 'a', 0o640)
  } catch (cause) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `cannot open the log ${target}`, { cause })
  }
}

function failure(cause: unknown): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_STORE', 'the log could not be written', { cause })
}

function isBrokenPipe(error: unknown): boolean {
  return codeOf(error) === 'EPIPE'
}

function isUnsyncable(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'EINVAL' || code === 'ENOTSUP' || code === 'EROFS'
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
