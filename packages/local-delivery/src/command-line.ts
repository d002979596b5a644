/**
 * A command's arguments, with what mail brings in its place. Arguments go to the program as they are: there is no shell,
 * nothing is split, quoted or expanded again. What mail brings is never the program, nor what an argument begins with where
 * it could be taken for an option: such a recipient is refused.
 */
import {
  type FailedOutcome,
  formatMailbox,
  type Mailbox,
  MailwrightError,
  type Recipient,
  reply,
} from '@mailwright/core'

/** What `{…}` in an argument may stand for. */
export interface CommandFacts {
  readonly recipient: string
  readonly original: string
  /** The local part, up to the extension. */
  readonly user: string
  /** Behind the delimiter; empty where there is none. */
  readonly extension: string
  /** The whole local part. */
  readonly local: string
  readonly domain: string
  /** Empty for the null sender. */
  readonly sender: string
  /** The message's name in the queue. */
  readonly id: string
  /** Octets of the message. */
  readonly size: string
}

/** Arguments for one recipient, or why it cannot have any. */
export type CommandLine = readonly string[] | FailedOutcome

const PLACE = /\{([a-z]+)\}/g
const NAMES: ReadonlySet<string> = new Set<keyof CommandFacts>([
  'recipient',
  'original',
  'user',
  'extension',
  'local',
  'domain',
  'sender',
  'id',
  'size',
])
/** What may stand in no argument and no variable of the environment, whoever made the address. */
const UNSAFE = /[\x00-\x1f\x7f]/
const REFUSED: FailedOutcome = {
  status: 'failed',
  reply: reply(553, '5.1.3', 'The address cannot be given to a command'),
}

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a program without an absolute path, and an unknown `{…}`. */
export function checkCommand(command: readonly string[]): void {
  const [program = '', ...rest] = command
  if (!program.startsWith('/') || program.includes('{'))
    throw unusable(`not the absolute path of a program: ${program}`)
  for (const argument of rest) {
    for (const [whole, name] of argument.matchAll(PLACE))
      if (!NAMES.has(name!)) throw unusable(`${whole} stands for nothing`)
  }
}

/** The facts of one recipient. `delimiters`: the first of these in a local part, beyond its start, begins the extension. */
export function commandFacts(
  recipient: Recipient,
  message: { readonly sender: Mailbox | null; readonly id: string; readonly size: number },
  delimiters: string,
): CommandFacts {
  const { local, domain } = recipient.address
  const at = [...local].findIndex((character, index) => index > 0 && delimiters.includes(character))
  return {
    recipient: formatMailbox(recipient.address),
    original: formatMailbox(recipient.original),
    user: at < 0 ? local : local.slice(0, at),
    extension: at < 0 ? '' : local.slice(at + 1),
    local,
    domain,
    sender: formatMailbox(message.sender),
    id: message.id,
    size: String(message.size),
  }
}

/** The arguments behind the program. */
export function argumentsFor(command: readonly string[], facts: CommandFacts): CommandLine {
  if (Object.values(facts).some((fact: string) => UNSAFE.test(fact))) return REFUSED
  const line: string[] = []
  for (const argument of command.slice(1)) {
    const filled = argument.replace(PLACE, (_, name: keyof CommandFacts) => facts[name])
    // A recipient named `--output=/etc/passwd@example.org` is no option.
    if (argument.startsWith('{') && filled.startsWith('-')) return REFUSED
    line.push(filled)
  }
  return line
}

/** The environment of the command, as Postfix's local(8) has it; nothing of ours goes there. */
export function environmentFor(facts: CommandFacts): Readonly<Record<string, string>> {
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    SENDER: facts.sender,
    RECIPIENT: facts.recipient,
    ORIGINAL_RECIPIENT: facts.original,
    EXTENSION: facts.extension,
    USER: facts.user,
    LOCAL: facts.local,
    DOMAIN: facts.domain,
  }
}

function unusable(problem: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `pipe: ${problem}`)
}
