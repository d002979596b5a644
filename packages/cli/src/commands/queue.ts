import { EventHub } from '@mailwright/kernel'
import { spoolStore } from 'mailwright/spool-store'
import { type Command, UsageError } from '../command.ts'
import { CHANGING } from '../queue/changing.ts'
import { assertTaken, type Flags, readFlags } from '../queue/flags.ts'
import { LOOKING } from '../queue/looking.ts'
import type { Action } from '../queue/request.ts'
import { selectionOf } from '../queue/selection.ts'
import { listOf, SUPPRESSING } from '../queue/suppressing.ts'
import { SUSPENDING } from '../queue/suspending.ts'

const ACTIONS: Readonly<Record<string, Action>> = { ...LOOKING, ...CHANGING, ...SUSPENDING }

/** Looks at and changes a queue, also while a server runs on it. */
export const queue: Command = {
  usage: [
    'queue list|show|cat|stats|shape --spool DIR [ID...] [FILTER...] [--limit N] [--json]',
    'queue flush|hold|release|requeue|reroute|expire|remove --spool DIR [ID...] [FILTER...] [--all] [--reason TEXT] [--to LANE] [--json]',
    'queue suspend|resume|suspensions --spool DIR [--lane LANE|--label NAME=VALUE|--everything|--all] [--for TIME] [--reason TEXT] [--json]',
    'queue suppress|unsuppress|suppressed --spool DIR|--file FILE [ADDRESS...] [--for TIME] [--cause CAUSE] [--reason TEXT] [--json]',
    'FILTER: --sender A --recipient A --domain D --lane LANE --older-than TIME --newer-than TIME --larger-than SIZE --smaller-than SIZE --status held|claimed|deferred|waiting --label NAME=VALUE --reply TEXT',
  ].join('\n      '),
  summary: 'Looks at and changes a queue, also while a server runs on it.',
  async run(args): Promise<void> {
    const { flags, action, names } = readFlags(args)
    const now = Date.now()
    const listing = own(SUPPRESSING, action)
    if (listing !== undefined) {
      assertTaken(action, flags, listing.takes)
      return listing.run({ name: action, list: listOf(flags), addresses: names, flags, now })
    }
    const known = own(ACTIONS, action)
    if (known === undefined) throw new UsageError(unknown(action))
    await onStore(known, { flags, action, ids: names, now })
  },
}

async function onStore(
  known: Action,
  { flags, action, ids, now }: { flags: Flags; action: string; ids: readonly string[]; now: number },
): Promise<void> {
  assertTaken(action, flags, known.takes)
  if (flags.spool === undefined) throw new UsageError(`queue ${action} wants --spool DIR`)
  const selection = known.takes.includes('sender') ? selectionOf(flags, ids, now) : {}
  if (known.changes && Object.keys(selection).length === 0 && !flags.all)
    throw new UsageError(`queue ${action} wants message ids, filters such as --sender or --older-than, or --all`)
  const store = spoolStore({ directory: flags.spool, access: 'operator' })
  await store.open(new EventHub({ now: () => Date.now(), after: () => ({ cancel() {}, refresh() {} }) }))
  try {
    await known.run({ name: action, store, selection, ids, flags, now })
  } finally {
    await store.close()
  }
}

function own<T>(actions: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(actions, name) ? actions[name] : undefined
}

function unknown(action: string): string {
  const names = [...Object.keys(ACTIONS), ...Object.keys(SUPPRESSING)].join(', ')
  return action === '' ? `queue wants one of ${names}` : `there is no queue ${action}; there is ${names}`
}
