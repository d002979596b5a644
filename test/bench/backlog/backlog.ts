/**
 * What a million deferred messages cost: from opening to the first delivery, memory, the rate of fresh mail beside an empty
 * spool, what a dead destination with most of them costs while nothing happens, `queue stats`, and the longest wait of
 * a client while half of them are removed.
 *
 *   node test/bench/backlog/backlog.ts [messages]
 *
 * Ends with 1 when a figure misses what is wanted.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type CountingSink, countingSink } from '../counting-sink.ts'
import { freePort } from '../ports.ts'
import { anonymousMemory, cpuSeconds } from '../process-usage.ts'
import { smtpSource } from '../throughput.ts'
import { fill } from './fill.ts'
import type { Report } from './server.ts'

const total = Number(process.argv[2] ?? 1_000_000)
const IDLE_SECONDS = 20
const RUNS = 5
const FRESH = 8_000
const command = join(import.meta.dirname, '../../../node_modules/.bin/mailwright')

interface Server {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

const folder = mkdtempSync(join(tmpdir(), 'bench-backlog-'))
const full = join(folder, 'full')
const deadDestination = `[127.0.0.1]:${await freePort()}`
let missed = 0
try {
  await measure()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit(missed === 0 ? 0 : 1)

async function measure(): Promise<void> {
  const dead = Math.floor(total * 0.9)
  const backlog = { directory: full, dead, deadDestination, deferred: total - dead, destinations: 1_000, size: 4_096 }
  const begin = performance.now()
  await fill(backlog, (done) => process.stderr.write(`${done} put\n`))
  console.log(`${total} messages put and deferred in ${((performance.now() - begin) / 1_000).toFixed(0)} s`)

  const sink = await countingSink()
  await firstDelivery(sink)
  await freshMail(sink)
  const server = await start(full, sink.port)
  await idle(server)
  await stats()
  await removal(server)
  figure('anonymous memory', anonymousMemory([server.pid]) / 1e6, 'MB', 250)
  await server.stop()
  await sink.stop()
}

/** From the start of the process, with a message that waits for it in the clients' queue. */
async function firstDelivery(sink: CountingSink): Promise<void> {
  const before = sink.count()
  const begin = performance.now()
  const server = await start(full, sink.port)
  const opened = performance.now()
  await send(server.port)
  await sink.reached(before + 1)
  console.log(`process to listening ${(opened - begin).toFixed(0)} ms`)
  figure('start to first delivery', performance.now() - begin, 'ms', 2_000)
  await server.stop()
}

/** Alternating: an empty spool, the full one. */
async function freshMail(sink: CountingSink): Promise<void> {
  const rates = { empty: [] as number[], full: [] as number[] }
  let memory = 0
  for (let run = 0; run < RUNS; run++) {
    for (const which of ['empty', 'full'] as const) {
      const spool = which === 'full' ? full : join(folder, `empty${run}`)
      const server = await start(spool, sink.port)
      const before = sink.count()
      const begin = performance.now()
      await smtpSource({ name: which, messages: FRESH, size: 4_096, sessions: 20, connections: 'kept' }, server.port)
      await sink.reached(before + FRESH)
      rates[which].push((FRESH * 1_000) / (performance.now() - begin))
      if (which === 'full') memory = Math.max(memory, anonymousMemory([server.pid]))
      await server.stop()
    }
  }
  const [empty, loaded] = [median(rates.empty), median(rates.full)]
  console.log(`fresh mail: ${loaded.toFixed(0)} messages/s, with an empty spool ${empty.toFixed(0)}`)
  figure('missing of the empty rate', 100 - (100 * loaded) / empty, '%', 20)
  figure('anonymous memory under load', memory / 1e6, 'MB', 250)
}

async function idle(server: Server): Promise<void> {
  await pause(2_000)
  const before = cpuSeconds([server.pid])
  await pause(IDLE_SECONDS * 1_000)
  figure('CPU while idle', ((cpuSeconds([server.pid]) - before) / IDLE_SECONDS) * 100, '%', 1)
}

async function stats(): Promise<void> {
  const begin = performance.now()
  await run(['queue', 'stats', '--spool', full])
  figure('queue stats, process and all', performance.now() - begin, 'ms', 1_000)
}

/** Half of them are removed by another process, while a client sends one message after another. */
async function removal(server: Server): Promise<void> {
  let removing = true
  const waits: number[] = []
  const begin = performance.now()
  const removed = run(['queue', 'remove', '--recipient', '@dead.example', '--spool', full]).then(() => {
    removing = false
  })
  while (removing) {
    waits.push(await send(server.port))
    await pause(5)
  }
  await removed
  console.log(`${Math.floor(total * 0.9)} removed in ${((performance.now() - begin) / 1_000).toFixed(1)} s`)
  figure('longest wait of a client meanwhile', Math.max(...waits), 'ms', 250)
}

function figure(name: string, value: number, unit: string, most: number): void {
  const verdict = value <= most ? '' : '  MISSED'
  if (value > most) missed += 1
  console.log(`${name}: ${value.toFixed(value < 10 ? 2 : 0)} ${unit} (at most ${most})${verdict}`)
}

async function start(spool: string, nextHopPort: number): Promise<Server> {
  const args = [spool, `[127.0.0.1]:${nextHopPort}`, deadDestination]
  const child: ChildProcess = fork(join(import.meta.dirname, 'server.ts'), args)
  const { port } = (await once(child, 'message'))[0] as Report
  return {
    pid: child.pid!,
    port,
    async stop() {
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

async function run(args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`mailwright ${args.join(' ')} ended with ${code}`)
}

/** One message on a connection of its own; how long its reply took after the final dot, ms. */
async function send(port: number): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'data')
  await ask(socket, 'EHLO bench.example\r\n')
  await ask(socket, 'MAIL FROM:<ann@example.net>\r\n')
  await ask(socket, 'RCPT TO:<bob@example.org>\r\n')
  await ask(socket, 'DATA\r\n')
  const begin = performance.now()
  await ask(socket, `Subject: fresh\r\n\r\n${'A line of a message.\r\n'.repeat(180)}.\r\n`)
  const took = performance.now() - begin
  socket.destroy()
  return took
}

async function ask(socket: Socket, text: string): Promise<void> {
  socket.write(text)
  const answer = String((await once(socket, 'data'))[0])
  if (!/^[23]/.test(answer)) throw new Error(`refused: ${answer}`)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
