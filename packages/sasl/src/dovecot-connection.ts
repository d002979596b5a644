/**
 * One connection to Dovecot's authentication server: the handshake, the mechanisms it announces, and any number of requests
 * at once, told apart by number. When it breaks, every request in hand fails; none is asked again, because a response may
 * count as a try.
 */
import { type Call, type ConnectTarget, type Environment, MailwrightError, type Wire } from '@mailwright/core'
import { type DovecotLine, formatLine, lineReader } from './dovecot-line.ts'

/** A mechanism as announced: its name and what is said of it (`plaintext`, `private`, …). */
export interface DovecotMechanism {
  readonly name: string
  readonly properties: readonly string[]
}

export interface DovecotConnection {
  readonly mechanisms: readonly DovecotMechanism[]
  /** Whether requests can be sent. */
  readonly open: 'yes' | 'no'
  /** A number for a new request. */
  number(): number
  /** Sends a line about a request and waits for the next about it. Rejects when the connection ends, or time is up. */
  ask(command: string, number: number, parameters: readonly string[], timeoutMs: number): Promise<DovecotLine>
  /** Gives a request up. */
  forget(number: number): void
  close(): void
}

/** The last request of a connection: numbers are 32 bits, and a new connection is cheap. */
const MAX_NUMBER = 2 ** 31 - 1
const MAX_MECHANISMS = 64

/**
 * Connects, and waits until Dovecot is ready. Rejects with `ERR_MAILWRIGHT_CONNECTION`, `_TIMEOUT` or `_PROTOCOL`.
 * `clientNumber` stands for this process (CPID), and must differ between connections that are open at one time.
 */
export async function connectDovecot(
  { net, clock }: Environment,
  target: ConnectTarget,
  clientNumber: number,
  timeoutMs: number,
  call: Call,
): Promise<DovecotConnection> {
  const patience = new AbortController()
  const timer = clock.after(timeoutMs, () => patience.abort(timedOut()))
  const signal = AbortSignal.any([call.signal, patience.signal])
  try {
    const wire = await net.connect(target, { signal })
    return await handshake(wire, clientNumber, clock, signal)
  } finally {
    timer.cancel()
  }
}

function timedOut(): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_TIMEOUT', 'Dovecot does not answer')
}

interface Waiting {
  readonly resolve: (line: DovecotLine) => void
  readonly reject: (error: unknown) => void
}

function handshake(
  wire: Wire,
  clientNumber: number,
  clock: Environment['clock'],
  signal: AbortSignal,
): Promise<DovecotConnection> {
  const mechanisms: DovecotMechanism[] = []
  const waiting = new Map<number, Waiting>()
  let ended: unknown
  let version: 'unknown' | 'known' = 'unknown'
  let last = 0
  const ready = Promise.withResolvers<DovecotConnection>()

  function end(error: unknown): void {
    if (ended !== undefined) return
    ended = error
    signal.removeEventListener('abort', abort)
    wire.destroy()
    ready.reject(error)
    for (const one of waiting.values()) one.reject(error)
    waiting.clear()
  }
  const abort = (): void => end(signal.reason)

  function take({ command, parameters }: DovecotLine): void {
    switch (command) {
      case 'VERSION':
        if (parameters[0] !== '1') throw protocolError(`version ${parameters[0]} of its protocol`)
        version = 'known'
        return
      case 'MECH':
        if (mechanisms.length < MAX_MECHANISMS && /^[A-Z0-9_-]{1,20}$/.test(parameters[0] ?? '')) {
          mechanisms.push({ name: parameters[0]!, properties: parameters.slice(1) })
        }
        return
      case 'DONE':
        if (version === 'unknown') throw protocolError('no version')
        signal.removeEventListener('abort', abort)
        ready.resolve(connection)
        return
      case 'OK':
      case 'CONT':
      case 'FAIL': {
        const number = Number(parameters[0])
        // A late answer to a request given up finds nobody.
        waiting.get(number)?.resolve({ command, parameters: parameters.slice(1) })
        waiting.delete(number)
      }
    }
  }

  const connection: DovecotConnection = {
    mechanisms,
    get open() {
      return ended === undefined && last < MAX_NUMBER ? 'yes' : 'no'
    },
    number: () => ++last,
    async ask(command, number, parameters, patienceMs): Promise<DovecotLine> {
      if (ended !== undefined) throw ended
      const answer = Promise.withResolvers<DovecotLine>()
      waiting.set(number, answer)
      const timer = clock.after(patienceMs, () => {
        answer.reject(timedOut())
        connection.forget(number)
      })
      wire.write(formatLine(command, [String(number), ...parameters]))
      try {
        return await answer.promise
      } finally {
        timer.cancel()
        waiting.delete(number)
      }
    },
    forget(number: number): void {
      const one = waiting.get(number)
      waiting.delete(number)
      if (ended === undefined) wire.write(formatLine('CANCEL', [String(number)]))
      one?.reject(new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'given up'))
    },
    close: () => end(new MailwrightError('ERR_MAILWRIGHT_STOPPED', 'closed')),
  }

  const read = lineReader(take)
  wire.on('data', (chunk: Uint8Array) => {
    try {
      if (ended === undefined) read(chunk)
    } catch (error) {
      end(error)
    }
  })
  wire.on('error', (cause) => end(new MailwrightError('ERR_MAILWRIGHT_CONNECTION', 'Dovecot is lost', { cause })))
  wire.on('close', () => end(new MailwrightError('ERR_MAILWRIGHT_CONNECTION', 'Dovecot closed the connection')))
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  if (ended === undefined) wire.write(formatLine('VERSION', ['1', '1']) + formatLine('CPID', [String(clientNumber)]))
  return ready.promise
}

function protocolError(problem: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_PROTOCOL', `Dovecot says ${problem}`)
}
