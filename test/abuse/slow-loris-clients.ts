/** So many clients that send one byte at a time, of commands that never end or messages that hardly grow. */
import type { Socket } from 'node:net'
import { greetedSocket } from './crowd.ts'

const [port, count] = [Number(process.argv[2]), Number(process.argv[3])]
/** Between two bytes of a client. */
const PAUSE_MS = 500

const clients: Socket[] = []
while (clients.length < count) {
  clients.push(...(await Promise.all(Array.from({ length: 50 }, () => greetedSocket(port)))))
}
for (const [index, client] of clients.entries()) {
  client.resume()
  if (index % 2 === 0)
    client.write('EHLO slow.example\r\nMAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n')
  setTimeout(() => setInterval(() => client.write('x'), PAUSE_MS), (PAUSE_MS * index) / count)
}
process.on('disconnect', () => process.exit(0))
process.send?.('ready')
