/**
 * The client's side of an SMTP dialogue, line by line. Everything said is kept; when an answer is not the one expected,
 * the error shows the whole conversation up to there. It checks nothing but what it is told to check.
 */
import { MailwrightError, type Wire } from '@mailwright/core'
import { dotStuffer } from '@mailwright/message'

/** A whole answer of the server, multi-line or not (RFC 5321 §4.2.1). */
export interface DialogueReply {
  readonly code: number
  /** Each line as it came, with code and separator, without CRLF. */
  readonly lines: readonly string[]
  /** The texts of the lines, joined by line breaks. */
  readonly text: string
}

/** What an answer must be: its code, or how one of its lines begins. */
export type ExpectedReply = number | string

export interface Dialogue {
  /** The wire as it is now: after `upgrade`, the secure one. */
  readonly wire: Wire
  /** The conversation so far, as `C:` and `S:` lines. */
  readonly log: readonly string[]
  /** Waits for the next answer and checks it. */
  expect(expected: ExpectedReply): Promise<DialogueReply>
  /** Sends lines, in one write; waits for nothing. */
  send(...lines: readonly string[]): void
  /** Sends bytes as they are. */
  sendRaw(bytes: string | Uint8Array): void
  /** Sends a line and checks the answer. */
  command(line: string, expected: ExpectedReply): Promise<DialogueReply>
  /** Sends a message after 354, dot-stuffed and with the final dot, and checks the answer to it. */
  data(message: string | Uint8Array, expected?: ExpectedReply): Promise<DialogueReply>
  /**
   * Plays a conversation: sends what stands after `C:`, checks that the server says what stands after `S:`. An `S:` line
   * is a beginning: `S: 250` matches any line of a 250. `C:` lines that follow each other leave in one write. `S: <closed>`
   * waits for the end of the connection, `C: <close>` ends it. Empty lines and lines starting with `#` are skipped.
   */
  transcript(text: string): Promise<void>
  /** One MAIL, a RCPT for each recipient, DATA, the message: each must be answered well. The last answer. */
  mail(sender: string, recipients: readonly string[], message: string | Uint8Array): Promise<DialogueReply>
  /** Goes on over another wire: after STARTTLS. Fails if the server had said more than was read. */
  upgrade(secure: (wire: Wire) => Promise<Wire>): Promise<void>
  /** Waits until the server has closed the connection; fails when it says something first. */
  closed(): Promise<void>
  /** Closes the connection from this side, at once. */
  destroy(): void
}

export interface DialogueOptions {
  /** Ends the wait for an answer that does not come. Default: ten seconds of real time, so that a test fails readably. */
  readonly signal?: () => AbortSignal
}

/**
 * Speaks SMTP over a wire.
 *
 * @example
 * const client = dialogue(await net.connect({ host: '192.0.2.10', port: 25 }, call))
 * await client.transcript(`
 *   S: 220
 *   C: EHLO client.example.org
 *   S: 250
 *   C: MAIL FROM:<ann@example.org>
 *   S: 250 2.1.0
 * `)
 */
export function dialogue(start: Wire, options: DialogueOptions = {}): Dialogue {
  const patience = options.signal ?? (() => AbortSignal.timeout(10_000))
  const log: string[] = []
  let wire = start
  let lines: string[] = []
  let partial = ''
  let ended = false
  let wake: (() => void) | undefined

  const hear = (bytes: Buffer): void => {
    const parts = (partial + bytes.toString('latin1')).split('\r\n')
    partial = parts.pop()!
    lines.push(...parts.map((line) => Buffer.from(line, 'latin1').toString()))
    wake?.()
  }
  const end = (): void => {
    ended = true
    wake?.()
  }
  function attach(): void {
    wire.on('data', hear)
    wire.on('end', end)
    wire.on('close', end)
    wire.on('error', end)
  }
  attach()

  function unexpected(wanted: string, got: string): MailwrightError {
    const told = [...log, `S: ${got}`].map((line) => `  ${line}`).join('\n')
    return new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', `expected ${wanted}, got ${got}\n${told}`)
  }

  async function nextLine(wanted: string): Promise<string> {
    const signal = patience()
    while (lines.length === 0) {
      if (ended) throw unexpected(wanted, partial === '' ? '<closed>' : `<closed> after ${JSON.stringify(partial)}`)
      if (signal.aborted) throw unexpected(wanted, partial === '' ? '<silence>' : JSON.stringify(partial))
      await new Promise<void>((resolve) => {
        wake = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      wake = undefined
    }
    return lines.shift()!
  }

  function matches(line: string, expected: ExpectedReply): boolean {
    return typeof expected === 'number'
      ? /^\d{3}/.test(line) && Number(line.slice(0, 3)) === expected
      : line.startsWith(expected)
  }

  async function expectReply(expected: ExpectedReply): Promise<DialogueReply> {
    const heard: string[] = []
    const wanted = typeof expected === 'number' ? String(expected) : JSON.stringify(expected)
    for (;;) {
      const line = await nextLine(wanted)
      heard.push(line)
      if (!/^\d{3}-/.test(line)) break
    }
    if (!heard.some((line) => matches(line, expected))) throw unexpected(wanted, heard.join('\n  S: '))
    log.push(...heard.map((line) => `S: ${line}`))
    return {
      code: Number(heard.at(-1)!.slice(0, 3)),
      lines: heard,
      text: heard.map((line) => line.slice(4)).join('\n'),
    }
  }

  function send(...sent: readonly string[]): void {
    log.push(...sent.map((line) => `C: ${line}`))
    wire.write(sent.map((line) => `${line}\r\n`).join(''))
  }

  function sendRaw(bytes: string | Uint8Array): void {
    log.push(`C: <${bytes.length} bytes>`)
    wire.write(bytes)
  }

  async function command(line: string, expected: ExpectedReply): Promise<DialogueReply> {
    send(line)
    return expectReply(expected)
  }

  async function data(message: string | Uint8Array, expected: ExpectedReply = 250): Promise<DialogueReply> {
    const bytes = Buffer.from(message)
    const stuffer = dotStuffer()
    const stuffed = stuffer.push(bytes)
    log.push(`C: <message of ${bytes.length} bytes>`)
    wire.write(Buffer.concat([stuffed, stuffer.end()]))
    return expectReply(expected)
  }

  async function closed(): Promise<void> {
    const signal = patience()
    while (!ended) {
      if (lines.length > 0 || partial !== '') break
      if (signal.aborted) throw unexpected('<closed>', '<silence>')
      await new Promise<void>((resolve) => {
        wake = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
      wake = undefined
    }
    if (lines.length > 0 || partial !== '') throw unexpected('<closed>', [...lines, partial].join('\n  S: ').trimEnd())
    log.push('S: <closed>')
  }

  async function transcript(text: string): Promise<void> {
    let toSend: string[] = []
    const flush = (): void => {
      if (toSend.length > 0) send(...toSend)
      toSend = []
    }
    for (const raw of text.split('\n')) {
      const step = raw.trim()
      if (step === '' || step.startsWith('#')) continue
      const said = step.slice(2).replace(/^ /, '')
      if (step.startsWith('C:') && said !== '<close>') {
        toSend.push(said)
        continue
      }
      flush()
      if (step === 'C: <close>') wire.end()
      else if (step === 'S: <closed>') await closed()
      else if (step.startsWith('S:')) await expectStep(said)
      else throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `neither C: nor S: in a transcript: ${step}`)
    }
    flush()
  }

  /** One `S:` line: the next line if it names a line of a multi-line answer, else the whole of the next answer. */
  async function expectStep(said: string): Promise<void> {
    if (/^\d{3}-/.test(said)) {
      const line = await nextLine(said)
      if (!line.startsWith(said)) throw unexpected(said, line)
      log.push(`S: ${line}`)
    } else await expectReply(said)
  }

  return {
    get wire(): Wire {
      return wire
    },
    log,
    expect: expectReply,
    send,
    sendRaw,
    command,
    data,
    transcript,
    closed,
    async mail(sender, recipients, message): Promise<DialogueReply> {
      await command(`MAIL FROM:<${sender}>`, 250)
      for (const recipient of recipients) await command(`RCPT TO:<${recipient}>`, 250)
      await command('DATA', 354)
      return data(message)
    },
    async upgrade(secure: (wire: Wire) => Promise<Wire>): Promise<void> {
      if (lines.length > 0 || partial !== '') throw unexpected('<handshake>', [...lines, partial].join(' '))
      for (const [event, listener] of [
        ['data', hear],
        ['end', end],
        ['close', end],
        ['error', end],
      ] as const)
        wire.off(event, listener)
      wire.pause()
      wire = await secure(wire)
      log.push('C: <handshake>')
      lines = []
      attach()
    },
    destroy(): void {
      log.push('C: <gone>')
      wire.destroy()
    },
  }
}
