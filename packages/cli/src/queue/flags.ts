/** The options of `mailwright queue`, and which of them an action takes. */
import { parseArgs } from 'node:util'
import { UsageError } from '../command.ts'

const OPTIONS = {
  spool: { type: 'string' },
  json: { type: 'boolean' },
  sender: { type: 'string' },
  recipient: { type: 'string' },
  domain: { type: 'string' },
  lane: { type: 'string' },
  'older-than': { type: 'string' },
  'newer-than': { type: 'string' },
  'larger-than': { type: 'string' },
  'smaller-than': { type: 'string' },
  status: { type: 'string' },
  label: { type: 'string', multiple: true },
  reply: { type: 'string' },
  all: { type: 'boolean' },
  everything: { type: 'boolean' },
  to: { type: 'string' },
  reason: { type: 'string' },
  for: { type: 'string' },
  cause: { type: 'string' },
  file: { type: 'string' },
  limit: { type: 'string' },
} as const

export type Flag = keyof typeof OPTIONS
/** What was given, by name. */
export type Flags = ReturnType<typeof parseArgs<{ options: typeof OPTIONS; args: string[] }>>['values']

/** Those that select entries. */
export const FILTERS: readonly Flag[] = [
  'sender',
  'recipient',
  'domain',
  'lane',
  'older-than',
  'newer-than',
  'larger-than',
  'smaller-than',
  'status',
  'label',
  'reply',
]

/** Reads the command line; the first word is the action, the rest are ids or addresses. */
export function readFlags(args: readonly string[]): {
  readonly flags: Flags
  readonly action: string
  readonly names: readonly string[]
} {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
  const [action = '', ...names] = positionals
  return { flags: values, action, names }
}

/** An option that an action would not heed is a mistake, and may be a costly one. */
export function assertTaken(action: string, flags: Flags, taken: readonly Flag[]): void {
  for (const name of Object.keys(flags) as Flag[])
    if (name !== 'spool' && name !== 'json' && !taken.includes(name))
      throw new UsageError(`queue ${action} does not take --${name}`)
}
