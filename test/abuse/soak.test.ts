/** Ten thousand bad sessions leave nothing behind: no memory, no descriptors, no connections, no lost mail. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const SOAK = fileURLToPath(new URL('./soak.ts', import.meta.url))
const SEED = 1

interface Holdings {
  readonly heap: number
  readonly external: number
  readonly descriptors: number
  readonly resources: Readonly<Record<string, number>>
  readonly connections: number
}

test('after 10,000 abusive sessions the server holds what it held before', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [SOAK, '10000', String(SEED)], {
    timeout: 170_000,
    killSignal: 'SIGKILL',
  }).catch((error: { stdout: string; stderr: string }) => {
    throw new Error(`the soak failed, seed ${SEED}:\n${error.stderr}\n${error.stdout}`)
  })
  const report = JSON.parse(stdout) as { before: Holdings; after: Holdings; acknowledged: number; arrived: number }
  const { before, after } = report
  expect(report).toMatchObject({ missing: [], corrupt: 0, complaints: [], failures: [] })
  expect(report.acknowledged).toBeGreaterThan(1_000)
  expect(report.arrived).toBeGreaterThanOrEqual(report.acknowledged)
  expect(after.connections).toBe(0)
  expect(after.descriptors).toBe(before.descriptors)
  expect(after.resources).toEqual(before.resources)
  // MiB. Half a kilobyte kept of each session would be five.
  expect(after.heap - before.heap).toBeLessThan(2)
  expect(after.external - before.external).toBeLessThan(2)
}, 180_000)
