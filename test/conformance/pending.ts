/**
 * `node test/conformance/pending.ts [word]`: plays the dialogues that are still pending (those whose file has the word
 * in its name), turn by turn in memory, and prints how each ends. For whoever builds the feature: when a file passes,
 * take its `pending:` line away.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { play, TURN_BY_TURN } from './player.ts'
import { startServer } from './servers.ts'
import { parseTranscripts } from './transcript.ts'

const folder = new URL('./transcripts/', import.meta.url)
for (const name of readdirSync(folder).sort()) {
  if (!name.includes(process.argv[2] ?? '')) continue
  const { dialogues } = parseTranscripts(readFileSync(new URL(name, folder), 'utf8'), name)
  for (const dialogue of dialogues.filter(({ pending }) => pending !== undefined)) {
    const server = await startServer(dialogue.server, 'memory')
    try {
      const { deliveries } = await play(dialogue, server, TURN_BY_TURN)
      const [wanted, got] = [dialogue.deliveries, deliveries].map((all) =>
        all.map(({ envelope }) => envelope).join('\n'),
      )
      console.log(
        `${wanted?.replace(/ with=\w+/g, '') === got ? 'passes' : `FAILS, delivered ${got}`}: ${name} ${dialogue.name}`,
      )
    } catch (error) {
      console.log(`FAILS: ${name} ${dialogue.name}\n${error instanceof Error ? error.message : String(error)}`)
    }
    void server.stop()
  }
}
process.exit()
