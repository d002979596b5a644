import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { countingSink } from './counting-sink.ts'
import type { Peer } from './peer.ts'
import { anonymousMemory, cpuSeconds } from './process-usage.ts'

/** A load for Postfix's smtp-source. */
export interface Load {
  readonly name: string
  readonly messages: number
  readonly size: number
  readonly sessions: number
  /** Whether a session sends many messages (`-d`) or one. */
  readonly connections: 'kept' | 'one-per-message'
}

export interface Throughput {
  readonly messagesPerSecond: number
  /** CPU milliseconds of the peer for each message. */
  readonly cpuMs: number
  /** Peak anonymous resident memory, bytes. */
  readonly peakMemory: number
}

/** Runs one load through a fresh peer, from the first connection to the last arrival at the next hop. */
export async function measureThroughput(peer: Peer, load: Load): Promise<Throughput> {
  const sink = await countingSink()
  const running = await peer.start(sink.port)
  let peakMemory = 0
  const sampler = setInterval(() => {
    peakMemory = Math.max(peakMemory, anonymousMemory(running.pids()))
  }, 100)
  try {
    const cpuBefore = cpuSeconds(running.pids())
    const begin = performance.now()
    await smtpSource(load, running.port)
    await sink.reached(load.messages)
    const seconds = (performance.now() - begin) / 1_000
    const cpu = cpuSeconds(running.pids()) - cpuBefore
    return { messagesPerSecond: load.messages / seconds, cpuMs: (cpu * 1_000) / load.messages, peakMemory }
  } finally {
    clearInterval(sampler)
    await running.stop()
    await sink.stop()
  }
}

/** Sends a load; resolves when all of it was taken. */
export async function smtpSource(load: Load, port: number): Promise<void> {
  const kept = load.connections === 'kept' ? ['-d'] : []
  const args = [
    ...kept,
    '-s',
    String(load.sessions),
    '-m',
    String(load.messages),
    '-l',
    String(load.size),
    '-f',
    'sender@example.com',
    '-t',
    'recipient@example.net',
    `127.0.0.1:${port}`,
  ]
  const child = spawn('smtp-source', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`smtp-source ended with ${code}`)
}
