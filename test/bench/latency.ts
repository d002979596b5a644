/** From the final dot to the arrival at the next hop, one message at a time: what a mail costs when nobody else sends. */
import { once } from 'node:events'
import net from 'node:net'
import type { Peer } from './peer.ts'

const BODY = `Subject: latency\r\n\r\n${'A line of an ordinary message, nothing special about it.\r\n'.repeat(70)}`

/** Milliseconds for each of `messages`, after a warm-up of a tenth of them. */
export async function measureLatency(peer: Peer, messages: number): Promise<readonly number[]> {
  let arrived: (() => void) | undefined
  const server = net.createServer((socket) => serve(socket, () => arrived?.()))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const running = await peer.start((server.address() as net.AddressInfo).port)
  const client = net.connect({ port: running.port, host: '127.0.0.1', noDelay: true })
  const answers = replies(client)
  const times: number[] = []
  try {
    await answers()
    await command('EHLO bench')
    const warmUp = Math.ceil(messages / 10)
    for (let index = -warmUp; index < messages; index++) {
      await command('MAIL FROM:<sender@example.com>')
      await command('RCPT TO:<recipient@example.net>')
      await command('DATA')
      const arrival = new Promise<void>((resolve) => (arrived = resolve))
      const begin = performance.now()
      client.write(`${BODY}.\r\n`)
      await arrival
      if (index >= 0) times.push(performance.now() - begin)
      await answers()
    }
    return times
  } finally {
    client.destroy()
    await running.stop()
    server.close()
  }

  async function command(line: string): Promise<void> {
    client.write(`${line}\r\n`)
    const answer = await answers()
    if (!/^[23]/.test(answer)) throw new Error(`${line}: ${answer}`)
  }
}

/** Reads one reply after another, waiting for lines that are not there yet. */
function replies(socket: net.Socket): () => Promise<string> {
  let buffer = ''
  let wake: (() => void) | undefined
  socket.on('data', (data: Buffer) => {
    buffer += data.toString('latin1')
    wake?.()
  })
  return async () => {
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(buffer)
      if (match !== null) {
        buffer = buffer.slice(match[0].length)
        return match[0]
      }
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
}

/** A next hop that answers 250 to everything, with PIPELINING. */
function serve(socket: net.Socket, arrived: () => void): void {
  let buffer = ''
  let data = false
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  socket.write('220 sink ESMTP\r\n')
  socket.on('data', (chunk: Buffer) => {
    buffer += chunk.toString('latin1')
    let answer = ''
    for (;;) {
      const end = data ? buffer.indexOf('\r\n.\r\n') : buffer.indexOf('\r\n')
      if (end < 0) break
      const line = buffer.slice(0, end)
      buffer = buffer.slice(end + (data ? 5 : 2))
      if (data) {
        data = false
        arrived()
        answer += '250 2.0.0 Ok\r\n'
      } else if (/^EHLO/i.test(line)) answer += '250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n'
      else if (/^DATA/i.test(line)) {
        data = true
        answer += '354 go\r\n'
      } else if (/^QUIT/i.test(line)) answer += '221 bye\r\n'
      else answer += '250 2.0.0 Ok\r\n'
    }
    if (answer !== '') socket.write(answer)
  })
}
