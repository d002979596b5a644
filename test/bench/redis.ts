/**
 * What nodes relay that share a queue on Redis: messages a second, and the CPU each message costs the nodes and the server.
 * The server syncs its append-only file before every answer.
 *
 *   node test/bench/redis.ts [--messages 8000] [--runs 3] [--nodes 1,2] [--fsync always]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { launch } from '../../packages/redis/src/testing-support/server-process.ts'
import { countingSink } from './counting-sink.ts'
import { freePort, greeted } from './ports.ts'
import { cpuSeconds } from './process-usage.ts'
import { smtpSource } from './throughput.ts'

const MAILWRIGHT = join(import.meta.dirname, '../../node_modules/.bin/mailwright')
const ASSEMBLY = join(import.meta.dirname, 'redis-node.ts')

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '8000' },
    runs: { type: 'string', default: '3' },
    nodes: { type: 'string', default: '1,2' },
    fsync: { type: 'string', default: 'always' },
  },
})
for (let run = 0; run < Number(values.runs); run++)
  for (const nodes of values.nodes.split(',')) await measure(Number(nodes), Number(values.messages))

async function measure(count: number, messages: number): Promise<void> {
  const server = await launch({ settings: { appendonly: 'yes', appendfsync: values.fsync } })
  const sink = await countingSink()
  const nodes: ChildProcess[] = []
  try {
    const ports: number[] = []
    for (let node = 0; node < count; node++) {
      const port = await freePort()
      const env = { BENCH_PORT: String(port), BENCH_NEXT_HOP: String(sink.port), BENCH_REDIS: server.path }
      const args = ['run', ASSEMBLY, '--log-level', 'info']
      nodes.push(spawn(MAILWRIGHT, args, { stdio: 'ignore', env: { ...process.env, ...env } }))
      await greeted(port)
      ports.push(port)
    }
    const pids = nodes.map((node) => node.pid!)
    const cpuOfNodes = cpuSeconds(pids)
    const cpuOfServer = cpuSeconds([server.pid()!])
    const begin = performance.now()
    const share = {
      name: '',
      messages: messages / count,
      size: 4_096,
      sessions: 20 / count,
      connections: 'kept',
    } as const
    await Promise.all(ports.map((port) => smtpSource(share, port)))
    await sink.reached(messages)
    const seconds = (performance.now() - begin) / 1_000
    const perMessage = (cpu: number): string => ((cpu * 1_000) / messages).toFixed(3)
    console.log(
      `${count} node${count === 1 ? '' : 's'}: ${(messages / seconds).toFixed(0)} msg/s, ` +
        `CPU ${perMessage(cpuSeconds(pids) - cpuOfNodes)} ms/msg of the nodes, ` +
        `${perMessage(cpuSeconds([server.pid()!]) - cpuOfServer)} ms/msg of Redis`,
    )
  } finally {
    for (const node of nodes) {
      const ended = once(node, 'exit')
      node.kill('SIGTERM')
      await ended
    }
    await sink.stop()
    await server.dispose()
  }
}
