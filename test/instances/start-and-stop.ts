/**
 * Starts two servers, gives them something to do that they cannot finish, stops them, and says what is left. Nothing ends
 * this program but the lack of anything to wait for.
 */
import { mkdirSync, readdirSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { lmdbStore } from '@mailwright/store-lmdb'
import { rawClient } from '../support/raw-client.ts'
import { place } from './server.ts'

const directory = process.argv[2]!
// Another host that takes connections and says nothing: attempts that are under way when the servers stop.
const mute = createServer(() => {}).listen(0, '127.0.0.1')
await new Promise((resolve) => mute.once('listening', resolve))
const nextHop = `[127.0.0.1]:${(mute.address() as { readonly port: number }).port}`

const servers = ['north', 'south'].map((name) => {
  const mail = join(directory, name)
  mkdirSync(mail)
  return {
    name,
    ...place({ name, mail, nextHop, store: lmdbStore({ directory: join(mail, 'spool'), mapSize: 2 ** 26 }) }),
  }
})
const never = new AbortController().signal
let acknowledged = 0
for (const { name, mta, listener } of servers) {
  await mta.start()
  const client = rawClient(await mta.environment.net.connect(listener.address, { signal: never }))
  await client.reply()
  for (const recipient of [`ann@${name}.example`, 'bob@elsewhere.example'])
    client.send(
      `HELO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<${recipient}>\r\nDATA\r\nSubject: hi\r\n\r\nhi\r\n.\r\n`,
    )
  for (let count = 0; count < 10; count++) if ((await client.reply())?.includes('queued as')) acknowledged++
  // And one who stalls within a message; nobody hangs up.
  client.send('MAIL FROM:<>\r\nRCPT TO:<bob@elsewhere.example>\r\nDATA\r\nSubject: ha')
  for (let count = 0; count < 3; count++) await client.reply()
}
await Promise.all(servers.map(({ mta }) => mta.stop()))
mute.close()
const failures = servers.flatMap(({ events }) => events.filter(({ type }) => type === 'failure'))
// Whatever closes does so in the next rounds of the loop.
await new Promise((resolve) => setTimeout(resolve, 100))
console.log(JSON.stringify({ acknowledged, failures, resources: resources(), files: openFiles() }))

/** What keeps or could keep the process alive, but for the pipes it was started with. */
function resources(): readonly string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind !== 'PipeWrap')
}

/** Files of the servers that are still open. */
function openFiles(): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${descriptor}`)
      return path.startsWith(directory) ? [path] : []
    } catch {
      // The descriptor of the listing itself.
      return []
    }
  })
}
