/** From the final dot to the arrival at the next hop, one message at a time: what a mail costs when nobody else sends. */
import net from 'node:net'
import type { Peer } from './peer.ts'
import { plainSink } from './plain-sink.ts'

const BODY = `Subject: latency\r\n\r\n${'A line of an ordinary message, nothing special about it.\r\n'.repeat(70)}`

/** Milliseconds for each of `messages`, after a warm-up of a tenth of them. */
export async function measureLatency(peer: Peer, messages: number): Promise<readonly number[]> {
  let arrived: (() => void) | undefined
  const sink = await plainSink({ onMail: () => arrived?.() })
  const running = await peer.start(sink.port)
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
    sink.stop()
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
