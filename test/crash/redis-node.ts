/** One node of a shared queue, for `mailwright run`: where its server and its next hop are comes by the environment. */
import { retryByAge } from '@mailwright/queue'
import { redisStore } from '@mailwright/redis'
import { type RelayServer, relayServer } from 'mailwright'

function server(): RelayServer {
  return relayServer({
    hostname: 'relay.crash.example',
    listen: { host: '127.0.0.1', port: 0 },
    nextHop: `127.0.0.1:${process.env.CRASH_NEXT_HOP}`,
    store: redisStore({
      connection: { path: process.env.CRASH_REDIS! },
      name: 'crash',
      node: process.env.CRASH_NODE!,
      patienceMs: 2_000,
    }),
    // Short, so that what a dead node had in hand does not keep the test.
    queue: { lease: '3s', retry: retryByAge('1s', '2s'), deadFor: '1s' },
  })
}

// biome-ignore lint/style/noDefaultExport: it is what `mailwright run` asks for.
export default server
