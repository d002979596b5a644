/** A real server in a folder of its own and on a socket of its own. It never sees another one's data. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PROGRAM = 'redis-server'
const isInstalled = spawnSync(PROGRAM, ['--version']).status === 0

/** Why tests with a real server are skipped; undefined when they run. Where they must run, they fail instead. */
export const WITHOUT_SERVER: string | undefined =
  isInstalled || process.env.MAILWRIGHT_REQUIRE_INTEROP !== undefined ? undefined : `${PROGRAM} is not installed`

export interface RedisServer {
  /** The process, while there is one. */
  pid(): number | undefined
  /** Where it listens. */
  readonly path: string
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>
  /** Starts it again on what it kept. */
  start(): Promise<void>
  /** Makes it say nothing until it is continued. */
  pause(): void
  resume(): void
}

export interface ServerOptions {
  /** Settings as on the command line, without the dashes. */
  readonly settings?: Readonly<Record<string, string | readonly string[]>>
}

export interface LaunchedServer extends RedisServer {
  /** Kills it and removes its folder. */
  readonly dispose: () => Promise<void>
}

/** Starts a server, without persistence unless the settings say otherwise. Its caller disposes of it. */
export async function launch({ settings = {} }: ServerOptions = {}): Promise<LaunchedServer> {
  const directory = await mkdtemp(join(tmpdir(), 'mailwright-redis-'))
  const path = join(directory, 'socket')
  const all = { port: '0', unixsocket: path, dir: directory, save: '', appendonly: 'no', ...settings }
  let child: ChildProcess | undefined
  const start = async (): Promise<void> => {
    const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, ...[value].flat()])
    child = spawn(PROGRAM, args, { stdio: 'ignore' })
    await answering(path)
  }
  const kill = async (): Promise<void> => {
    const running = child
    child = undefined
    if (running === undefined) return
    const ended = new Promise((resolve) => running.once('exit', resolve))
    running.kill('SIGCONT')
    running.kill('SIGKILL')
    await ended
  }
  const dispose = async (): Promise<void> => {
    await kill()
    await rm(directory, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    path,
    pid: () => child?.pid,
    start,
    kill,
    dispose,
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
  }
}

/** Resolves when the server answers PING and has loaded what it kept. */
async function answering(path: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await isAnswering(path)) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('the server does not start')
}

function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.write('PING\r\n'))
    socket.once('data', (answer) => {
      socket.destroy()
      resolve(/^(?:\+PONG|-NOAUTH)/.test(answer.toString()))
    })
    socket.once('error', () => resolve(false))
  })
}
