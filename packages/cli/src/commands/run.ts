import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { Mta } from '@mailwright/kernel'
import type { Worker } from 'mailwright'
import { type Command, UsageError } from '../command.ts'
import { logLevel } from '../log-level.ts'
import { serve, serveByWorkers, workerCount } from '../serve.ts'

/** Runs a host program's assembly. */
export const run: Command = {
  usage: 'run FILE.ts [--workers N] [--log-level LEVEL]',
  summary:
    'Runs an assembly: a module whose default export is a server (createMta(…) or a preset), or a function that makes one. With N workers the function is given { index, count } in each of N processes.',
  async run(args): Promise<void> {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { workers: { type: 'string', default: '1' }, 'log-level': { type: 'string', default: 'info' } },
      allowPositionals: true,
    })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError(`usage: mailwright ${run.usage}`)
    const level = logLevel(values['log-level'])
    const workers = workerCount(values.workers)
    if (workers === 1) await serve(await assembly(file), level)
    else await serveByWorkers(workers, level, (worker) => assembly(file, worker))
  },
}

/** What the module makes, for one worker if there are several. */
async function assembly(file: string, worker?: Worker): Promise<Mta> {
  const module = (await import(pathToFileURL(resolve(file)).href)) as { default?: unknown }
  const made: unknown = typeof module.default === 'function' ? await module.default(worker) : module.default
  const mta = asMta(made)
  if (mta === undefined) throw new UsageError(`${file} does not export a server as its default`)
  return mta
}

/** A server as such, or inside what a preset gives. */
function asMta(value: unknown): Mta | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if ('mta' in value) return asMta(value.mta)
  return 'use' in value && 'run' in value ? (value as Mta) : undefined
}
