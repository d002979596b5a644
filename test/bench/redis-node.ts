/** One node of a shared queue, for `mailwright run`: where its server and its next hop are comes by the environment. */
import { redisStore } from '@mailwright/redis'
import { type RelayServer, relayServer } from 'mailwright'

function server(): RelayServer {
  return relayServer({
    hostname: 'bench.example.org',
    listen: { host: '127.0.0.1', port: Number(process.env.BENCH_PORT) },
    nextHop: `127.0.0.1:${process.env.BENCH_NEXT_HOP}`,
    store: redisStore({ connection: { path: process.env.BENCH_REDIS! }, name: 'bench' }),
  })
}

// biome-ignore lint/style/noDefaultExport: it is what `mailwright run` asks for.
export default server
