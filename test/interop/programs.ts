/** Programs of others that a test needs: whether they are here, and running them. */
import { spawn, spawnSync } from 'node:child_process'

/**
 * Whether a test has to be skipped because a program is missing. Where interoperability is required, nothing is missing:
 * the test then runs and fails by itself.
 *
 * @example
 * it.skipIf(missing('swaks'))('mail by swaks arrives', …)
 */
export function missing(...programs: readonly string[]): boolean {
  return !required() && programs.some((program) => !isInstalled(program))
}

/** Debian's Python, which has Debian's modules. */
export const PYTHON = '/usr/bin/python3'

/** The same for a module of Debian's Python. */
export function missingModule(name: string): boolean {
  return !required() && spawnSync(PYTHON, ['-c', `import ${name}`]).status !== 0
}

/** The same for tests that only root can run. */
export function notRoot(): boolean {
  return !required() && process.getuid?.() !== 0
}

function required(): boolean {
  return process.env.MAILWRIGHT_REQUIRE_INTEROP === '1'
}

function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$0"', program]).status === 0
}

/** Runs a program to its end and gives what it printed. Rejects, with all it said, when it did not succeed. */
export function runProgram(program: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { timeout: 60_000, stdio: ['pipe', 'pipe', 'pipe'] })
    let printed = ''
    let complaints = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text
    })
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve(printed)
      else reject(new Error(`${program} ended with ${code ?? signal}:\n${printed}${complaints}`))
    })
    // A program that ends before it has read everything says so by its exit code.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}
