/**
 * A campaign of 100,000 recipients and ordinary single messages, to the same destination and to another, whose servers
 * take 100 ms for each answer. How long the single messages take from their 250 to the next hop, in ms.
 *
 *   node test/bench/fairness.ts [recipients] [one|many]
 *
 * `one`: the campaign is one message; `many` (default both): a message for each recipient. Ends with 1 when one in a
 * hundred single messages takes longer than 2 s.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { CampaignOrder, ServerReady } from './fairness-server.ts'
import { plainSink } from './plain-sink.ts'

const recipients = Number(process.argv[2] ?? 100_000)
const kinds = process.argv[3] === undefined ? (['one', 'many'] as const) : [process.argv[3] as CampaignOrder['kind']]
const ANSWER_MS = 100
const SINGLES = 200
const EVERY_MS = 50
const MOST_MS = 2_000

let late = false
for (const kind of kinds) {
  for (const where of ['same', 'other'] as const) {
    const { p50, p99, left } = await measure(kind, where)
    late ||= p99 > MOST_MS
    console.log(
      `campaign as ${kind === 'one' ? 'one message' : 'a message each'}, singles to ${where === 'same' ? 'its destination' : 'another'}: ` +
        `median ${p50.toFixed(0)} ms, 99th percentile ${p99.toFixed(0)} ms; ${left} messages of the campaign were still waiting`,
    )
  }
}
process.exit(late ? 1 : 0)

async function measure(
  kind: CampaignOrder['kind'],
  where: 'same' | 'other',
): Promise<{ readonly p50: number; readonly p99: number; readonly left: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-fairness-'))
  const accepted = new Map<string, number>()
  const waits: number[] = []
  const onMail = (sender: string): void => {
    const since = accepted.get(sender)
    if (since !== undefined) waits.push(performance.now() - since)
  }
  const [campaign, other] = [
    await plainSink({ onMail, delayMs: ANSWER_MS }),
    await plainSink({ onMail, delayMs: ANSWER_MS }),
  ]
  const server = fork(join(import.meta.dirname, 'fairness-server.ts'), [
    folder,
    `[127.0.0.1]:${campaign.port}`,
    `[127.0.0.1]:${other.port}`,
  ])
  try {
    const { port } = (await once(server, 'message'))[0] as ServerReady
    server.send({ kind, recipients } satisfies CampaignOrder)
    await once(server, 'message')
    const domain = where === 'same' ? 'campaign.example' : 'other.example'
    for (let single = 0; single < SINGLES; single++) {
      const sender = `single${single}@example.net`
      // Noted before the dot: the next hop may have it before we have our 250.
      await send(port, sender, `ann${single}@${domain}`, () => accepted.set(sender, performance.now()))
      await pause(EVERY_MS)
    }
    for (let tries = 0; waits.length < SINGLES && tries < 600; tries++) await pause(100)
    if (waits.length < SINGLES) throw new Error(`${SINGLES - waits.length} single messages did not arrive`)
    server.send('left')
    const left = (await once(server, 'message'))[0] as number
    waits.sort((a, b) => a - b)
    return { p50: waits[SINGLES / 2]!, p99: waits[Math.floor(SINGLES * 0.99)]!, left }
  } finally {
    server.kill('SIGKILL')
    await once(server, 'exit')
    campaign.stop()
    other.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function send(port: number, sender: string, recipient: string, dot: () => void): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'data')
  await ask(socket, 'EHLO bench.example\r\n')
  await ask(socket, `MAIL FROM:<${sender}>\r\n`)
  await ask(socket, `RCPT TO:<${recipient}>\r\n`)
  await ask(socket, 'DATA\r\n')
  dot()
  await ask(socket, 'Subject: single\r\n\r\nHello.\r\n.\r\n')
  socket.destroy()
}

async function ask(socket: Socket, text: string): Promise<void> {
  socket.write(text)
  const answer = String((await once(socket, 'data'))[0])
  if (!/^[23]/.test(answer)) throw new Error(`refused: ${answer}`)
}
