/** Examples in READMEs are programs: each must compile against the packages as they are. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const packages = readdirSync(join(ROOT, 'packages'))

function examplesOf(readme: string): readonly string[] {
  return [...readFileSync(readme, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!)
}

describe('the README', () => {
  it.each(packages)('of %s has an example', (name) => {
    const readme = join(ROOT, 'packages', name, 'README.md')
    expect(existsSync(readme) && examplesOf(readme).length > 0).toBe(true)
  })

  it('of the project shows the embedding example and its test as they are', () => {
    const text = readFileSync(join(ROOT, 'README.md'), 'utf8')
    for (const file of ['server.ts', 'server.test.ts']) {
      expect(text).toContain(readFileSync(join(ROOT, 'examples/embedding/src', file), 'utf8').trim())
    }
  })

  it('of every package has examples that compile', { timeout: 120_000 }, () => {
    const sources = new Map<string, string>()
    for (const name of packages) {
      for (const [index, text] of examplesOf(join(ROOT, 'packages', name, 'README.md')).entries()) {
        sources.set(join(ROOT, 'test/docs', `${name}-${index + 1}.ts`), `${text}\nexport {}\n`)
      }
    }
    expect(problemsIn(sources)).toEqual([])
  })
})

/** What the compiler says about files that exist only in memory, beside the prelude. */
function problemsIn(sources: ReadonlyMap<string, string>): readonly string[] {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT)
  const lenient = { ...options, noUnusedLocals: false, isolatedDeclarations: false, declaration: false }
  const host = ts.createCompilerHost(lenient)
  const { fileExists, getSourceFile, readFile } = host
  host.fileExists = (name) => sources.has(name) || fileExists.call(host, name)
  host.readFile = (name) => sources.get(name) ?? readFile.call(host, name)
  host.getSourceFile = (name, version, ...rest) =>
    sources.has(name)
      ? ts.createSourceFile(name, sources.get(name)!, version, true)
      : getSourceFile.call(host, name, version, ...rest)
  const program = ts.createProgram([...sources.keys(), join(ROOT, 'test/docs/prelude.d.ts')], lenient, host)
  return [...sources.keys()].flatMap((name) => {
    const file = program.getSourceFile(name)
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    return found.map((problem) => {
      const line = file?.getLineAndCharacterOfPosition(problem.start ?? 0).line ?? 0
      return `${name.slice(ROOT.length + 1)}:${line + 1}: ${ts.flattenDiagnosticMessageText(problem.messageText, ' ')}`
    })
  })
}
