/** A wire with somebody listening: hands on what both ends say, and keeps what the client says, byte by byte. */
import { once } from 'node:events'
import net from 'node:net'
import { onTestFinished } from 'vitest'

export interface WireTap {
  /** Where the client has to connect. */
  readonly port: number
  /** What the client said on each connection, in the order they were made. Latin-1. */
  heard(): readonly string[]
}

/** Starts one before the server on a port of loopback. It is ended with the test. */
export async function wireTap(serverPort: number): Promise<WireTap> {
  const connections: Buffer[][] = []
  const open = new Set<net.Socket>()
  const tap = net.createServer((client) => {
    const chunks: Buffer[] = []
    connections.push(chunks)
    const server = net.connect(serverPort, '127.0.0.1')
    for (const socket of [client, server]) {
      open.add(socket)
      // Whatever becomes of one end becomes of the other.
      socket.on('error', () => undefined)
      socket.on('close', () => {
        open.delete(socket)
        client.destroy()
        server.destroy()
      })
    }
    client.on('data', (chunk: Buffer) => chunks.push(chunk))
    client.pipe(server)
    server.pipe(client)
  })
  tap.listen(0, '127.0.0.1')
  await once(tap, 'listening')
  onTestFinished(async () => {
    tap.close()
    for (const socket of open) socket.destroy()
    await once(tap, 'close')
  })
  return {
    port: (tap.address() as net.AddressInfo).port,
    heard: () => connections.map((chunks) => Buffer.concat(chunks).toString('latin1')),
  }
}

export interface HeardMessage {
  readonly mail: string
  readonly recipients: readonly string[]
  /** As it was sent: dots are stuffed. */
  readonly data: string
}

/** The messages in what a client said, read as strictly as RFC 5321 has it: only CRLF ends a line, only CRLF.CRLF a message. */
export function heardMessages(said: string): readonly HeardMessage[] {
  const messages: HeardMessage[] = []
  let rest = said
  let mail = ''
  let recipients: string[] = []
  for (;;) {
    const end = rest.indexOf('\r\n')
    if (end < 0) return messages
    const line = rest.slice(0, end)
    rest = rest.slice(end + 2)
    if (/^MAIL /i.test(line)) {
      mail = line
      recipients = []
    } else if (/^RCPT /i.test(line)) recipients.push(line)
    else if (/^DATA$/i.test(line)) {
      const over = rest.startsWith('.\r\n') ? 0 : rest.indexOf('\r\n.\r\n') + 2
      messages.push({ mail, recipients, data: rest.slice(0, over) })
      rest = rest.slice(over + 3)
    }
  }
}
