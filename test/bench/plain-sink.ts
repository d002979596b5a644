/** A next hop in this process that answers 250 to everything, with PIPELINING, and can be as far away as is wanted. */
import { once } from 'node:events'
import net from 'node:net'

export interface PlainSink {
  readonly port: number
  /** Connections that are open. */
  readonly connections: number
  stop(): void
}

export interface PlainSinkOptions {
  /** Called for each message, with its sender, at its final dot. */
  readonly onMail: (sender: string) => void
  /** How long each batch of replies is held back, ms. Default 0: not at all. */
  readonly delayMs?: number
}

export async function plainSink(options: PlainSinkOptions): Promise<PlainSink> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serve(socket, options)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    get connections() {
      return sockets.size
    },
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function serve(socket: net.Socket, { onMail, delayMs = 0 }: PlainSinkOptions): void {
  let buffer = ''
  let sender = ''
  let data = false
  const say = (text: string): void => {
    if (delayMs === 0) socket.write(text)
    else setTimeout(() => socket.writable && socket.write(text), delayMs)
  }
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  say('220 sink ESMTP\r\n')
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
        onMail(sender)
        answer += '250 2.0.0 Ok\r\n'
      } else if (/^EHLO/i.test(line)) answer += '250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n'
      else if (/^DATA/i.test(line)) {
        data = true
        answer += '354 go\r\n'
      } else if (/^QUIT/i.test(line)) answer += '221 bye\r\n'
      else {
        sender = /^MAIL FROM:<([^>]*)>/i.exec(line)?.[1] ?? sender
        answer += '250 2.0.0 Ok\r\n'
      }
    }
    if (answer !== '') say(answer)
  })
}
