/** A server of a preset in a world without sockets, and clients for it. */
import type { MailEvent, Wire } from '@mailwright/core'
import type { Mta } from '@mailwright/kernel'
import { type Dialogue, dialogue, type TestEnvironment } from '@mailwright/testing'
import { onTestFinished } from 'vitest'

/** Where the server of a test listens. */
export const LISTEN = { host: '192.0.2.1', port: 25 } as const

/** Starts the server, ends it with the test, and keeps its events. */
export async function started(mta: Mta, world: TestEnvironment): Promise<readonly MailEvent[]> {
  const events: MailEvent[] = []
  mta.events.subscribe((event) => events.push(event))
  await mta.start()
  onTestFinished(async () => {
    const stopping = mta.stop()
    await world.clock.runUntil(stopping)
  })
  return events
}

/** A client that has greeted, from an address of its own. */
export async function client(world: TestEnvironment, from = '127.0.0.1'): Promise<Dialogue> {
  const target = { ...LISTEN, localAddress: from }
  const wire: Wire = await world.net.connect(target, { signal: new AbortController().signal })
  const talk = dialogue(wire)
  await talk.expect(220)
  await talk.command('EHLO client.example.net', 250)
  return talk
}
