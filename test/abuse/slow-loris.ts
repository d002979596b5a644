/**
 * A thousand clients that send a byte now and then, and what that means for a good one: `node test/abuse/slow-loris.ts [clients]`.
 * Prints its figures as one JSON object. Ends with 1 when the good client's messages take more than twice as long.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { crowdServer, timeMessages } from './crowd.ts'

const wanted = process.argv[2] ?? '1000'
const MESSAGES = 500

const server = await crowdServer()
await timeMessages(server.port, 300)
const alone = await timeMessages(server.port, MESSAGES)
const crowd = fork(join(import.meta.dirname, 'slow-loris-clients.ts'), [String(server.port), wanted])
await once(crowd, 'message')
await pause(1_000)
const among = await timeMessages(server.port, MESSAGES)
const { connections, rss } = await server.figures()
crowd.disconnect()
server.stop()

console.log(
  JSON.stringify({ slow: connections, rss, alone, among, factor: Number((among.p50 / alone.p50).toFixed(2)) }),
)
process.exit(among.p50 < 2 * alone.p50 ? 0 : 1)
