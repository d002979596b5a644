/** A reply that takes responsibility is sent only when the message would survive a power failure: seen in system calls. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type MailwrightProcess, mailwrightProcess } from '../support/mailwright-process.ts'
import { sendBySmtplib } from './clients.ts'
import { missing } from './programs.ts'
import { readTrace, type Step, straceTo, type Unsynced, unsynced } from './system-calls.ts'
import { temporaryFolder } from './temporary-folder.ts'

const SMALL = Buffer.from(`Subject: small\r\n\r\nSMALLMARK ${'x'.repeat(600)}\r\n`)
const LARGE = Buffer.from(`Subject: large\r\n\r\n${`LARGEMARK ${'y'.repeat(70)}\r\n`.repeat(12_800)}`)
const NOTHING: Unsynced = { files: [], names: [] }
const CAN_TRACE = !missing('strace', 'python3')

describe('the relay', () => {
  it.skipIf(!CAN_TRACE)(
    'says 250 to a small message when it is synced in the database',
    async () => {
      const { steps, spool } = await traceRelay(SMALL)
      const { before, during } = untilReceipt(steps)
      expect(during.some((step) => step.kind === 'write' && inDatabase(step, spool) && has(step, 'SMALLMARK'))).toBe(
        true,
      )
      expect(during.some((step) => step.kind === 'synced' && inDatabase(step, spool))).toBe(true)
      expect(unsynced(before, join(spool, 'queue')).files).toEqual([])
    },
    60_000,
  )

  it.skipIf(!CAN_TRACE)(
    'says 250 to a large message when its file, the name of the file, and the record that names it are synced',
    async () => {
      const { steps, spool } = await traceRelay(LARGE)
      const { before, during } = untilReceipt(steps)
      const bodies = join(spool, 'bodies')
      expect(during.some((step) => step.kind === 'write' && inside(step, bodies) && has(step, 'LARGEMARK'))).toBe(true)
      expect(during.filter((step) => step.kind === 'name' && /\/[0-9a-f]{2}\/\w+~/.test(step.path))).toHaveLength(1)
      expect(unsynced(during, bodies)).toEqual(NOTHING)
      expect(unsynced(before, join(spool, 'queue')).files).toEqual([])
      // The record is written last: a record must never be on the disk without its file.
      const lastBodySync = during.findLastIndex((step) => step.kind === 'synced' && inside(step, bodies))
      const recordSync = during.findLastIndex((step) => step.kind === 'sync began' && inDatabase(step, spool))
      expect(lastBodySync).toBeGreaterThan(-1)
      expect(recordSync).toBeGreaterThan(lastBodySync)
    },
    60_000,
  )

  it.skipIf(!CAN_TRACE)(
    'says 250 in a new spool when the names of the spool, its folders and its database are synced',
    async () => {
      const { steps, spool } = await traceRelay(SMALL)
      const { before } = untilReceipt(steps)
      // The lock, the owner's socket and the file that wakes the owner are made anew where they are missing.
      const lasting = [spool, join(spool, 'queue'), join(spool, 'queue/data.mdb'), join(spool, 'bodies')]
      expect(unsynced(before, spool).names.filter((name) => lasting.includes(name))).toEqual([])
    },
    60_000,
  )
})

describe('a Maildir', () => {
  it.skipIf(!CAN_TRACE)(
    'has the message synced, and its name, before the client hears 250',
    async () => {
      const folder = temporaryFolder()
      const maildir = join(folder, 'mail')
      const trace = join(folder, 'trace')
      const sink = await traced(trace, ['sink', '--listen', '127.0.0.1:0', '--maildir', maildir])
      await send(sink, folder, SMALL)
      expect(await sink.stop()).toBe(0)
      const { during } = untilReceipt(await wholeTrace(trace))
      const wrote = during.findIndex((step) => inside(step, join(maildir, 'tmp')) && has(step, 'SMALLMARK'))
      const synced = during.findIndex((step) => step.kind === 'synced' && inside(step, join(maildir, 'tmp')))
      const named = during.findIndex((step) => step.kind === 'name' && inside(step, `${maildir}/new/`))
      expect(wrote).toBeGreaterThan(-1)
      expect(synced).toBeGreaterThan(wrote)
      expect(named).toBeGreaterThan(synced)
      expect(unsynced(during, maildir)).toEqual(NOTHING)
    },
    60_000,
  )
})

describe('reading system calls', () => {
  const write = (path: string): Step => ({ kind: 'write', path, durable: false, text: '' })
  const sync = (path: string): Step[] => [
    { kind: 'sync began', path, thread: '1' },
    { kind: 'synced', path, thread: '1' },
  ]

  it('misses a sync that is not there', () => {
    expect(unsynced([write('/s/a')], '/s').files).toEqual(['/s/a'])
    expect(unsynced([write('/s/a'), ...sync('/s/a')], '/s')).toEqual(NOTHING)
    expect(unsynced([...sync('/s/a'), write('/s/a')], '/s').files).toEqual(['/s/a'])
  })

  it('does not count a sync that had begun before the write', () => {
    const [began, done] = sync('/s/a') as [Step, Step]
    expect(unsynced([began, write('/s/a'), done], '/s').files).toEqual(['/s/a'])
  })

  it('asks for the directory of a new name, unless the name is gone', () => {
    const name: Step = { kind: 'name', path: '/s/d/a' }
    expect(unsynced([name, ...sync('/s/d/a')], '/s').names).toEqual(['/s/d/a'])
    expect(unsynced([name, ...sync('/s/d')], '/s')).toEqual(NOTHING)
    expect(unsynced([name, { kind: 'unname', path: '/s/d/a' }], '/s')).toEqual(NOTHING)
  })
})

async function traceRelay(bytes: Buffer): Promise<{ steps: readonly Step[]; spool: string }> {
  const folder = temporaryFolder()
  const spool = join(folder, 'spool')
  const trace = join(folder, 'trace')
  // Nobody is at the next hop: what is traced is the taking of the message and nothing else.
  const nextHop = ['--next-hop', '127.0.0.1:9', '--spool', spool]
  const relay = await traced(trace, ['relay', '--listen', '127.0.0.1:0', ...nextHop])
  await send(relay, folder, bytes)
  expect(await relay.stop()).toBe(0)
  return { steps: await wholeTrace(trace), spool }
}

async function traced(trace: string, args: readonly string[]): Promise<MailwrightProcess> {
  const server = await mailwrightProcess([...args, '--log-level', 'error'], { under: straceTo(trace) })
  onTestFinished(async () => void (await server.stop('SIGKILL')))
  return server
}

async function send({ port }: MailwrightProcess, folder: string, bytes: Buffer): Promise<void> {
  const files = join(folder, 'client')
  mkdirSync(files)
  await sendBySmtplib([{ from: 'ann@example.org', to: 'bob@example.net', bytes }], { port, folder: files })
}

/** The trace of a process that has ended: strace writes its last lines a moment after. */
async function wholeTrace(file: string): Promise<readonly Step[]> {
  await expect.poll(() => readFileSync(file, 'utf8').includes('+++ exited with 0 +++'), { timeout: 30_000 }).toBe(true)
  return readTrace(file)
}

/** What happened from the start, and from 354, until the positive reply to the message was written. */
function untilReceipt(steps: readonly Step[]): { before: readonly Step[]; during: readonly Step[] } {
  const goAhead = steps.findIndex((step) => step.kind === 'say' && step.text.includes('"354 '))
  const receipt = steps.findIndex((step) => step.kind === 'say' && step.text.includes('250 2.0.0 Ok: queued as '))
  expect(goAhead).toBeGreaterThan(-1)
  expect(receipt).toBeGreaterThan(goAhead)
  return { before: steps.slice(0, receipt), during: steps.slice(goAhead, receipt) }
}

function inDatabase(step: Step, spool: string): boolean {
  return 'path' in step && step.path === join(spool, 'queue/data.mdb')
}

function inside(step: Step, folder: string): boolean {
  return 'path' in step && step.path.startsWith(folder)
}

function has(step: Step, mark: string): boolean {
  return step.kind === 'write' && step.text.includes(mark)
}
