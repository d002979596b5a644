/**
 * Another host's mail server, in memory, that does what a script says. It speaks SMTP or LMTP by an implementation of
 * its own, shares no code with the servers under test, keeps the mail it received, and notes what a client must not do:
 * pipelining that was not offered, talking before it is spoken to, commands out of order. It is no example of a server.
 */
import { type Clock, type Listening, MailwrightError, type Network, type Wire } from '@mailwright/core'
import { mxConnection } from './mx-connection.ts'
import { type MxScript, prepareScript } from './mx-script.ts'

/** A message as the MX has it. */
export interface ReceivedMail {
  /** As in MAIL FROM, without brackets; empty for the null sender. */
  readonly sender: string
  readonly recipients: readonly string[]
  /** Head and body as they were sent, dot-unstuffed. */
  readonly data: Buffer
  /** The parameters of MAIL: `SIZE=100 BODY=8BITMIME`. */
  readonly parameters: string
  /** The parameters of each RCPT, in order. */
  readonly recipientParameters: readonly string[]
  readonly secure: boolean
  /** Counts connections to this MX, from 1. */
  readonly connection: number
}

export interface ScriptedMxOptions {
  readonly network: Network
  /** The address to listen on. */
  readonly host: string
  /** Default 25. */
  readonly port?: number
  /** What it calls itself. Default `mx.example.net`. */
  readonly hostname?: string
  /** Default: a healthy server. */
  readonly script?: MxScript
  readonly protocol?: 'smtp' | 'lmtp'
  /** Keywords of EHLO. Default: PIPELINING, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, DSN, SIZE. */
  readonly extensions?: readonly string[]
  /** Offers STARTTLS with this certificate. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** For delays and slow replies. */
  readonly clock?: Clock
}

export interface ScriptedMx {
  /** The mail received, in order of the final dots. */
  readonly messages: readonly ReceivedMail[]
  /** Connections made so far. */
  readonly connections: number
  /** Connections that are open. */
  readonly open: number
  /** Each connection's conversation, as `C:` and `S:` lines. */
  readonly logs: readonly (readonly string[])[]
  /** What clients did that they must not. */
  readonly violations: readonly string[]
  /** Puts another script in place, from the next command on. */
  play(script: MxScript): void
  /** Stops listening and hangs up on everybody: the host is down. `listen` brings it back. */
  down(): Promise<void>
  listen(): Promise<void>
  /** Throws if a step of the script never happened, or a client broke the protocol. */
  assertDone(): void
}

const EXTENSIONS = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'DSN', 'SIZE 10240000']

/**
 * Starts a scripted MX.
 *
 * @example
 * const mx = await scriptedMx({ network, host: '192.0.2.10', script: [{ at: 'rcpt', nth: 2, reply: '450 4.2.0 later' }] })
 * // … send mail …
 * expect(mx.messages[0].recipients).toEqual(['ann@example.org'])
 */
export async function scriptedMx(options: ScriptedMxOptions): Promise<ScriptedMx> {
  const messages: ReceivedMail[] = []
  const logs: string[][] = []
  const violations: string[] = []
  const live = new Set<{ hangUp(): void }>()
  let script = prepareScript(options.script ?? [])
  let connections = 0
  let listening: Listening | undefined

  function accept(wire: Wire): void {
    const log: string[] = []
    const connection = ++connections
    logs.push(log)
    const hangUp = mxConnection(wire, {
      connection,
      hostname: options.hostname ?? 'mx.example.net',
      protocol: options.protocol ?? 'smtp',
      extensions: options.extensions ?? EXTENSIONS,
      tls: options.tls,
      clock: options.clock,
      log,
      answer: (command, state) => script.answer(command, state),
      received: (mail) => messages.push(mail),
      violation: (text) => violations.push(`connection ${connection}: ${text}`),
      closed: () => live.delete(handle),
    })
    const handle = { hangUp }
    live.add(handle)
  }

  async function listen(): Promise<void> {
    listening ??= await options.network.listen({ host: options.host, port: options.port ?? 25 }, accept)
  }
  await listen()

  return {
    messages,
    logs,
    violations,
    get connections(): number {
      return connections
    },
    get open(): number {
      return live.size
    },
    listen,
    play(next: MxScript): void {
      script = prepareScript(next)
    },
    async down(): Promise<void> {
      await listening?.close()
      listening = undefined
      for (const one of live) one.hangUp()
    },
    assertDone(): void {
      const problems = [...script.unused().map((step) => `never happened: ${step}`), ...violations]
      if (problems.length > 0) throw new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', problems.join('; '))
    },
  }
}
