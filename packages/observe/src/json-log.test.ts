import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasCode } from '@mailwright/core'
import { manualClock, recordedEvents } from '@mailwright/testing'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { jsonLog } from './json-log.ts'
import { logEvents } from './log-events.ts'
import { accepted, ID, settled } from './testing-support/sample-events.ts'

let folder = ''
let path = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mailwright-log-'))
  path = join(folder, 'mail.json')
})
afterEach(() => rmSync(folder, { recursive: true }))

function written(): Record<string, unknown>[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

test('mail goes through the buffer to the file, and nothing is lost at the end', async () => {
  const log = jsonLog({ destination: path })
  const events = recordedEvents(manualClock())
  logEvents(events, log)
  for (let size = 0; size < 1_000; size++) events.emit(accepted({ size }))
  events.emit(settled())
  await log.close()
  const lines = written()
  expect(lines).toHaveLength(1_001)
  expect(lines[999]).toMatchObject({ level: 30, msg: 'message.accepted', id: ID, size: 999 })
  expect(lines[1_000]).toMatchObject({ msg: 'recipient.settled', status: 'sent' })
  expect(log.lost).toBe(0)
})

test('a flush writes what was logged before it, also while a write is under way', async () => {
  const log = jsonLog({ destination: path })
  // The first line starts a write; the last one alone would not fill the buffer.
  log.info({}, 'x'.repeat(5_000))
  log.info({}, 'the last one')
  await log.flush()
  expect(written()).toMatchObject([{}, { msg: 'the last one' }])
  await log.close()
})

test('a flush of an empty log ends, and so does a second close', async () => {
  const log = jsonLog({ destination: path })
  await log.flush()
  await log.close()
  await log.close()
  await log.flush()
  expect(written()).toEqual([])
})

test('lines after the close are dropped without harm', async () => {
  const log = jsonLog({ destination: path })
  await log.close()
  expect(() => log.info({}, 'late')).not.toThrow()
  expect(log.isLevelEnabled('error')).toBe(false)
  expect(written()).toEqual([])
})

test('a line break in a field stays in its field', async () => {
  const log = jsonLog({ destination: path, base: { server: 'edge' } })
  log.warn({ helo: 'x\r\n{"forged":true}' }, 'odd')
  await log.close()
  expect(written()).toMatchObject([{ level: 40, server: 'edge', helo: 'x\r\n{"forged":true}', msg: 'odd' }])
})

test('levels below the one asked for are left out', async () => {
  const log = jsonLog({ destination: path, level: 'warn' })
  log.debug({}, 'debug')
  log.info({}, 'info')
  log.warn({}, 'warn')
  log.error({}, 'error')
  expect(log.isLevelEnabled('info')).toBe(false)
  await log.close()
  expect(written().map((line) => line.msg)).toEqual(['warn', 'error'])
})

test('a file that cannot be opened is a mistake in the configuration', () => {
  expect(() => jsonLog({ destination: join(folder, 'missing', 'mail.json') })).toThrow(
    expect.toSatisfy((error) => hasCode(error, 'ERR_MAILWRIGHT_CONFIG')),
  )
})

test.skipIf(!existsSync('/dev/full'))('a full disk is told on flush and close, and ends no process', async () => {
  const log = jsonLog({ destination: '/dev/full' })
  for (let line = 0; line < 200; line++) log.info({ line }, 'x'.repeat(100))
  const full = expect.toSatisfy((error) => hasCode(error, 'ERR_MAILWRIGHT_STORE'))
  await expect(log.flush()).rejects.toEqual(full)
  log.info({}, 'still here')
  await expect(log.close()).rejects.toEqual(full)
})

test.skipIf(!existsSync('/dev/full'))('what does not fit while the disk is full is counted', async () => {
  const log = jsonLog({ destination: '/dev/full' })
  const megabyte = 'x'.repeat(1_024 * 1_024)
  for (let line = 0; line < 20; line++) log.info({}, megabyte)
  expect(log.lost).toBe(5)
  await expect(log.close()).rejects.toThrow('the log could not be written')
})

test.each([
  ['nobody reads', ''],
  ['is on a full disk', `{ destination: '/dev/full' }`],
])('a process whose log %s can end', async (_, options) => {
  const code = `
    import { jsonLog } from ${JSON.stringify(join(import.meta.dirname, 'json-log.ts'))}
    const log = jsonLog(${options})
    process.stdin.on('data', () => {
      log.info({}, 'less than what is written before the end')
      process.exit(7)
    })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'ignore', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stderr.destroy()
  child.stdin.write('go\n')
  expect(await once(child, 'exit')).toEqual([7, null])
})

test('what is in the buffer is written when the process exits', async () => {
  const code = `
    import { jsonLog } from ${JSON.stringify(join(import.meta.dirname, 'json-log.ts'))}
    const log = jsonLog({ destination: ${JSON.stringify(path)} })
    for (let size = 0; size < 300; size++) log.info({ size }, 'x'.repeat(100))
    process.exit(7)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  expect(await once(child, 'exit')).toEqual([7, null])
  expect(new Set(written().map((line) => line.size)).size).toBe(300)
})
