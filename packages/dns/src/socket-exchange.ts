/**
 * Questions by UDP and TCP sockets. Each question has a socket of its own, so that its port is as hard to guess as the
 * system makes it (RFC 5452 §9.2), and the socket is connected, so that only the server asked is heard.
 */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { createConnection, type Socket } from 'node:net'
import type { Exchange } from './name-server.ts'

export const socketExchange: Exchange = (server, question, way, receive, call) =>
  way === 'udp' ? byDatagram(server, question, receive, call) : byStream(server, question, receive, call)

type By = (
  server: Parameters<Exchange>[0],
  question: Uint8Array,
  receive: Parameters<Exchange>[3],
  call: Parameters<Exchange>[4],
) => Promise<void>

const byDatagram: By = ({ host, port }, question, receive, { signal }) =>
  new Promise((resolve, reject) => {
    const socket: DatagramSocket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', abort)
      socket.removeAllListeners()
      // What the system still says of a socket that is closing is nobody's matter.
      socket.on('error', () => {})
      socket.close()
      settle()
    }
    const abort = (): void => end(() => reject(signal.reason))
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    socket.on('error', (error) => end(() => reject(error)))
    socket.on('message', (bytes) => {
      if (receive(bytes) === 'accepted') end(resolve)
    })
    socket.connect(port, host, () => socket.send(question))
  })

/** Each message has its length before it (RFC 1035 §4.2.2). */
const byStream: By = ({ host, port }, question, receive, { signal }) =>
  new Promise((resolve, reject) => {
    const socket: Socket = createConnection({ host, port, noDelay: true })
    let came: Buffer = Buffer.alloc(0)
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      settle()
    }
    const abort = (): void => end(() => reject(signal.reason))
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    socket.on('error', (error) => end(() => reject(error)))
    socket.on('close', () => end(() => reject(new Error('the name server hung up'))))
    socket.on('data', (bytes: Buffer) => {
      came = Buffer.concat([came, bytes])
      while (came.length >= 2 && came.length >= 2 + came.readUInt16BE(0)) {
        const message = came.subarray(2, 2 + came.readUInt16BE(0))
        came = came.subarray(2 + message.length)
        if (receive(message) === 'accepted') return end(resolve)
      }
    })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(question.length)
    socket.write(Buffer.concat([length, question]))
  })
