/**
 * The next hop: the smallest SMTP server that will do, with moods. It shares no code with the server under test and
 * checks of every message that it came whole. What it has answered with 250 it has recorded.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { type Random, randomInt } from '@mailwright/core'
import { readLetter } from '../support/letter.ts'

/** `slow` thinks before it takes a message, `refusing` takes every second one, `shut` takes no message at all. */
export type Mood = 'healthy' | 'slow' | 'refusing' | 'shut'

export interface Sink {
  readonly port: number
  /** How often each Message-ID was received. */
  readonly received: ReadonlyMap<string, number>
  /** Messages that are not as their sender wrote them. */
  readonly corrupt: readonly string[]
  mood: Mood
  close(): Promise<void>
}

const END_OF_DATA = Buffer.from('\r\n.\r\n')
const SLOW_MS = 40

export async function startSink(random: Random): Promise<Sink> {
  const received = new Map<string, number>()
  const corrupt: string[] = []
  const sockets = new Set<Socket>()

  /** The answer to a whole message. */
  function take(message: Buffer): string {
    if (sink.mood === 'shut' || (sink.mood === 'refusing' && randomInt(random, 2) === 0)) return '451 4.7.1 not now'
    const { id, intact } = readLetter(message)
    if (id === undefined || !intact) corrupt.push(`${id} of ${message.length} bytes`)
    else received.set(id, (received.get(id) ?? 0) + 1)
    return '250 2.0.0 taken'
  }

  function serve(socket: Socket): void {
    sockets.add(socket)
    let bytes: Buffer = Buffer.alloc(0)
    let pieces: Buffer[] = []
    let inData = false
    let thinking = false
    const say = (line: string): void => void socket.write(`${line}\r\n`)
    const command = (line: string): void => {
      const verb = line.slice(0, 4).toUpperCase()
      if (verb === 'EHLO') say('250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME')
      else if (verb === 'DATA') {
        inData = true
        say('354 go on')
      } else if (verb === 'QUIT') socket.end('221 2.0.0 bye\r\n')
      else say('250 2.0.0 ok')
    }
    const work = (): void => {
      if (thinking) return
      bytes = Buffer.concat([bytes, ...pieces])
      pieces = []
      while (!thinking) {
        const end = inData ? endOfData() : bytes.indexOf('\r\n')
        if (end < 0) return
        if (inData) {
          const message = bytes.subarray(0, end).toString('latin1').replace(/^\.\./gm, '.')
          bytes = bytes.subarray(end + 3)
          inData = false
          answer(Buffer.from(message, 'latin1'))
        } else {
          const line = bytes.toString('latin1', 0, end)
          bytes = bytes.subarray(end + 2)
          command(line)
        }
      }
    }
    /** Where the final dot is. */
    const endOfData = (): number => {
      if (bytes.subarray(0, 3).toString('latin1') === '.\r\n') return 0
      const end = bytes.indexOf(END_OF_DATA)
      return end < 0 ? -1 : end + 2
    }
    const answer = (message: Buffer): void => {
      if (sink.mood !== 'slow') {
        say(take(message))
        return
      }
      thinking = true
      setTimeout(
        () => {
          thinking = false
          if (socket.destroyed) return
          say(take(message))
          work()
        },
        randomInt(random, SLOW_MS),
      )
    }
    socket.on('data', (chunk) => {
      pieces.push(chunk)
      // Looked at once there is a chance that something is whole: a large message is not searched for every chunk.
      if (!inData || chunk.includes('\n')) work()
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    say('220 sink.example')
  }

  const server: Server = createServer({ noDelay: true }, serve).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const sink: Sink = {
    port: (server.address() as { readonly port: number }).port,
    received,
    corrupt,
    mood: 'healthy',
    close(): Promise<void> {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return sink
}
