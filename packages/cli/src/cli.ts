#!/usr/bin/env node
import process from 'node:process'
import { type Command, UsageError } from './command.ts'
import { queue } from './commands/queue.ts'
import { relay } from './commands/relay.ts'
import { run } from './commands/run.ts'
import { sink } from './commands/sink.ts'
import { version } from './commands/version.ts'

const COMMANDS: Readonly<Record<string, Command>> = { relay, sink, run, queue, version }

function help(): string {
  const lines = Object.values(COMMANDS).map((command) => `  mailwright ${command.usage}\n      ${command.summary}`)
  return ['usage:', ...lines].join('\n')
}

async function main([name, ...args]: readonly string[]): Promise<void> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    if (name !== undefined) return console.log(help())
    console.error(help())
    process.exitCode = 2
    return
  }
  const command = COMMANDS[name === '--version' ? 'version' : name]
  if (command === undefined) throw new UsageError(`there is no command ${JSON.stringify(name)}; see mailwright help`)
  if (args.includes('--help')) return console.log(`usage: mailwright ${command.usage}\n${command.summary}`)
  await command.run(args)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  // One line, whatever happened. Node's own argument parser throws codes that begin with ERR_PARSE_ARGS.
  const code = (error as { code?: unknown }).code
  const usage = error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS'))
  const text = error instanceof Error ? describe(error) : String(error)
  console.error(`mailwright: ${text.replace(/\s*\n\s*/g, ' ')}`)
  process.exitCode = usage ? 2 : 1
}

/** The message, and that of the cause where it says more. */
function describe(error: Error): string {
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
