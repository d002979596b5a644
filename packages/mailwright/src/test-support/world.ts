/** A server of a preset in a world without sockets, and clients for it. */
import type { Mta } from '@mailwright/kernel'
import { type Dialogue, dialogue, type RecordedEvents, recordedEvents, type TestEnvironment } from '@mailwright/testing'
import { onTestFinished } from 'vitest'

/** Where the server of a test listens. */
export const LISTEN = { host: '192.0.2.1', port: 25 } as const

/** Starts the server, keeps its events, and ends it with the test: then nothing of it may be left. */
export async function started(mta: Mta, world: TestEnvironment): Promise<RecordedEvents> {
  const events = recordedEvents(world.clock)
  mta.events.subscribe((event) => events.emit(event))
  await mta.start()
  onTestFinished(async () => {
    await world.clock.until(mta.stop())
  })
  return events
}

/** A client that has said EHLO, from an address of its choice. */
export async function client(
  world: TestEnvironment,
  from = '127.0.0.1',
  port: number = LISTEN.port,
): Promise<Dialogue> {
  const call = { signal: new AbortController().signal }
  const talk = dialogue(await world.net.connect({ host: LISTEN.host, port, localAddress: from }, call))
  await talk.expect(220)
  await talk.command('EHLO client.example.com', 250)
  onTestFinished(() => talk.destroy())
  return talk
}
