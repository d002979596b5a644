import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/** A TCP port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Waits until a server greets with 220. */
export async function greeted(port: number, patienceMs = 30_000): Promise<void> {
  const end = Date.now() + patienceMs
  while (!(await greets(port))) {
    if (Date.now() > end) throw new Error(`nobody greets on port ${port}`)
    await pause(50)
  }
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (data: Buffer) => end(data.toString().startsWith('220')))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
  })
}
