/**
 * Checks what others would install: builds and packs every package, looks at the tarballs with publint and attw, installs
 * them with npm in an empty folder, and runs a mail server from them there.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const PNPM = ['--yes', 'pnpm@12.21.0']
const folder = mkdtempSync(join(tmpdir(), 'packaging-'))

try {
  const tarballs = packAll()
  for (const tarball of tarballs) inspect(tarball)
  runInEmptyFolder(tarballs)
  console.log(`${tarballs.length} packages packed, inspected, installed and run`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function packAll(): readonly string[] {
  for (const name of readdirSync(join(ROOT, 'packages'))) {
    // In any order: inside the workspace a package's types come from its sources, not from what was built.
    run('tsup', [], join(ROOT, 'packages', name))
    run('npx', [...PNPM, 'pack', '--pack-destination', folder], join(ROOT, 'packages', name))
  }
  return readdirSync(folder)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(folder, name))
}

function inspect(tarball: string): void {
  run('publint', [tarball, '--strict'], ROOT)
  run('attw', [tarball, '--profile', 'esm-only'], ROOT)
}

function runInEmptyFolder(tarballs: readonly string[]): void {
  const home = join(folder, 'home')
  mkdirSync(home)
  writeFileSync(join(home, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...tarballs], home)
  cpSync(join(ROOT, 'examples/embedding/src/server.ts'), join(home, 'server.ts'))
  cpSync(join(import.meta.dirname, 'smoke.ts'), join(home, 'smoke.ts'))
  run('node', ['smoke.ts'], home)
  const version = execFileSync(join(home, 'node_modules/.bin/mailwright'), ['version'], { encoding: 'utf8' }).trim()
  const { version: expected } = JSON.parse(readFileSync(join(ROOT, 'packages/cli/package.json'), 'utf8')) as {
    version: string
  }
  if (version !== expected) throw new Error(`the installed command says version ${version}, not ${expected}`)
}

/** Runs quietly; shows what it said only when it fails. */
function run(command: string, args: readonly string[], cwd: string): void {
  try {
    execFileSync(command, args, { cwd, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    console.error(`${command} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}`)
    throw new Error(`${command} failed in ${cwd}`)
  }
}
