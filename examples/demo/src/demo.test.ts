import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it } from 'vitest'

/** Everything the demo says until the line that ends its introduction. */
async function introduction(demo: ChildProcess): Promise<string> {
  const lines: string[] = []
  for await (const line of createInterface({ input: demo.stdout! })) {
    lines.push(line)
    if (line.startsWith('Ctrl-C ends it')) break
  }
  return lines.join('\n')
}

it('the demo sends itself a message, tells its life, and ends on Ctrl-C', async () => {
  const home = mkdtempSync(join(tmpdir(), 'demo-'))
  const demo = spawn(process.execPath, [join(import.meta.dirname, 'demo.ts'), '--home', home], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(demo, 'exit')
  const said = await introduction(demo)
  for (const step of ['accepted', 'queued', 'relayed', 'delivered', 'file']) expect(said).toContain(step)
  const [file] = readdirSync(join(home, 'mail/ann/new'))
  expect(readFileSync(join(home, 'mail/ann/new', file!), 'utf8')).toContain('Subject: Hello from Mailwright\r\n')
  demo.kill('SIGINT')
  expect(await ended).toEqual([0, null])
  rmSync(home, { recursive: true })
})
