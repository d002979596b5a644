import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { Mta } from '@mailwright/kernel'
import { type Command, UsageError } from '../command.ts'
import { logLevel } from '../log-level.ts'
import { serve } from '../serve.ts'

/** Runs a host program's assembly. */
export const run: Command = {
  usage: 'run FILE.ts [--log-level LEVEL]',
  summary:
    'Runs an assembly: a module whose default export is a server (createMta(…) or a preset), or a function that makes one.',
  async run(args): Promise<void> {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { 'log-level': { type: 'string', default: 'info' } },
      allowPositionals: true,
    })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError(`usage: mailwright ${run.usage}`)
    const level = logLevel(values['log-level'])
    const module = (await import(pathToFileURL(resolve(file)).href)) as { default?: unknown }
    const made: unknown = typeof module.default === 'function' ? await module.default() : module.default
    const mta = asMta(made)
    if (mta === undefined) throw new UsageError(`${file} does not export a server as its default`)
    await serve(mta, level)
  },
}

/** A server as such, or inside what a preset gives. */
function asMta(value: unknown): Mta | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if ('mta' in value) return asMta(value.mta)
  return 'use' in value && 'run' in value ? (value as Mta) : undefined
}
