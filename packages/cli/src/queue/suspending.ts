/** Actions that keep mail from being tried, and let it go again. */
import { type Suspension, type SuspensionScope, suspensionKey } from '@mailwright/core'
import { UsageError } from '../command.ts'
import type { Flags } from './flags.ts'
import { instant } from './listing.ts'
import { type Action, assertNoIds, type Request, report } from './request.ts'
import { duration, labelsOf } from './selection.ts'

export const SUSPENDING: Readonly<Record<string, Action>> = {
  suspend: {
    takes: ['lane', 'label', 'everything', 'reason', 'for'],
    async run(request) {
      assertNoIds(request)
      const { store, flags, now } = request
      const suspension: Suspension = {
        scope: scopeOf(request),
        reason: flags.reason ?? 'suspended by the operator',
        since: now,
        ...(flags.for === undefined ? {} : { until: now + duration(flags.for, '--for') }),
      }
      await store.suspend(suspension)
      if (flags.json) console.log(JSON.stringify(asJson(suspension)))
      else console.error(`suspended ${asText(suspension)}`)
    },
  },
  resume: {
    takes: ['lane', 'label', 'everything', 'all'],
    async run(request) {
      assertNoIds(request)
      const { store, flags } = request
      const scopes = flags.all ? (await store.suspensions()).map((each) => each.scope) : [scopeOf(request)]
      let ended = 0
      for (const scope of scopes) if (await store.resume(scope)) ended += 1
      report(flags, 'resumed', ended, 'suspension', 'suspensions')
    },
  },
  suspensions: {
    takes: [],
    async run(request) {
      assertNoIds(request)
      const { store, flags, now } = request
      const inForce = (await store.suspensions()).filter(({ until = Number.POSITIVE_INFINITY }) => until > now)
      for (const each of inForce) console.log(flags.json ? JSON.stringify(asJson(each)) : asText(each))
      if (!flags.json && inForce.length === 0) console.error('Nothing is suspended.')
    },
  },
}

/** Exactly one of them: whoever means two says it twice. */
function scopeOf({ name, flags }: Request): SuspensionScope {
  const scopes = [...laneScope(flags), ...labelScopes(flags), ...everything(flags)]
  const [scope, ...more] = scopes
  if (scope !== undefined && more.length === 0) return scope
  throw new UsageError(`queue ${name} wants one of --lane LANE, --label NAME=VALUE, --everything`)
}

function laneScope({ lane }: Flags): readonly SuspensionScope[] {
  if (lane === undefined) return []
  if (!lane.includes(':')) throw new UsageError(`--lane wants TRANSPORT:DESTINATION, not ${JSON.stringify(lane)}`)
  return [{ kind: 'lane', lane }]
}

function labelScopes({ label = [] }: Flags): readonly SuspensionScope[] {
  return Object.entries(labelsOf(label)).map(([name, value]) => ({ kind: 'label', label: name, value }))
}

function everything(flags: Flags): readonly SuspensionScope[] {
  return flags.everything ? [{ kind: 'everything' }] : []
}

function asJson({ scope, reason, since, until }: Suspension): object {
  return { suspension: suspensionKey(scope), ...scope, reason, since, until }
}

function asText({ scope, reason, until }: Suspension): string {
  return `${suspensionKey(scope)}  ${until === undefined ? 'until resumed' : `until ${instant(until)}`}  ${reason}`
}
