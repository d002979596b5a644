/** A transport in a world of its own: manual clock, in-memory network, fake DNS, one scripted server at first. */
import {
  type Call,
  type DeliveryJob,
  type Lifecycle,
  type Mailbox,
  type MailOptions,
  type MessageSource,
  type Network,
  type Outcome,
  parseMailbox,
  type Recipient,
  type RecipientId,
  replyLine,
  type Transport,
} from '@mailwright/core'
import { messageSource } from '@mailwright/message'
import {
  fakeDns,
  type MemoryNetwork,
  type MemoryNetworkOptions,
  manualClock,
  memoryNetwork,
  type TestEnvironment,
  type TestScope,
  testEnvironment,
  testScope,
  type Zones,
} from '@mailwright/testing'
import type { SmtpTransportOptions } from '../options.ts'
import { smtpTransport } from '../smtp-transport.ts'
import { type ScriptedServer, type ServerOptions, scriptedServer } from './scripted-server.ts'

export const call: Call = { signal: new AbortController().signal }

export const ZONES: Zones = {
  'example.org': { MX: [[10, 'mx.example.org']] },
  'mx.example.org': { A: ['192.0.2.25'] },
}

export interface World {
  readonly environment: TestEnvironment
  readonly scope: TestScope
  readonly transport: Transport & Lifecycle
  readonly server: ScriptedServer
  /** Delivers, moving the clock as far as needed. */
  deliver(job?: DeliveryJob, by?: Call): Promise<ReadonlyMap<RecipientId, Outcome>>
  /** Stops everything, and fails if anything is left. */
  end(): Promise<void>
}

export async function world(
  options: Partial<SmtpTransportOptions> = {},
  server: ServerOptions = {},
  given: {
    readonly zones?: Zones
    readonly network?: MemoryNetworkOptions
    /** A root certificate that the client's machine trusts. */
    readonly trusted?: string
  } = {},
): Promise<World> {
  const clock = manualClock()
  const network = trusting(memoryNetwork({ clock, ...given.network }), given.trusted)
  const environment = testEnvironment({ clock, network, dns: fakeDns(given.zones ?? ZONES, { clock }) })
  const scope = testScope({ environment })
  const transport: Transport & Lifecycle = smtpTransport({ hostname: 'relay.example.net', ...options }).create(scope)
  const scripted = await scriptedServer(network, server)
  return {
    environment,
    scope,
    transport,
    server: scripted,
    deliver: (given = job(), by = call) => clock.until(transport.deliver(given, by)),
    async end(): Promise<void> {
      await transport.stop?.()
      await scripted.close()
      await clock.settle()
      await scope.idle()
      if (scope.failures.length > 0) throw scope.failures[0]
      if (clock.pending > 0) throw new Error(`${clock.pending} timers left`)
      environment.net.assertQuiet()
    },
  }
}

function trusting(network: MemoryNetwork, root: string | undefined): MemoryNetwork {
  if (root === undefined) return network
  const secure: Network['secure'] = (wire, tls, by) => network.secure(wire, { ...tls, ca: [root] }, by)
  return Object.assign(Object.create(network) as MemoryNetwork, { secure })
}

export interface JobParts {
  readonly id?: string
  readonly from?: string
  readonly to?: readonly string[]
  readonly text?: string
  readonly message?: MessageSource
  readonly options?: MailOptions
  /** Default `example.org`; empty for none. */
  readonly destination?: string
}

/** A job for the transport. */
export function job(parts: JobParts = {}): DeliveryJob {
  const destination = parts.destination ?? 'example.org'
  return {
    id: parts.id ?? '01',
    envelope: {
      sender: parts.from === '' ? null : mailbox(parts.from ?? 'ann@example.net'),
      recipients: (parts.to ?? ['bob@example.org']).map(recipient),
      options: parts.options ?? {},
    },
    message: parts.message ?? messageSource(Buffer.from(parts.text ?? 'Subject: hi\r\n\r\nHello\r\n')),
    arrivedAt: 0,
    attempt: 1,
    ...(destination === '' ? {} : { lane: { transport: 'smtp', destination } }),
  }
}

export function mailbox(text: string): Mailbox {
  return parseMailbox(text)!
}

export function recipient(text: string, index = 0): Recipient {
  return { id: index + 1, address: mailbox(text), original: mailbox(text) }
}

/** Outcomes as short lines: `deferred destination 451 4.4.1 cannot connect …`. */
export function summary(outcomes: ReadonlyMap<RecipientId, Outcome>): string[] {
  return [...outcomes]
    .sort(([one], [other]) => one - other)
    .map(([, outcome]) =>
      [outcome.status, ...(outcome.status === 'deferred' ? [outcome.scope] : []), replyLine(outcome.reply)].join(' '),
    )
}
