#!/usr/bin/env node
import process from 'node:process'
import { type Command, UsageError } from './command.ts'

/** Loaded when called: a look at the queue does not wait for a mail server to load. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['relay', async (): Promise<Command> => (await import('./commands/relay.ts')).relay],
  ['sink', async (): Promise<Command> => (await import('./commands/sink.ts')).sink],
  ['run', async (): Promise<Command> => (await import('./commands/run.ts')).run],
  ['queue', async (): Promise<Command> => (await import('./commands/queue.ts')).queue],
  ['version', async (): Promise<Command> => (await import('./commands/version.ts')).version],
])

async function help(): Promise<string> {
  const commands = await Promise.all([...COMMANDS.values()].map((load) => load()))
  const lines = commands.map((command) => `  mailwright ${command.usage}\n      ${command.summary}`)
  return ['usage:', ...lines].join('\n')
}

async function main([name, ...args]: readonly string[]): Promise<void> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    if (name !== undefined) return console.log(await help())
    console.error(await help())
    process.exitCode = 2
    return
  }
  const load = COMMANDS.get(name === '--version' ? 'version' : name)
  if (load === undefined) throw new UsageError(`there is no command ${JSON.stringify(name)}; see mailwright help`)
  const command = await load()
  if (args.includes('--help')) return console.log(`usage: mailwright ${command.usage}\n${command.summary}`)
  await command.run(args)
}

// A reader who has seen enough, such as `head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

try {
  await main(process.argv.slice(2))
} catch (error) {
  // One line, whatever happened. Node's own argument parser throws codes that begin with ERR_PARSE_ARGS.
  const code = (error as { code?: unknown } | null | undefined)?.code
  const usage = error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS'))
  const text = error instanceof Error ? describe(error) : String(error)
  console.error(`mailwright: ${text.replace(/\s*\n\s*/g, ' ')}`)
  process.exitCode = usage ? 2 : 1
}

/** The message, and that of the cause where it says more. */
function describe(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
