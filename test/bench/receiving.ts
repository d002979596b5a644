/**
 * How fast one message of 30 MB is received by a listener whose transport throws it away: plain, with a dot at the
 * start of every tenth line, of every line, and as one chunk; beside smtp-server as it comes.
 *
 *   node test/bench/receiving.ts [runs]
 *
 * Prints the medians. Ends with 1 when ours takes a plain body at less than 100 MB/s, or one whose every line begins
 * with a dot at less than half the speed of a plain one.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'

const runs = Number(process.argv[2] ?? 7)
const SIZE = 30_000_000
const LEAST = 100
const LINE = 'A line of an ordinary message, nothing special about it, and 78 octets long.\r\n'

/** A message of `SIZE` octets on the wire, of which every `dotted`-th line begins with a stuffed dot. */
function stuffed(dotted: number): Buffer {
  const count = Math.floor(SIZE / LINE.length)
  const lines = Array.from({ length: count }, (_, line) => (line % dotted === 0 ? `..${LINE.slice(2)}` : LINE))
  return Buffer.from(`Subject: large\r\n\r\n${lines.join('')}`, 'latin1')
}

interface Dialogue {
  readonly name: string
  /** Only ours. */
  readonly chunked?: true
  readonly body: Buffer
}

const dialogues: readonly Dialogue[] = [
  { name: 'plain', body: stuffed(Number.POSITIVE_INFINITY) },
  { name: 'every tenth line stuffed', body: stuffed(10) },
  { name: 'every line stuffed', body: stuffed(1) },
  { name: 'one chunk (BDAT)', body: stuffed(Number.POSITIVE_INFINITY), chunked: true },
]

const servers = [
  { name: 'Mailwright', stock: false },
  { name: 'smtp-server', stock: true },
].map((server) => ({ ...server, child: fork(join(import.meta.dirname, 'receiving-server.ts'), [server.name]) }))
const ports = await Promise.all(servers.map(async ({ child }) => Number((await once(child, 'message'))[0])))

const speeds = new Map<string, number>()
for (const dialogue of dialogues) {
  const rates = new Map<string, number[]>()
  for (let run = -1; run < runs; run++) {
    for (const [index, { name, stock }] of servers.entries()) {
      if (stock && dialogue.chunked) continue
      const rate = await receive(ports[index]!, dialogue)
      // The first run warms up.
      if (run >= 0) rates.set(name, [...(rates.get(name) ?? []), rate])
    }
  }
  for (const [name, all] of rates) {
    const middle = all.sort((a, b) => a - b)[Math.floor(all.length / 2)]!
    speeds.set(`${name} ${dialogue.name}`, middle)
    console.log(`${name.padEnd(12)} ${dialogue.name.padEnd(25)} ${middle.toFixed(0).padStart(5)} MB/s`)
  }
}
for (const { child } of servers) child.disconnect()

const plain = speeds.get('Mailwright plain')!
const dotted = speeds.get('Mailwright every line stuffed')!
console.log(`stuffed at ${(dotted / plain).toFixed(2)} of the speed of plain`)
process.exit(plain >= LEAST && dotted >= plain / 2 ? 0 : 1)

/** MB/s from the first octet of the message to the reply after the last. */
async function receive(port: number, { body, chunked }: Dialogue): Promise<number> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'data')
  await ask(socket, 'EHLO sender.example\r\n')
  await ask(socket, 'MAIL FROM:<ann@example.net>\r\n')
  await ask(socket, 'RCPT TO:<bob@example.org>\r\n')
  if (!chunked) await ask(socket, 'DATA\r\n')
  const begin = performance.now()
  if (chunked) socket.write(`BDAT ${body.length} LAST\r\n`)
  socket.write(body)
  const reply = await ask(socket, chunked ? '' : '.\r\n')
  const took = performance.now() - begin
  socket.destroy()
  if (!reply.startsWith('250')) throw new Error(`not taken: ${reply}`)
  return body.length / 1_000 / took
}

async function ask(socket: Socket, text: string): Promise<string> {
  if (text !== '') socket.write(text)
  const reply = String((await once(socket, 'data'))[0])
  if (!/^[23]/.test(reply)) throw new Error(`refused: ${reply}`)
  return reply
}
