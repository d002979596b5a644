/** What the measurements with very many clients have in common: the server's process, and a good client to time. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { ServerFigures } from './crowd-server.ts'

export interface CrowdServer {
  readonly port: number
  figures(): Promise<ServerFigures>
  stop(): void
}

/** Starts the server in a process of its own. */
export async function crowdServer(): Promise<CrowdServer> {
  const child: ChildProcess = fork(join(import.meta.dirname, 'crowd-server.ts'))
  const next = async (): Promise<ServerFigures> => (await once(child, 'message'))[0] as ServerFigures
  const { port } = await next()
  return {
    port,
    figures(): Promise<ServerFigures> {
      const answer = next()
      child.send('figures')
      return answer
    },
    stop: () => child.disconnect(),
  }
}

/** Connects, and waits for the greeting. */
export async function greetedSocket(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'data')
  return socket
}

/** How long one message on a connection of its own takes, from EHLO to its 250, in ms. */
export async function timeMessage(port: number): Promise<number> {
  const socket = await greetedSocket(port)
  const begin = performance.now()
  await ask(socket, 'EHLO good.example\r\n')
  await ask(socket, 'MAIL FROM:<ann@example.net>\r\n')
  await ask(socket, 'RCPT TO:<bob@example.org>\r\n')
  await ask(socket, 'DATA\r\n')
  const answer = await ask(socket, `Subject: hello\r\n\r\n${'A line of a message.\r\n'.repeat(180)}.\r\n`)
  const took = performance.now() - begin
  if (!answer.startsWith('250')) throw new Error(`not accepted: ${answer}`)
  socket.destroy()
  return took
}

/** Of so many messages one after the other: the middle one and the slowest of a hundred, in ms. */
export async function timeMessages(
  port: number,
  count: number,
): Promise<{ readonly p50: number; readonly p99: number }> {
  const times: number[] = []
  for (let message = 0; message < count; message++) times.push(await timeMessage(port))
  times.sort((a, b) => a - b)
  const at = (share: number): number => Number(times[Math.min(count - 1, Math.floor(count * share))]!.toFixed(2))
  return { p50: at(0.5), p99: at(0.99) }
}

async function ask(socket: Socket, text: string): Promise<string> {
  socket.write(text)
  return String((await once(socket, 'data'))[0])
}
