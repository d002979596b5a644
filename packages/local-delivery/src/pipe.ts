/**
 * Delivery to a command, as Postfix's pipe(8): the message on its standard input, one run for each recipient, its exit
 * status for an answer. There is no shell, and no part of an address becomes an option or a program.
 */
import {
  type Block,
  type Call,
  type Capability,
  type DeliveryJob,
  type Duration,
  type Environment,
  LOCAL_ERROR,
  milliseconds,
  type Outcome,
  type Recipient,
  type Transport,
  toOutcome,
} from '@mailwright/core'
import { wholeBody } from '@mailwright/message'
import { argumentsFor, checkCommand, commandFacts, environmentFor } from './command-line.ts'
import { runCommand } from './command-run.ts'
import { deliveredHead, LOOP, wasDeliveredTo } from './delivered-message.ts'
import { eachRecipient } from './each-recipient.ts'
import { commandOutcome } from './exit-status.ts'
import { bareLineFeeds } from './unix-lines.ts'

export interface PipeOptions {
  /**
   * The program's absolute path and its arguments. `{recipient}`, `{original}`, `{user}`, `{extension}`, `{local}`,
   * `{domain}`, `{sender}`, `{id}` and `{size}` stand for what the mail brings.
   */
  readonly command: readonly string[]
  /** The transport's name, when it is not `'pipe'`. */
  readonly name?: string
  /** How its lines end: `lf`, as programs of Unix expect (default), or `crlf`, as the message came. */
  readonly lineEnds?: 'lf' | 'crlf'
  /** How long it may take. Default 1000 s. */
  readonly timeLimit?: Duration
  /** Where it runs. Default `/`. */
  readonly cwd?: string
  /** Whom it runs as. Only root may choose. */
  readonly uid?: number
  readonly gid?: number
  /** Characters that begin an extension. Default `+`. */
  readonly delimiters?: string
}

/** The message is given as it is, in UTF-8 where it is; the queue hears who was served. */
const HONOURED: ReadonlySet<Capability> = new Set(['dsn', 'smtputf8'])

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a command that cannot work.
 * @example
 * const tickets = mta.use(pipe({ name: 'tickets', command: ['/usr/local/bin/ticket', '--queue', '{user}'] }))
 */
export function pipe(options: PipeOptions): Block<Transport> {
  checkCommand(options.command)
  const limitMs = milliseconds(options.timeLimit ?? '1000s')
  return {
    name: options.name ?? 'pipe',
    create: ({ environment }) => pipeTransport(options, limitMs, environment),
  }
}

function pipeTransport(options: PipeOptions, limitMs: number, { clock }: Environment): Transport {
  const { command, lineEnds = 'lf', cwd = '/', uid, gid, delimiters = '+' } = options

  async function deliverTo(recipient: Recipient, job: DeliveryJob, call: Call): Promise<Outcome> {
    const { message, envelope } = job
    try {
      if (wasDeliveredTo(recipient.address, message.head)) return LOOP
      const facts = commandFacts(recipient, { sender: envelope.sender, id: job.id, size: message.size }, delimiters)
      const args = argumentsFor(command, facts)
      if (!isArguments(args)) return args
      const whole = delivered(job, recipient, call)
      const input = lineEnds === 'lf' ? bareLineFeeds(whole) : whole
      const run = { program: command[0]!, args, env: environmentFor(facts), cwd, uid, gid, input, limitMs }
      return commandOutcome(await runCommand(run, clock, call))
    } catch (error) {
      if (call.signal.aborted) return toOutcome(call.signal.reason, 'message')
      // It could not be started: the operator's mistake, whatever the system calls it, and it bounces no mail.
      if (isSystemError(error)) return { status: 'deferred', scope: 'destination', reply: LOCAL_ERROR, cause: error }
      return toOutcome(error, 'message')
    }
  }

  return {
    name: options.name ?? 'pipe',
    capabilities: HONOURED,
    deliver: (job, call) => eachRecipient(job, (recipient) => deliverTo(recipient, job, call)),
  }
}

async function* delivered(
  { message, envelope }: DeliveryJob,
  recipient: Recipient,
  call: Call,
): AsyncGenerator<Uint8Array> {
  yield deliveredHead(message.head, envelope.sender, recipient)
  yield* wholeBody(message, call)
}

function isArguments(line: ReturnType<typeof argumentsFor>): line is readonly string[] {
  return Array.isArray(line)
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number'
}
