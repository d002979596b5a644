/**
 * An SMTP server in memory that agrees to everything but what the test has it answer otherwise. It keeps what it was
 * sent, also in which pieces: each piece is one write of the client.
 */
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { Network, Wire } from '@mailwright/core'

/** What the server does with a command; a string is a reply (its lines without the last CRLF). */
export type Answer = string | { readonly say?: string; readonly and: 'close' | 'reset' | 'silence' }

export interface Visit {
  /** Counts connections from 1. */
  readonly nth: number
  /** Commands in the order they came, without CRLF; messages as `<message>`. */
  readonly commands: string[]
  /** What came in one piece. */
  readonly pieces: string[]
  /** Messages as they came: by DATA still dot-stuffed and without the final dot, by BDAT as they are. */
  readonly messages: string[]
  secure: boolean
  wire: Wire
  state: 'open' | 'closed'
}

export interface ServerOptions {
  /** An address, or the path of a unix socket. */
  readonly host?: string
  readonly port?: number
  /** In LMTP each recipient accepted is answered for after a message, asked for as `<message> <bob@example.org>`. */
  readonly protocol?: 'smtp' | 'lmtp'
  /** Default PIPELINING, SIZE 10000000, 8BITMIME. */
  readonly capabilities?: readonly string[]
  /** Asked for `<greeting>`, each command, and `<message>`; undefined means the usual answer. */
  readonly answer?: (command: string, visit: Visit) => Answer | undefined | Promise<Answer | undefined>
  /** What STARTTLS is done with. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

export interface ScriptedServer {
  readonly visits: Visit[]
  /** All messages of all visits. */
  readonly messages: readonly string[]
  close(): Promise<void>
}

const DEFAULT_CAPABILITIES = ['PIPELINING', 'SIZE 10000000', '8BITMIME']

/** Starts a server on the in-memory network. */
export async function scriptedServer(net: Network, options: ServerOptions = {}): Promise<ScriptedServer> {
  const visits: Visit[] = []
  // One for all connections, or no session could be resumed.
  const secureContext = options.tls === undefined ? undefined : createSecureContext(options.tls)
  const listening = await net.listen({ host: options.host ?? '192.0.2.25', port: options.port ?? 25 }, (wire) => {
    const visit: Visit = {
      nth: visits.length + 1,
      commands: [],
      pieces: [],
      messages: [],
      secure: false,
      wire,
      state: 'open',
    }
    visits.push(visit)
    void serve(visit, options, secureContext)
  })
  return {
    visits,
    get messages(): readonly string[] {
      return visits.flatMap((visit) => visit.messages)
    },
    async close(): Promise<void> {
      await listening.close()
      for (const visit of visits) visit.wire.destroy()
    },
  }
}

async function serve(visit: Visit, options: ServerOptions, secureContext: SecureContext | undefined): Promise<void> {
  let unread = ''
  let wake = (): void => undefined
  function attach(wire: Wire): void {
    visit.wire = wire
    wire.on('data', (chunk: Buffer) => {
      visit.pieces.push(chunk.toString('latin1'))
      unread += chunk.toString('latin1')
      wake()
    })
    wire.on('error', () => undefined)
    wire.on('close', () => {
      if (visit.wire !== wire) return
      visit.state = 'closed'
      wake()
    })
  }
  /** What comes before the mark; undefined when the client has gone. */
  async function until(mark: string): Promise<string | undefined> {
    for (;;) {
      const at = unread.indexOf(mark)
      if (at >= 0) {
        const text = unread.slice(0, at)
        unread = unread.slice(at + mark.length)
        return text
      }
      if (visit.state === 'closed') return undefined
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  /** The next so many bytes; undefined when the client has gone. */
  async function next(size: number): Promise<string | undefined> {
    while (unread.length < size) {
      if (visit.state === 'closed') return undefined
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    const text = unread.slice(0, size)
    unread = unread.slice(size)
    return text
  }
  /** Whether the reply given is the usual one. */
  async function respond(command: string, usual: string): Promise<'usual' | 'other' | 'over'> {
    visit.commands.push(command)
    const answer = (await options.answer?.(command, visit)) ?? usual
    if (typeof answer === 'string') {
      visit.wire.write(`${answer.replace(/\n/g, '\r\n')}\r\n`)
      return answer === usual ? 'usual' : 'other'
    }
    if (answer.say !== undefined) visit.wire.write(answer.say)
    if (answer.and === 'close') visit.wire.end()
    if (answer.and === 'reset') visit.wire.destroy(new Error('reset'))
    return 'over'
  }

  let accepted: string[] = []
  /** What follows a message: one answer, or in LMTP one for each recipient. */
  async function conclude(): Promise<'on' | 'over'> {
    const questions = options.protocol === 'lmtp' ? accepted.map((path) => `<message> ${path}`) : ['<message>']
    accepted = []
    for (const question of questions) {
      if ((await respond(question, '250 2.0.0 queued as 4711')) === 'over') return 'over'
    }
    return 'on'
  }

  attach(visit.wire)
  if ((await respond('<greeting>', '220 mx.example.org ESMTP')) === 'over') return
  for (;;) {
    const line = await until('\r\n')
    if (line === undefined) return
    const chunk = /^BDAT (\d+) LAST$/.exec(line)
    if (chunk !== null) {
      visit.commands.push(line)
      const text = await next(Number(chunk[1]))
      if (text === undefined) return
      visit.messages.push(text)
      if ((await conclude()) === 'over') return
      continue
    }
    const offered = options.capabilities ?? DEFAULT_CAPABILITIES
    const extensions = [...offered, ...(options.tls !== undefined && !visit.secure ? ['STARTTLS'] : [])]
    const verb = line.split(/[ :]/)[0]
    const usual =
      verb === (options.protocol === 'lmtp' ? 'LHLO' : 'EHLO')
        ? ['mx.example.org', ...extensions]
            .map((text, at, all) => `250${at < all.length - 1 ? '-' : ' '}${text}`)
            .join('\n')
        : verb === 'DATA'
          ? options.protocol === 'lmtp' && accepted.length === 0
            ? '503 5.5.1 no recipients'
            : '354 go ahead'
          : verb === 'QUIT'
            ? '221 2.0.0 bye'
            : verb === 'STARTTLS'
              ? '220 2.0.0 ready'
              : '250 2.0.0 ok'
    const given = await respond(line, usual)
    if (given === 'over') return
    if (verb === 'MAIL' || verb === 'RSET') accepted = []
    if (verb === 'RCPT' && given === 'usual') accepted.push(line.slice('RCPT TO:'.length))
    if (verb === 'QUIT') visit.wire.end()
    if (verb === 'STARTTLS' && given === 'usual' && secureContext !== undefined) {
      const plain = visit.wire
      plain.removeAllListeners('data')
      visit.secure = true
      attach(new TLSSocket(plain as never, { isServer: true, secureContext }) as never)
    }
    if (verb === 'DATA' && given === 'usual' && usual.startsWith('354')) {
      // The CRLF of the DATA line may be the one before the final dot.
      unread = `\r\n${unread}`
      const text = await until('\r\n.\r\n')
      if (text === undefined) return
      visit.messages.push(text.length === 0 ? '' : `${text.slice(2)}\r\n`)
      if ((await conclude()) === 'over') return
    }
  }
}
