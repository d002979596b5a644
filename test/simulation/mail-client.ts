/**
 * A submission client: sends a letter until it is acknowledged, refused, or not worth another try. One attempt is one
 * connection and one command at a time. All or nothing: if any recipient is refused for now, nothing is sent.
 */
import { type Clock, type Network, sleep, type Wire } from '@mailwright/core'
import { dotStuffer } from '@mailwright/message'
import type { Letter } from './scenario.ts'

/** `unknown`: no whole answer came, or none that says what became of the letter. */
export type Submission = 'acknowledged' | 'refused' | 'unknown'

export interface MailClientOptions {
  readonly clock: Clock
  readonly net: Network
  readonly host: string
  readonly server: string
  readonly attempts: number
  /** Told after each attempt. */
  readonly tried: (letter: Letter, result: Submission, said: string) => void
}

const PATIENCE_MS = 5 * 60_000
const NEVER = new AbortController().signal

/** Sends a letter; resolves with how it ended. */
export async function sendLetter(options: MailClientOptions, letter: Letter): Promise<Submission> {
  for (let attempt = 1; ; attempt++) {
    const { result, said } = await submit(options, letter)
    options.tried(letter, result, said)
    if (result !== 'unknown' || attempt === options.attempts) return result
    await sleep(options.clock, Math.min(2 ** attempt, 240) * 60_000, NEVER)
  }
}

/** The letter as it is sent. */
export function letterText(letter: Letter): string {
  const head = [
    `From: <${letter.sender === '' ? 'nobody@client.example' : letter.sender}>`,
    `To: ${letter.recipients.map((recipient) => `<${recipient}>`).join(',\r\n ')}`,
    `Message-ID: ${letter.messageId}`,
    'Subject: .a simulated letter',
  ]
  return `${head.join('\r\n')}\r\n\r\n${letter.body}`
}

async function submit(
  { clock, net, host, server }: MailClientOptions,
  letter: Letter,
): Promise<{ readonly result: Submission; readonly said: string }> {
  const patience = new AbortController()
  const timer = clock.after(PATIENCE_MS, () => patience.abort(new Error('the server does not answer')))
  let wire: Wire
  try {
    wire = await net.connect({ host: server, port: 25, localAddress: host }, { signal: patience.signal })
  } catch {
    return { result: 'unknown', said: 'no connection' }
  } finally {
    timer.cancel()
  }
  const answers = answersOn(wire, clock)
  try {
    for (const [command, wanted] of commandsFor(letter)) {
      if (command !== '') wire.write(command)
      const said = await answers.next()
      if (said === undefined || !said.startsWith(wanted)) {
        const final = said?.startsWith('5') === true && command.endsWith('.\r\n')
        return { result: final ? 'refused' : 'unknown', said: said ?? 'no answer' }
      }
      if (command.endsWith('.\r\n')) {
        wire.write('QUIT\r\n')
        return { result: 'acknowledged', said }
      }
    }
    return { result: 'unknown', said: 'nothing to say' }
  } finally {
    answers.hangUp()
  }
}

function* commandsFor(letter: Letter): Generator<readonly [string, string]> {
  yield ['', '220']
  yield ['EHLO client.example\r\n', '250']
  const holdFor = letter.holdFor === undefined ? '' : ` HOLDFOR=${letter.holdFor}`
  yield [`MAIL FROM:<${letter.sender}>${holdFor}\r\n`, '250']
  for (const recipient of letter.recipients) yield [`RCPT TO:<${recipient}>\r\n`, '250']
  yield ['DATA\r\n', '354']
  const stuffer = dotStuffer()
  const stuffed = Buffer.from(stuffer.push(Buffer.from(letterText(letter)))).toString('latin1')
  yield [stuffed + Buffer.from(stuffer.end()).toString('latin1'), '250']
}

/** The server's answers, one at a time: the last line of each, or undefined when none comes. */
function answersOn(wire: Wire, clock: Clock): { next(): Promise<string | undefined>; hangUp(): void } {
  const lines: string[] = []
  let partial = ''
  let over = false
  let wake: (() => void) | undefined
  const end = (): void => {
    over = true
    wake?.()
  }
  wire.on('data', (bytes: Buffer) => {
    const parts = (partial + bytes.toString('latin1')).split('\r\n')
    partial = parts.pop()!
    lines.push(...parts.filter((line) => /^\d{3}( |$)/.test(line)))
    wake?.()
  })
  for (const event of ['end', 'error', 'close']) wire.on(event, end)
  return {
    async next(): Promise<string | undefined> {
      const timer = clock.after(PATIENCE_MS, end)
      while (lines.length === 0 && !over) await new Promise<void>((resolve) => (wake = resolve))
      timer.cancel()
      return lines.shift()
    },
    hangUp(): void {
      wire.end()
      // A server that does not close its side keeps nobody waiting.
      wire.resume()
      const timer = clock.after(5_000, () => wire.destroy())
      wire.once('close', () => timer.cancel())
      if (wire.destroyed) timer.cancel()
    },
  }
}
