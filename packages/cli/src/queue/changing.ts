/** Actions that change the entries selected. */
import type { Instruction } from '@mailwright/core'
import { UsageError } from '../command.ts'
import { FILTERS, type Flag } from './flags.ts'
import { type Action, type Request, report } from './request.ts'

export const CHANGING: Readonly<Record<string, Action>> = {
  flush: changing('flushed', ({ store, selection, now }) => store.reschedule(selection, now)),
  hold: changing(
    'held',
    ({ store, selection, flags }) => store.hold(selection, flags.reason ?? 'held by the operator'),
    'reason',
  ),
  release: changing('released', ({ store, selection, now }) => store.release(selection, now)),
  requeue: instructing('requeued', () => ({ kind: 'requeue' })),
  reroute: instructing('rerouted', ({ flags }) => ({ kind: 'reroute', lane: laneOf(flags.to) }), 'to'),
  expire: instructing('expired', () => ({ kind: 'expire' })),
  remove: changing('removed', ({ store, selection }) => store.remove(selection)),
}

function changing(done: string, change: (request: Request) => Promise<number>, ...more: readonly Flag[]): Action {
  return {
    takes: [...FILTERS, 'all', ...more],
    changes: true,
    async run(request) {
      report(request.flags, done, await change(request), 'entry', 'entries')
    },
  }
}

/** Whoever delivers from the queue does it, now or when it next runs. */
function instructing(done: string, instruction: (request: Request) => Instruction, ...more: readonly Flag[]): Action {
  return changing(
    done,
    (request) => request.store.instruct(request.selection, instruction(request), request.now),
    ...more,
  )
}

function laneOf(text: string | undefined): string {
  if (text === undefined) throw new UsageError('queue reroute wants --to LANE, such as smtp:[relay.example.net]:25')
  if (/^[a-z][a-z0-9-]*(\/[\w.@=+-]+)?:[\x21-\x7e]*$/i.test(text) && !/^(error|operator)[:/]/i.test(text)) return text
  throw new UsageError(`--to wants TRANSPORT:DESTINATION, not ${JSON.stringify(text)}`)
}
