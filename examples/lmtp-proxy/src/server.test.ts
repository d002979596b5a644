import { type Dialogue, dialogue, manualClock, type ScriptedMx, scriptedMx, testEnvironment } from '@mailwright/testing'
import { type MailEvent, memoryStore } from 'mailwright'
import { expect, it, onTestFinished } from 'vitest'
import { type Handling, lmtpProxy } from './server.ts'

const call = { signal: new AbortController().signal }

interface World {
  readonly client: Dialogue
  readonly mx: ScriptedMx
  readonly events: readonly MailEvent[]
  settle(): Promise<void>
}

/** A proxy before an exchanger that has no bob and whose cid is over quota for now. */
async function proxy(handling: Handling, exchanger: 'up' | 'down' = 'up'): Promise<World> {
  const clock = manualClock()
  const world = testEnvironment({ clock })
  const script = [
    { at: 'rcpt', address: 'bob@example.net', reply: '550 5.1.1 No such user' },
    { at: 'rcpt', address: 'cid@example.net', reply: '452 4.2.2 Over quota' },
  ] as const
  const mx = await scriptedMx({ network: world.net, clock, host: '192.0.2.25', script })
  if (exchanger === 'down') await mx.down()
  const mta = lmtpProxy('[192.0.2.25]:25', handling, 2424, world)
  const events: MailEvent[] = []
  mta.events.subscribe((event) => events.push(event))
  await mta.start()
  const client = dialogue(await world.net.connect({ host: '127.0.0.1', port: 2424, localAddress: '127.0.0.1' }, call))
  onTestFinished(async () => {
    client.destroy()
    await clock.until(mta.stop())
    await mx.down()
    world.assertQuiet()
  })
  await client.expect('220 lmtp.example.org')
  await client.command('LHLO client.example.org', 250)
  return { client, mx, events, settle: () => clock.settle() }
}

/** Sends a message to these; the replies after the final dot, one for each, by their beginnings. */
async function deliver(client: Dialogue, to: readonly string[], replies: readonly string[]): Promise<void> {
  await client.command('MAIL FROM:<zoe@example.org>', 250)
  for (const name of to) await client.command(`RCPT TO:<${name}@example.net>`, '250 2.1.5')
  await client.command('DATA', 354)
  client.sendRaw('Subject: hello\r\n\r\nhello\r\n.\r\n')
  for (const reply of replies) await client.expect(reply)
  // Nothing more was said than that.
  await client.command('NOOP', 250)
}

it('tells the client what the next hop says of each recipient', async () => {
  const { client, mx } = await proxy('wait')
  await deliver(client, ['ann', 'bob', 'cid', 'dan'], ['250 2.0.0', '550 5.1.1', '452 4.2.2', '250 2.0.0'])
  expect(mx.messages.map(({ recipients }) => recipients)).toEqual([['ann@example.net', 'dan@example.net']])
})

it('answers for a mailbox as often as the client named it', async () => {
  const { client } = await proxy('wait')
  await deliver(client, ['ann', 'bob', 'ann', 'bob'], ['250 2.0.0', '550 5.1.1', '250 2.0.0', '550 5.1.1'])
})

it('defers everybody while the next hop cannot be reached', async () => {
  const { client } = await proxy('wait', 'down')
  await deliver(client, ['ann', 'ann'], ['4', '4'])
})

it('with a queue, answers at once for each, delivers once to each mailbox, and tells the sender of refusals', async () => {
  const { client, mx, events, settle } = await proxy(memoryStore())
  await deliver(client, ['ann', 'bob', 'ann'], ['250 2.0.0', '250 2.0.0', '250 2.0.0'])
  await settle()
  expect(mx.messages.map(({ recipients }) => recipients)).toEqual([['ann@example.net'], ['zoe@example.org']])
  expect(events.filter(({ type }) => type === 'message.bounced')).toHaveLength(1)
})
