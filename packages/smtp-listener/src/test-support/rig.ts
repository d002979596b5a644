/** A listener on an in-memory network and a manual clock, and clients that speak to it byte by byte if need be. */
import type { Call, ClientTls, Environment, ListenTarget, Wire } from '@mailwright/core'
import {
  type ManualClock,
  type MemoryNetwork,
  manualClock,
  memoryNetwork,
  recordedEvents,
  settle,
  testEnvironment,
  testScope,
} from '@mailwright/testing'
import { expect } from 'vitest'
import { type ListenerHandle, type SmtpListenerOptions, smtpListener } from '../index.ts'
import { type IntakeScript, type ScriptedIntake, scriptedIntake } from './scripted-intake.ts'

export const HELLO = 'EHLO client.example\r\n'
export const ENVELOPE = 'MAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\n'

export interface TestClient {
  readonly wire: Wire
  /** Sends, lets everything come to rest, and gives what the server said to it. */
  says(text: string | Uint8Array): Promise<string>
  /** What the server has said since it was last asked. */
  heard(): Promise<string>
  /** Speaks lines written as `C:` and checks the answers written as `S:`, all of them, word for word. */
  transcript(text: string): Promise<void>
  secure(tls?: Partial<ClientTls>): Promise<TestClient>
  readonly closed: boolean
}

export interface Rig {
  readonly clock: ManualClock
  readonly net: MemoryNetwork
  readonly intake: ScriptedIntake
  readonly listener: ListenerHandle & {
    start(call: Call): Promise<void>
    drain(call: Call): Promise<void>
    stop(): Promise<void>
  }
  readonly events: ReturnType<typeof recordedEvents>
  /** How often the server wrote to its wires: what would have been system calls. */
  writes(): number
  connect(from?: string): Promise<TestClient>
  /** A client that has been greeted and has said EHLO. */
  greeted(): Promise<TestClient>
  /** Stops the listener and checks that nothing is left of it. */
  finish(): Promise<void>
}

const never = new AbortController().signal

export async function rig(
  script: IntakeScript = {},
  options: Partial<SmtpListenerOptions> = {},
  arrange: (serverWire: Wire) => void = () => {},
): Promise<Rig> {
  const clock = manualClock()
  const net = memoryNetwork({ clock })
  const serverWires: (Wire & { readonly writes?: number })[] = []
  const environment: Environment = {
    ...testEnvironment({ clock, network: net }),
    net: {
      ...net,
      connect: net.connect,
      secure: net.secure,
      listen: (target: ListenTarget, accept) =>
        net.listen(target, (wire) => {
          serverWires.push(wire)
          arrange(wire)
          accept(wire)
        }),
    },
  }
  const events = recordedEvents(clock)
  const intake = scriptedIntake(script)
  const listener = smtpListener({ intake, ...('path' in options ? {} : { port: 0 }), ...options }).create(
    testScope({ environment, events }),
  ) as Rig['listener']
  await listener.start({ signal: never })

  async function connect(from?: string): Promise<TestClient> {
    const target = from === undefined ? listener.address : { ...listener.address, localAddress: from }
    return testClient(await net.connect(target, { signal: never }), net)
  }
  return {
    clock,
    net,
    intake,
    listener,
    events,
    writes: () => serverWires.reduce((sum, wire) => sum + (wire.writes ?? 0), 0),
    connect,
    async greeted(): Promise<TestClient> {
      const client = await connect()
      await client.says(HELLO)
      return client
    },
    async finish(): Promise<void> {
      await listener.stop()
      await settle()
      expect(listener.connections).toBe(0)
      expect(intake.closed).toBe(intake.clients.length)
      expect(intake.calls).not.toContain('closed twice')
      expect(clock.pending).toBe(0)
      net.assertQuiet()
    },
  }
}

function testClient(wire: Wire, net: MemoryNetwork): TestClient {
  let output = ''
  let closed = false
  wire.on('data', (bytes: Buffer) => {
    output += bytes.toString('utf8')
  })
  wire.on('error', () => {})
  wire.on('end', () => {
    closed = true
  })
  wire.on('close', () => {
    closed = true
  })
  async function heard(): Promise<string> {
    await settle()
    const text = output
    output = ''
    return text
  }
  const client: TestClient = {
    wire,
    heard,
    async says(text): Promise<string> {
      await settle()
      wire.write(text)
      return heard()
    },
    async transcript(text): Promise<void> {
      const wanted = text
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '')
      const played: string[] = []
      let toSend = ''
      const exchange = async (): Promise<void> => {
        const said = toSend === '' ? await heard() : await client.says(toSend)
        toSend = ''
        played.push(
          ...said
            .split('\r\n')
            .slice(0, -1)
            .map((line) => `S: ${line}`),
        )
      }
      let speaker = 'C'
      for (const step of wanted) {
        if (step.startsWith('C:')) {
          toSend += `${step.slice(3)}\r\n`
          played.push(step)
        } else if (speaker === 'C') await exchange()
        speaker = step.slice(0, 1)
      }
      if (speaker === 'C') await exchange()
      if (closed) played.push('S: <closed>')
      expect(played).toEqual(wanted)
    },
    async secure(tls = {}): Promise<TestClient> {
      await settle()
      wire.removeAllListeners('data')
      const { wire: secured } = await net.secure(wire, { verify: false, ...tls }, { signal: never })
      return testClient(secured, net)
    },
    get closed(): boolean {
      return closed
    },
  }
  return client
}
