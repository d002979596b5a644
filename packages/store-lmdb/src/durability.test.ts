/**
 * What the system calls say: a promise of `put` and `settle` is kept only when the data was synced first. And what
 * happens when it cannot be written.
 */
import { execFile, spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { lmdbStore } from './lmdb-store.ts'
import { CALL, contentOf, eventLog, letter, message, spoolDirectory } from './testing-support/spool-directory.ts'
import { CHILD } from './testing-support/spool-process.ts'

const run = promisify(execFile)
const CALLS = 'openat,close,write,writev,pwrite64,pwritev,fdatasync,fsync,link,linkat,unlink,unlinkat'

/** A finished system call. */
interface Traced {
  readonly name: string
  readonly args: string
  readonly result: string
}

/** In the order in which they finished. strace splits a call that another interrupts into two lines. */
function parseTrace(text: string): readonly Traced[] {
  const begun = new Map<string, string>()
  const calls: Traced[] = []
  for (const line of text.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(rest)
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    if (unfinished) begun.set(thread, unfinished[1]!)
    const whole = resumed ? (begun.get(thread) ?? '') + resumed[1]! : rest
    const call = unfinished ? null : /^(\w+)\((.*)\)\s+= (.*)$/.exec(whole)
    if (call) calls.push({ name: call[1]!, args: call[2]!, result: call[3]! })
  }
  return calls
}

const fileOf = ({ args }: Traced): string => args.split(',')[0]!.trim()

/** The calls between the words `BEGIN what` and `DONE what`, and the files of the database as they were open then. */
function during(calls: readonly Traced[], what: string) {
  const begin = calls.findIndex(({ name, args }) => name === 'write' && args.includes(`BEGIN ${what}`))
  const done = calls.findIndex(({ name, args }) => name === 'write' && args.includes(`DONE ${what}`))
  expect(begin).toBeGreaterThan(0)
  expect(done).toBeGreaterThan(begin)
  const opened = new Map<string, string>()
  for (const { name, args, result } of calls.slice(0, begin))
    if (name === 'openat') opened.set(result.split(' ')[0]!, args)
  const data = [...opened].filter(([, args]) => args.includes('data.mdb'))
  const synced = data.filter(([, args]) => args.includes('O_DSYNC')).map(([file]) => file)
  const plain = data.filter(([, args]) => !args.includes('O_DSYNC')).map(([file]) => file)
  return { within: calls.slice(begin + 1, done), synced, plain, opened }
}

/** The commit: pages, then fdatasync, then the synced page that names them. Answers where it begins. */
function expectSyncedCommit({ within, synced, plain }: ReturnType<typeof during>): number {
  const isData = (call: Traced): boolean => /^p?write/.test(call.name) && plain.includes(fileOf(call))
  const firstPage = within.findIndex(isData)
  const lastPage = within.findLastIndex(isData)
  const sync = within.findLastIndex((call) => call.name === 'fdatasync' && plain.includes(fileOf(call)))
  const meta = within.findLastIndex((call) => call.name === 'pwrite64' && synced.includes(fileOf(call)))
  expect(firstPage, 'pages are written').toBeGreaterThanOrEqual(0)
  expect(sync, 'and synced').toBeGreaterThan(lastPage)
  expect(within[sync]!.result).toMatch(/^0/)
  expect(meta, 'and named by a synced page').toBeGreaterThan(sync)
  return firstPage
}

it('put and settle resolve after the disk has it: seen from the system calls', { timeout: 60_000 }, async (context) => {
  const directory = await spoolDirectory()
  const output = join(directory, 'trace')
  try {
    await run('strace', [
      '-f',
      '-s',
      '80',
      '-e',
      `trace=${CALLS}`,
      '-o',
      output,
      process.execPath,
      CHILD,
      'trace',
      join(directory, 'spool'),
    ])
  } catch (error) {
    if (process.env.MAILWRIGHT_REQUIRE_INTEROP === '1') throw error
    context.skip(`strace cannot be run: ${(error as NodeJS.ErrnoException).code}`)
  }
  const calls = parseTrace(await readFile(output, 'utf8'))

  const small = during(calls, 'small')
  expectSyncedCommit(small)
  // Other threads of the runtime may read what they like; the spool is not touched but for the commit.
  const files = small.within.filter(({ name, args }) => /^(openat|link)/.test(name) && args.includes(directory))
  expect(files, 'a small message has no file').toEqual([])

  const large = during(calls, 'large')
  const commit = expectSyncedCommit(large)
  const body = [...large.opened].findLast(([, args]) => args.includes('bodies/tmp-'))![0]
  const bodySync = large.within.findIndex((call) => call.name === 'fdatasync' && fileOf(call) === body)
  const named = large.within.findIndex((call) => /^link/.test(call.name))
  const shelfSync = large.within.findLastIndex((call) => call.name === 'fsync')
  expect(bodySync, 'the body is synced').toBeGreaterThanOrEqual(0)
  expect(named, 'before it gets its name').toBeGreaterThan(bodySync)
  expect(shelfSync, 'which is synced').toBeGreaterThan(named)
  expect(commit, 'before the message is committed').toBeGreaterThan(shelfSync)

  expectSyncedCommit(during(calls, 'settle'))
})

it('a full disk is answered with 452, and what was taken stays whole', { timeout: 60_000 }, async (context) => {
  const directory = await spoolDirectory()
  // A limit on the size of files stands for the full disk: the write that passes it fails.
  const script = `ulimit -f 4096 && exec "$0" "$@"`
  const child = spawnSync('bash', ['-c', script, process.execPath, CHILD, 'fill', directory], { encoding: 'utf8' })
  if (child.error !== undefined) context.skip(`bash cannot be run: ${child.error.message}`)
  const said = JSON.parse(child.stdout) as Record<string, unknown>
  expect(said).toMatchObject({
    code: 'ERR_MAILWRIGHT_STORE',
    reply: { code: 452, enhanced: '4.3.1' },
    refusing: 452,
    large: 'ERR_MAILWRIGHT_STORE',
  })
  expect(said.stored).toBeGreaterThan(50)
  expect(said.messages).toBe(said.stored)

  const store = lmdbStore({ directory, minFree: 0 })
  const events = eventLog()
  await store.open(events)
  const entries = await store.entries({ limit: 10_000 })
  expect(entries).toHaveLength(said.stored as number)
  for (const { message: id } of entries) expect((await contentOf((await store.read(id))!)).length).toBe(20_017)
  expect(await store.stats()).toMatchObject({ messages: said.stored, bytes: 20_017 * (said.stored as number) })
  await store.put(message('z'), letter(), undefined, CALL)
  expect(store.refusing()).toBeNull()
  await store.close()
})

it('a disk that fills up refuses mail before it is full, keeps all it took, and takes more when there is room', {
  timeout: 60_000,
}, async (context) => {
  const directory = await spoolDirectory()
  const script = 'mount -t tmpfs -o size=10m none "$2" && exec "$0" "$1" fillDisk "$2"'
  const child = spawnSync('unshare', ['-rm', 'bash', '-c', script, process.execPath, CHILD, directory], {
    encoding: 'utf8',
  })
  if (child.error !== undefined || /^(unshare|mount):/m.test(child.stderr))
    context.skip(`no disk of its own: ${child.stderr}`)
  const said = JSON.parse(child.stdout) as Record<string, number>
  expect(said.beforeRefused).toBeGreaterThan(50)
  expect(said.stored).toBeGreaterThan(said.beforeRefused!)
  expect(said).toMatchObject({
    code: 'ERR_MAILWRIGHT_STORE',
    reply: 452,
    messages: said.stored,
    whole: said.stored! + 1,
  })
  expect(said.events).toEqual(['store.recovered', '452', 'taking'])
})
