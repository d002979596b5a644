/** A line between a store and its server that loses answers, or is cut, when the test says so. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export interface LossyLine {
  /** Where the store is to connect. */
  readonly path: string
  /** From now on what the server says does not arrive. */
  loseAnswers(): void
  /** Cuts all connections; new ones are whole. */
  cut(): void
  /** Cuts all connections, and takes no new ones until it is mended. */
  tear(): Promise<void>
  mend(): Promise<void>
}

/** A line to the server at `target`. */
export async function lossyLine(target: string): Promise<LossyLine> {
  const path = `${target}-line`
  const sockets = new Set<Socket>()
  let losing = false
  const server: Server = createServer((client) => {
    const upstream = connect(target)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream)
    upstream.on('data', (bytes) => {
      if (!losing) client.write(bytes)
    })
  })
  const listen = (): Promise<void> => new Promise((resolve) => server.listen(path, resolve))
  const stop = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
  const cut = (): void => {
    losing = false
    for (const socket of sockets) socket.destroy()
  }
  await listen()
  onTestFinished(async () => {
    cut()
    if (server.listening) await stop()
  })
  return {
    path,
    cut,
    loseAnswers: () => {
      losing = true
    },
    tear: async () => {
      const stopped = stop()
      cut()
      await stopped
    },
    mend: listen,
  }
}
