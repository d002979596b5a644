/**
 * Ten thousand connections that do nothing, and one that brings a message:
 * `bash -c 'ulimit -n 16000 && node test/abuse/idle-connections.ts [connections]'`. Prints its figures as one JSON object. Ends with 1
 * when the server takes more than 400 MB, or the message more than 50 ms.
 */
import type { Socket } from 'node:net'
import { crowdServer, greetedSocket, timeMessages } from './crowd.ts'

const wanted = Number(process.argv[2] ?? 10_000)
const MOST_RSS = 400
const MOST_MS = 50
/** Connected at a time. */
const BATCH = 100

const server = await crowdServer()
await timeMessages(server.port, 100)
const before = await server.figures()
const idle: Socket[] = []
while (idle.length < wanted) {
  const batch = Array.from({ length: Math.min(BATCH, wanted - idle.length) }, () => greetedSocket(server.port))
  idle.push(...(await Promise.all(batch)))
}
const during = await server.figures()
const message = await timeMessages(server.port, 50)
for (const socket of idle) socket.destroy()
server.stop()

console.log(
  JSON.stringify({
    idle: during.connections,
    stressed: during.stressed,
    rssBefore: before.rss,
    rss: during.rss,
    kilobytesEach: Number((((during.rss - before.rss) * 1_024) / wanted).toFixed(1)),
    message,
  }),
)
process.exit(during.connections >= wanted && during.rss < MOST_RSS && message.p50 < MOST_MS ? 0 : 1)
