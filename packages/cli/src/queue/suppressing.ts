/** Actions on the list of addresses that are not to be written to: a file in the spool, or wherever `--file` says. */
import { join } from 'node:path'
import { formatMailbox, type Mailbox, parseMailbox, type Suppression, type SuppressionList } from '@mailwright/core'
import { fileSuppressions } from '@mailwright/queue'
import { UsageError } from '../command.ts'
import type { Flag, Flags } from './flags.ts'
import { instant } from './listing.ts'
import { report } from './request.ts'
import { duration } from './selection.ts'

/** How many addresses one page of a listing reads. */
const PAGE = 1_000
const CAUSES: readonly Suppression['cause'][] = ['bounce', 'complaint', 'unsubscribe', 'operator']

/** The list of a spool. */
export function suppressionFile(spool: string): string {
  return join(spool, 'suppressions')
}

interface ListRequest {
  readonly name: string
  readonly list: SuppressionList
  readonly addresses: readonly string[]
  readonly flags: Flags
  readonly now: number
}

export interface ListAction {
  readonly takes: readonly Flag[]
  run(request: ListRequest): Promise<void>
}

export const SUPPRESSING: Readonly<Record<string, ListAction>> = {
  suppress: {
    takes: ['file', 'reason', 'cause', 'for'],
    async run(request) {
      const { list, flags, now } = request
      const about = {
        cause: causeOf(flags.cause),
        reason: flags.reason ?? 'suppressed by the operator',
        since: now,
        ...(flags.for === undefined ? {} : { until: now + duration(flags.for, '--for') }),
      }
      const addresses = mailboxes(request)
      for (const address of addresses) await list.add({ address, ...about })
      report(flags, 'suppressed', addresses.length, 'address', 'addresses')
    },
  },
  unsuppress: {
    takes: ['file'],
    async run(request) {
      let removed = 0
      for (const address of mailboxes(request)) if (await request.list.remove(address)) removed += 1
      report(request.flags, 'unsuppressed', removed, 'address', 'addresses')
    },
  },
  suppressed: {
    takes: ['file'],
    async run(request) {
      const { list, flags, now, addresses } = request
      const only = addresses.length === 0 ? undefined : mailboxes(request)
      const shown = only === undefined ? everyone(list) : those(list, only, now)
      for await (const each of shown) console.log(flags.json ? JSON.stringify(asJson(each)) : asText(each))
    },
  },
}

/** The list that the options mean. */
export function listOf(flags: Flags): SuppressionList {
  const file = flags.file ?? (flags.spool === undefined ? undefined : suppressionFile(flags.spool))
  if (file === undefined) throw new UsageError('the suppression list wants --spool DIR or --file FILE')
  return fileSuppressions({ file })
}

async function* everyone(list: SuppressionList): AsyncGenerator<Suppression> {
  let after: Mailbox | undefined
  for (;;) {
    const page = await list.list({ limit: PAGE, after })
    yield* page
    if (page.length < PAGE) return
    after = page.at(-1)!.address
  }
}

async function* those(list: SuppressionList, addresses: readonly Mailbox[], now: number): AsyncGenerator<Suppression> {
  for (const address of addresses) {
    const found = await list.find(address, now)
    if (found !== undefined) yield found
  }
}

function mailboxes({ name, addresses }: ListRequest): readonly Mailbox[] {
  if (addresses.length === 0) throw new UsageError(`queue ${name} wants addresses`)
  return addresses.map((text) => {
    const address = parseMailbox(text)
    if (address === undefined) throw new UsageError(`not an address: ${JSON.stringify(text)}`)
    return address
  })
}

function causeOf(text = 'operator'): Suppression['cause'] {
  const cause = CAUSES.find((each) => each === text)
  if (cause !== undefined) return cause
  throw new UsageError(`--cause wants ${CAUSES.join(', ')}, not ${JSON.stringify(text)}`)
}

function asJson({ address, ...about }: Suppression): object {
  return { address: formatMailbox(address), ...about }
}

function asText({ address, cause, reason, since, until }: Suppression): string {
  const end = until === undefined ? '' : `  until ${instant(until)}`
  return `${formatMailbox(address)}  ${cause} since ${instant(since)}${end}  ${reason}`
}
