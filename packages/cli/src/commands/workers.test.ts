import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { workerCount } from '../serve.ts'
import { mailwright, server, temporaryFolder } from '../test-support/command-line.ts'
import { sendMail } from '../test-support/send-mail.ts'

const MAILWRIGHT = fileURLToPath(new URL('../../../mailwright/src/index.ts', import.meta.url))
/** A program that greets as the worker it is. */
const PROGRAM = `
  import { acceptAll, createMta, discardTransport, mailIntake, smtpListener } from ${JSON.stringify(MAILWRIGHT)}
  export default ({ index, count }: { index: number; count: number }) => {
    const hostname = 'w' + index + 'of' + count + '.example.org'
    const mta = createMta()
    const intake = mta.use(mailIntake({ hostname, transport: discardTransport(), policies: [acceptAll()] }))
    mta.use(smtpListener({ intake, host: '127.0.0.1', port: 0 }))
    return mta
  }`
const HERE = '127.0.0.1:0'
/** Several processes start more slowly than one. */
const PATIENCE_MS = 60_000
const TEXT = 'Subject: shared\r\n\r\nbody\r\n'

/** Somebody else on a port of loopback, who never says anything. */
async function silentHost(): Promise<number> {
  const somebody = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => somebody.once('listening', resolve))
  onTestFinished(() => void somebody.close())
  return (somebody.address() as { readonly port: number }).port
}

/** What a server says first. */
async function greeting(port: number): Promise<string> {
  const visitor = connect(port, '127.0.0.1')
  const [line] = (await once(visitor, 'data')) as [Buffer]
  visitor.destroy()
  return line.toString()
}

/** Whether anybody listens there. */
function knock(port: number): Promise<'answered' | 'refused'> {
  return new Promise((resolve) => {
    const visitor = connect(port, '127.0.0.1')
    visitor.once('error', () => resolve('refused'))
    visitor.once('connect', () => {
      visitor.destroy()
      resolve('answered')
    })
  })
}

/** The processes that a process has started (Linux). */
function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

interface Line {
  readonly worker?: number
  readonly msg: string
}

/** The log, line by line: all of it is JSON but for what is said to people. */
function logOf(stderr: string): readonly Line[] {
  return stderr
    .split('\n')
    .flatMap((line) => (line === '' || line.startsWith('mailwright: ') ? [] : [JSON.parse(line)]))
}

describe('a number of workers', () => {
  it.each(['1', '4', '64'])('may be %s', (count) => {
    expect(workerCount(count)).toBe(Number(count))
  })

  it.each(['0', '-1', 'two', '65', '1.5', ''])('is not "%s"', (count) => {
    expect(() => workerCount(count)).toThrow(`--workers wants a number from 1 to 64, not "${count}"`)
  })
})

describe('a program of the host', { timeout: PATIENCE_MS }, () => {
  it('runs in several processes, and each knows which it is', async () => {
    const file = join(temporaryFolder(), 'host.ts')
    writeFileSync(file, PROGRAM)
    const running = await server(['run', file, '--workers', '2'])
    const greetings = [await greeting(running.port), await greeting(running.port)]
    expect(greetings.map((line) => line.split(' ')[1]).sort()).toEqual(['w0of2.example.org', 'w1of2.example.org'])
    expect((await running.stop()).code).toBe(0)
  })
})

describe('a relay with workers', { timeout: PATIENCE_MS }, () => {
  it('listens once, spreads its clients over all of them, and shows one queue', async () => {
    const spool = join(temporaryFolder(), 'spool')
    const relay = await server(
      ['relay', '--listen', HERE, '--next-hop', '127.0.0.1:9', '--spool', spool, '--workers', '3'],
      1,
    )
    const subjects = ['bob@example.net', 'eve@example.net', 'zoe@example.com']
    for (const address of subjects) await sendMail(relay.port, TEXT, [address])
    const { stdout } = await mailwright('queue', 'list', '--spool', spool, '--json')
    const listed = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(listed.map(({ recipients: [only] }) => only.address).sort()).toEqual(subjects)
    const removed = await mailwright('queue', 'remove', '--all', '--spool', spool, '--json')
    expect(removed.stdout).toBe('{"removed":3}\n')

    const { code, stderr } = await relay.stop()
    expect(code).toBe(0)
    expect(stderr.match(/^mailwright: .*$/gm)).toEqual([`mailwright: listening on smtp://127.0.0.1:${relay.port}`])
    const accepted = logOf(stderr).filter(({ msg }) => msg === 'message.accepted')
    expect(accepted.map(({ worker }) => worker).sort()).toEqual([0, 1, 2])
  })

  it('ends at once at a second signal', async () => {
    const spool = join(temporaryFolder(), 'spool')
    const nextHop = `127.0.0.1:${await silentHost()}`
    const relay = await server(
      ['relay', '--listen', HERE, '--next-hop', nextHop, '--spool', spool, '--workers', '2'],
      1,
    )
    // An attempt at a host that says nothing keeps its worker from ending in order.
    await sendMail(relay.port, TEXT)
    const ended = relay.stop()
    await vi.waitUntil(async () => (await knock(relay.port)) === 'refused', { timeout: 9_000 })
    relay.child.kill('SIGTERM')
    expect((await ended).code).toBe(143)
  })

  it('is gone with all of its workers when the first process is killed', async () => {
    const spool = join(temporaryFolder(), 'spool')
    const args = ['--listen', HERE, '--next-hop', '127.0.0.1:9', '--spool', spool, '--workers', '2']
    const relay = await server(['relay', ...args])
    await sendMail(relay.port, TEXT)
    relay.child.kill('SIGKILL')
    await relay.stop()
    // Nobody owns a shard any more, and what was acknowledged is there.
    const again = await server(['relay', ...args])
    const { stdout } = await mailwright('queue', 'list', '--spool', spool, '--json')
    expect(stdout.trim().split('\n')).toHaveLength(1)
    expect((await again.stop()).code).toBe(0)
  })

  it.runIf(process.platform === 'linux')(
    'ends with all of its workers at a second Ctrl-C, which reaches all of them',
    async () => {
      const spool = join(temporaryFolder(), 'spool')
      const nextHop = `127.0.0.1:${await silentHost()}`
      const relay = await server(['relay', '--listen', HERE, '--next-hop', nextHop, '--spool', spool, '--workers', '2'])
      await sendMail(relay.port, TEXT)
      const all = [relay.child.pid!, ...childrenOf(relay.child.pid!)]
      const interrupt = (): void => {
        for (const pid of all) process.kill(pid, 'SIGINT')
      }
      interrupt()
      await vi.waitUntil(async () => (await knock(relay.port)) === 'refused', { timeout: 9_000 })
      const ended = new Promise((resolve) => relay.child.once('close', resolve))
      for (const pid of all.filter(isAlive)) process.kill(pid, 'SIGINT')
      // Nobody is left who could hold its output open.
      expect(await ended).toBe(130)
    },
  )

  it('says in one line what keeps its workers from starting', async () => {
    const spool = join(temporaryFolder(), 'spool')
    const taken = await silentHost()
    const result = await mailwright(
      ...['relay', '--listen', `127.0.0.1:${taken}`, '--next-hop', '127.0.0.1:9', '--spool', spool],
      ...['--workers', '2', '--log-level', 'silent'],
    )
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(/^mailwright: [^\n]*EADDRINUSE[^\n]*\n$/)
  })
})
