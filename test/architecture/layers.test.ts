/** The layer rule: it is the architecture. Every package.json and every import is read; anything else fails. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const CORE = ['core']
const MESSAGE = ['core', 'message']

/** What each package may import of the others. `testing` is for development only and is checked apart. */
const MAY_IMPORT: Readonly<Record<string, readonly string[] | 'everything'>> = {
  core: [],
  message: CORE,
  kernel: CORE,
  intake: MESSAGE,
  queue: MESSAGE,
  router: CORE,
  policy: MESSAGE,
  'smtp-listener': MESSAGE,
  'smtp-transport': MESSAGE,
  'local-delivery': MESSAGE,
  'http-transport': MESSAGE,
  'store-lmdb': CORE,
  redis: CORE,
  dns: CORE,
  'mail-auth': MESSAGE,
  sasl: CORE,
  observe: CORE,
  testing: MESSAGE,
  cli: 'everything',
  mailwright: 'everything',
}
/** Libraries that belong to one package only. */
const OWNED: Readonly<Record<string, string>> = {
  'smtp-server': 'smtp-listener',
  lmdb: 'store-lmdb',
  ioredis: 'redis',
  'lru-cache': 'dns',
  mailauth: 'mail-auth',
  'dns-packet': 'dns',
  pino: 'observe',
  jose: 'sasl',
  '@node-rs/argon2': 'sasl',
  '@node-rs/bcrypt': 'sasl',
}
/** Where the outside world may be touched directly. */
const SYSTEM_MODULES = /^node:(?:net|tls|dns|dgram|http|https)(?:\/|$)/
const MAY_TOUCH_SYSTEM =
  /^packages\/(?:kernel\/src\/system-|mailwright\/src\/system-|cli\/|testing\/|smtp-listener\/src\/|store-lmdb\/src\/owner-lock|dns\/src\/socket-)/

interface SourceFile {
  readonly path: string
  readonly package: string
  readonly forTests: boolean
  readonly imports: readonly string[]
  readonly text: string
}

const packages = readdirSync(join(ROOT, 'packages'))
const files = packages.flatMap(sourcesOf)

function sourcesOf(name: string): SourceFile[] {
  return readdirSync(join(ROOT, 'packages', name, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => {
      const text = readFileSync(join(ROOT, 'packages', name, 'src', path), 'utf8')
      const imports = [...text.matchAll(/^(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]/gms)].map(
        (match) => match[1]!,
      )
      const forTests =
        path.endsWith('.test.ts') || /(?:^|\/)test(?:ing)?-support\//.test(path) || /(?:^|\/)conformance\//.test(path)
      return { path: `packages/${name}/src/${path}`, package: name, forTests, imports, text }
    })
}

function manifest(name: string): { dependencies?: Record<string, string>; devDependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(join(ROOT, 'packages', name, 'package.json'), 'utf8'))
}

describe('the layers', () => {
  it('name every package there is', () => {
    expect([...packages].sort()).toEqual(Object.keys(MAY_IMPORT).sort())
  })

  it.each(packages)('%s imports and depends on nothing above or beside it', (name) => {
    const allowed = MAY_IMPORT[name]!
    const strangers = (imported: readonly string[]): string[] =>
      imported.filter((each) => {
        const sibling = /^@mailwright\/([^/]+)/.exec(each)?.[1] ?? (each === 'mailwright' ? each : undefined)
        return sibling !== undefined && allowed !== 'everything' && !allowed.includes(sibling)
      })
    expect(strangers(Object.keys(manifest(name).dependencies ?? {}))).toEqual([])
    for (const file of files.filter((each) => each.package === name && !each.forTests)) {
      expect(strangers(file.imports), file.path).toEqual([])
    }
  })

  it.each(packages)('%s depends on what it imports', (name) => {
    const { dependencies = {}, devDependencies = {} } = manifest(name)
    for (const file of files.filter((each) => each.package === name && !each.forTests)) {
      for (const imported of file.imports) {
        if (/^(?:\.|node:)/.test(imported) || imported === 'vitest') continue
        const library = imported
          .split('/')
          .slice(0, imported.startsWith('@') ? 2 : 1)
          .join('/')
        expect(Object.keys({ ...dependencies }), `${file.path} imports ${library}`).toContain(library)
      }
    }
    expect(
      Object.keys(devDependencies).filter((each) => each.startsWith('@mailwright/') && each !== '@mailwright/testing'),
    ).toEqual([])
  })

  it.each(Object.entries(OWNED))('%s is a dependency of %s alone', (library, owner) => {
    expect(packages.filter((name) => library in (manifest(name).dependencies ?? {}))).toEqual([owner])
  })

  it('let only tests import the testing kit', () => {
    for (const file of files) {
      if (file.forTests || file.package === 'testing') continue
      expect(
        file.imports.filter((each) => each.startsWith('@mailwright/testing')),
        file.path,
      ).toEqual([])
    }
  })

  it('let the clock, randomness, environment variables and sockets be touched only where the outside world begins', () => {
    for (const file of files) {
      if (file.forTests || MAY_TOUCH_SYSTEM.test(file.path)) continue
      expect(
        file.imports.filter((each) => SYSTEM_MODULES.test(each)),
        file.path,
      ).toEqual([])
      const code = file.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      expect(
        code.match(/\b(?:Date\.now\(|setTimeout\(|setInterval\(|Math\.random\(|process\.env\b)/g) ?? [],
        file.path,
      ).toEqual([])
    }
  })

  it('have one owner for each file: a package index re-exports and does nothing else', () => {
    for (const name of packages) {
      const index = readFileSync(join(ROOT, 'packages', name, 'src/index.ts'), 'utf8')
      expect(
        index
          .replace(/\/\*[\s\S]*?\*\//g, '')
          .split(';\n')
          .join('\n')
          .replace(/export (?:type )?(?:\*|\{[^}]*\}) from '[^']+'\n?/g, '')
          .trim(),
        name,
      ).toBe('')
    }
  })
})
