/** A name server on the loopback, by UDP and TCP, that says what a test wants it to say. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import {
  type Answer,
  AUTHENTIC_DATA,
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  decode,
  encode,
  RECURSION_AVAILABLE,
  TRUNCATED_RESPONSE,
} from 'dns-packet'

/** What it says to a question. Bytes are sent as they are; undefined: it keeps silent. */
export type Said =
  | {
      readonly answers?: readonly Answer[]
      readonly authorities?: readonly Answer[]
      /** 2 is SERVFAIL, 3 is NXDOMAIN. */
      readonly rcode?: number
      readonly secure?: true
      readonly truncated?: true
      /** Octets sent before the answer, each as a datagram or message of its own. */
      readonly before?: readonly Uint8Array[]
    }
  | Uint8Array
  | undefined

export interface FakeNameServer {
  /** `127.0.0.1:PORT` */
  readonly address: string
  /** `udp A mx.example.org` for each question so far. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

/** Starts it on a free port. */
export async function fakeNameServer(
  say: (type: string, name: string, way: 'udp' | 'tcp', question: DecodedPacket) => Said,
): Promise<FakeNameServer> {
  const asked: string[] = []
  const sockets = new Set<Socket>()
  const replies = (bytes: Buffer, way: 'udp' | 'tcp'): readonly Uint8Array[] => {
    const question = decode(bytes)
    const { type, name } = question.questions![0]!
    asked.push(`${way} ${type} ${name}`)
    const said = say(type, name, way, question)
    if (said === undefined) return []
    if (said instanceof Uint8Array) return [said]
    return [...(said.before ?? []), answer(question, said)]
  }
  const stream = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (bytes: Buffer) => {
      const all = replies(bytes.subarray(2), 'tcp')
      if (all.length === 0) socket.destroy()
      for (const reply of all)
        socket.write(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]))
    })
  }).listen(0, '127.0.0.1')
  await once(stream, 'listening')
  const { port } = stream.address() as { port: number }
  const datagrams = createSocket('udp4')
  datagrams.on('message', (bytes, client) => {
    for (const reply of replies(bytes, 'udp')) datagrams.send(reply, client.port, client.address)
  })
  datagrams.bind(port, '127.0.0.1')
  await once(datagrams, 'listening')
  return {
    address: `127.0.0.1:${port}`,
    asked,
    async close() {
      for (const socket of sockets) socket.destroy()
      stream.close()
      datagrams.close()
      await Promise.all([once(stream, 'close'), once(datagrams, 'close')])
    },
  }
}

/** The octets of an answer to a question. */
export function answer(question: DecodedPacket, said: Exclude<Said, Uint8Array | undefined>): Uint8Array {
  const { answers = [], authorities = [], rcode = 0, secure, truncated } = said
  const flags =
    AUTHORITATIVE_ANSWER |
    RECURSION_AVAILABLE |
    rcode |
    (secure ? AUTHENTIC_DATA : 0) |
    (truncated ? TRUNCATED_RESPONSE : 0)
  return encode({
    type: 'response',
    id: question.id,
    flags,
    questions: question.questions,
    answers: [...answers],
    authorities: [...authorities],
  })
}
