import { readFileSync } from 'node:fs'
import type { Command } from '../command.ts'

/** Prints the version of this package. */
export const version: Command = {
  usage: 'version',
  summary: 'Prints the version.',
  async run(): Promise<void> {
    // One folder up from both `src/commands` and the built `dist`.
    for (const place of ['../package.json', '../../package.json']) {
      try {
        const { name, version } = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as {
          name?: string
          version: string
        }
        if (name === '@mailwright/cli') return console.log(version)
      } catch {
        // The other place.
      }
    }
    throw new Error('cannot tell the version: package.json is missing')
  },
}
