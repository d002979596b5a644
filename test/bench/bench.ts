/**
 * Measures Mailwright against the peers that are installed, in the same sitting: the peers take turns, so that a change
 * of the machine's speed hits all of them, and medians are compared.
 *
 *   npm run bench -- [--runs N] [--only kept,single,large,latency] [--peers Mailwright,Postfix,Haraka]
 */
import { parseArgs } from 'node:util'
import { measureLatency } from './latency.ts'
import type { Peer } from './peer.ts'
import { haraka } from './peers/haraka.ts'
import { mailwright } from './peers/mailwright.ts'
import { postfix } from './peers/postfix.ts'
import { type Load, measureThroughput, type Throughput } from './throughput.ts'

const LOADS: Readonly<Record<string, Load>> = {
  kept: { name: '4 KB, 20 kept connections', messages: 8_000, size: 4_096, sessions: 20, connections: 'kept' },
  single: {
    name: '4 KB, one connection per message, 100 at a time',
    messages: 8_000,
    size: 4_096,
    sessions: 100,
    connections: 'one-per-message',
  },
  large: { name: '10 MB, 5 connections', messages: 50, size: 10_000_000, sessions: 5, connections: 'kept' },
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    only: { type: 'string', default: 'kept,single,large,latency' },
    peers: { type: 'string', default: 'Mailwright,Postfix,Haraka' },
  },
})
const runs = Number(values.runs)
const wanted = values.only.split(',')
const peers = [mailwright, postfix, haraka].filter((peer) => {
  if (!values.peers.split(',').includes(peer.name)) return false
  const missing = peer.available()
  if (missing !== undefined) console.log(`left out: ${peer.name}: ${missing}`)
  return missing === undefined
})

for (const [key, load] of Object.entries(LOADS)) if (wanted.includes(key)) await compareThroughput(load)
if (wanted.includes('latency')) await compareLatency()

async function compareThroughput(load: Load): Promise<void> {
  console.log(`\n${load.name}: ${load.messages} messages of ${load.size} bytes, ${runs} runs each in turn`)
  const results = await inTurn((peer) => measureThroughput(peer, load))
  const rate = (runsOf: readonly Throughput[]): number => median(runsOf.map((run) => run.messagesPerSecond))
  for (const [peer, all] of results) {
    const rates = all.map((run) => run.messagesPerSecond)
    const cpu = median(all.map((run) => run.cpuMs))
    const memory = Math.max(...all.map((run) => run.peakMemory)) / 1e6
    console.log(
      `  ${peer.name.padEnd(11)} ${rate(all).toFixed(0).padStart(6)} msg/s (${Math.min(...rates).toFixed(0)} to ${Math.max(...rates).toFixed(0)}), CPU ${cpu.toFixed(3)} ms/msg, peak RssAnon ${memory.toFixed(0)} MB`,
    )
  }
  ratios(results, rate, 'times as fast as')
}

async function compareLatency(): Promise<void> {
  console.log(`\nlatency: final dot to arrival at the next hop, one 4-KB message at a time, ${runs} runs each in turn`)
  const results = await inTurn((peer) => measureLatency(peer, 200))
  const middle = (all: readonly (readonly number[])[]): number => median(all.map((times) => median(times)))
  for (const [peer, all] of results) {
    const tail = median(all.map((times) => [...times].sort((a, b) => a - b)[Math.floor(times.length * 0.99)]!))
    console.log(`  ${peer.name.padEnd(11)} median ${middle(all).toFixed(2)} ms, 99th percentile ${tail.toFixed(2)} ms`)
  }
  ratios(results, middle, 'times the latency of')
}

async function inTurn<T>(measure: (peer: Peer) => Promise<T>): Promise<Map<Peer, T[]>> {
  const results = new Map<Peer, T[]>(peers.map((peer) => [peer, []]))
  for (let run = 0; run < runs; run++) for (const [peer, all] of results) all.push(await measure(peer))
  return results
}

function ratios<T>(results: ReadonlyMap<Peer, T>, figure: (result: T) => number, words: string): void {
  const ours = results.get(mailwright)
  if (ours === undefined) return
  for (const [peer, theirs] of results) {
    if (peer !== mailwright)
      console.log(`  Mailwright is ${(figure(ours) / figure(theirs)).toFixed(2)} ${words} ${peer.name}`)
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
