/**
 * The receiving side, as wire transcripts: see `transcript.ts` for how they are written, `transcripts/` for what they
 * say. Each dialogue is played in memory turn by turn, pipelined, byte by byte, and cut in two at every place around
 * every line end, and once more over real sockets; it must come to the same each time. What is pending is a todo.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { BYTE_BY_BYTE, cutAt, type Manner, type Outcome, PIPELINED, places, play, TURN_BY_TURN } from './player.ts'
import { type ConformanceServer, type Medium, startServer } from './servers.ts'
import { parseTranscripts, type WireDialogue } from './transcript.ts'

const folder = new URL('./transcripts/', import.meta.url)
const files = readdirSync(folder)
  .sort()
  .map((name) => parseTranscripts(readFileSync(new URL(name, folder), 'utf8'), name))
const servers = new Map<string, Promise<ConformanceServer>>()

function serverOf(description: string, medium: Medium): Promise<ConformanceServer> {
  const key = `${medium} ${description}`
  const known = servers.get(key) ?? startServer(description, medium)
  servers.set(key, known)
  return known
}

afterAll(async () => {
  const all = await Promise.all(servers.values())
  await Promise.all(all.map((server) => server.stop()))
  expect(all.flatMap(({ problems }) => problems)).toEqual([])
})

for (const { title, dialogues } of files) {
  describe(title, () => {
    for (const dialogue of dialogues) {
      if (dialogue.pending === undefined) test(dialogue.name, () => conforms(dialogue))
      else test.todo(`${dialogue.name} (${dialogue.pending})`)
    }
  })
}

test('no two dialogues of a file have the same name', () => {
  for (const { dialogues } of files) {
    const names = dialogues.map(({ name }) => name)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  }
})

async function conforms(dialogue: WireDialogue): Promise<void> {
  const stops = dialogue.steps.some((step) => step.kind === 'do' && step.action === 'stop')
  const serve = (medium: Medium): Promise<ConformanceServer> =>
    stops ? startServer(dialogue.server, medium) : serverOf(dialogue.server, medium)
  const told = await play(dialogue, await serve('memory'), TURN_BY_TURN)
  expectDeliveries(dialogue, told)
  const again = async (medium: Medium, manner: Manner): Promise<void> => {
    const server = await serve(medium)
    const outcome = await play(dialogue, server, manner)
    expect(outcome, `${medium}, ${manner.name}`).toEqual(told)
    if (stops) expect(server.problems).toEqual([])
  }
  const waits = dialogue.steps.some((step) => step.kind === 'do' && step.action === 'wait')
  if (dialogue.alone === undefined) {
    await again('memory', PIPELINED)
    await again('memory', BYTE_BY_BYTE)
    for (const place of places(dialogue)) await again('memory', cutAt(place))
  }
  if (!waits) await again('loopback', dialogue.alone === undefined ? PIPELINED : TURN_BY_TURN)
}

function expectDeliveries({ deliveries }: WireDialogue, { deliveries: got }: Outcome): void {
  const wanted = deliveries.map(({ envelope }) => envelope)
  expect(got.map(({ envelope, received }, index) => shown(envelope, received, wanted[index]))).toEqual(wanted)
  for (const [index, { message }] of deliveries.entries())
    if (message !== undefined) expect(got[index]!.message).toBe(message)
  for (const { received } of got) expect(received).toMatch(/^\w+$/)
}

/** With the protocol of the Received field, where the transcript names one. */
function shown(envelope: string, received: string, wanted: string | undefined): string {
  return wanted?.includes(' with=') === true ? `${envelope} with=${received}` : envelope
}
