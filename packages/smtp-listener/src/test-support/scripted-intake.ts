/** An intake that says what the test tells it to, and remembers what it was asked. Without a script it accepts everything. */
import {
  type Awaitable,
  type BodySink,
  type Capability,
  type ClientConnection,
  type DataAnswer,
  type Dialogue,
  formatMailbox,
  type Intake,
  type MailCommand,
  type RcptCommand,
  type Reply,
  reply,
  type Session,
} from '@mailwright/core'

export interface IntakeScript {
  readonly open?: () => void
  readonly greet?: () => Awaitable<Reply>
  readonly helo?: (name: string) => Awaitable<Reply>
  readonly mail?: (command: MailCommand) => Awaitable<Reply>
  readonly rcpt?: (command: RcptCommand) => Awaitable<Reply>
  readonly data?: () => Awaitable<DataAnswer> | undefined
  readonly write?: (chunk: Uint8Array) => Awaitable<void>
  /** Asked after each chunk, with how many bytes have come. */
  readonly hopeless?: (size: number) => Reply | undefined
  readonly end?: () => Awaitable<readonly Reply[]>
  readonly maxRecipients?: number
  /** What the transport honours. Default: SMTPUTF8. */
  readonly capabilities?: readonly Capability[]
  readonly authenticated?: (user: string, mechanism: string) => Awaitable<Reply>
  readonly etrn?: (domain: string) => Awaitable<Reply>
}

export interface ScriptedIntake extends Intake {
  /** What was asked, in order: `mail ann@example.org`, `end`, `abort`, … Greetings and chunks are left out. */
  readonly calls: string[]
  readonly messages: string[]
  readonly mails: MailCommand[]
  readonly rcpts: RcptCommand[]
  readonly clients: ClientConnection[]
  readonly closed: number
}

export function scriptedIntake(script: IntakeScript = {}): ScriptedIntake {
  const calls: string[] = []
  const messages: string[] = []
  const mails: MailCommand[] = []
  const rcpts: RcptCommand[] = []
  const clients: ClientConnection[] = []
  let closed = 0

  function bodySink(recipients: number): BodySink {
    const chunks: Uint8Array[] = []
    let size = 0
    return {
      write(chunk): Awaitable<void> {
        chunks.push(chunk)
        size += chunk.length
        return script.write?.(chunk)
      },
      hopeless: () => script.hopeless?.(size),
      end(): Awaitable<readonly Reply[]> {
        calls.push('end')
        messages.push(Buffer.concat(chunks).toString('latin1'))
        return script.end?.() ?? Array.from({ length: recipients }, () => reply(250, '2.0.0', 'queued'))
      },
      abort(): void {
        calls.push('abort')
      },
    }
  }

  return {
    hostname: 'mx.example.org',
    maxSize: 10_000_000,
    maxRecipients: script.maxRecipients ?? 100,
    capabilities: new Set(script.capabilities ?? ['smtputf8']),
    calls,
    messages,
    mails,
    rcpts,
    clients,
    get closed(): number {
      return closed
    },
    open(connection: ClientConnection): Dialogue {
      script.open?.()
      clients.push(connection)
      let recipients = 0
      let over = false
      const session: Session = {
        profile: 'mx',
        ...connection,
        id: `s${clients.length}`,
        openedAt: 0,
        extended: false,
      }
      return {
        session,
        greet: () => script.greet?.() ?? reply(220, '2.0.0', 'mx.example.org ESMTP'),
        helo(verb, name): Awaitable<Reply> {
          calls.push(`${verb.toLowerCase()} ${name}`)
          return script.helo?.(name) ?? reply(250, '2.0.0', `mx.example.org greets ${name}`)
        },
        secured(tls): void {
          calls.push(`secured ${tls.protocol}`)
        },
        authenticated(user, mechanism): Awaitable<Reply> {
          calls.push(`authenticated ${user} by ${mechanism}`)
          return script.authenticated?.(user, mechanism) ?? reply(235, '2.7.0', 'welcome')
        },
        notAuthenticated(mechanism, reason, user): void {
          calls.push(`not authenticated ${user ?? 'nobody'} by ${mechanism}: ${reason}`)
        },
        claimed(claims): Awaitable<Reply> {
          calls.push(`claimed ${claims.client?.address ?? ''} ${claims.user ?? ''}`.trim())
          return reply(220, '2.0.0', 'mx.example.org ESMTP')
        },
        etrn(domain): Awaitable<Reply> {
          calls.push(`etrn ${domain}`)
          return script.etrn?.(domain) ?? reply(250, '2.0.0', 'queueing started')
        },
        vrfy(argument): Awaitable<Reply> {
          calls.push(`vrfy ${argument}`)
          return reply(252, '2.0.0', 'try it')
        },
        mail(command): Awaitable<Reply> {
          calls.push(`mail ${formatMailbox(command.sender)}`)
          mails.push(command)
          recipients = 0
          return script.mail?.(command) ?? reply(250, '2.1.0', 'sender ok')
        },
        rcpt(command): Awaitable<Reply> {
          calls.push(`rcpt ${formatMailbox(command.recipient)}`)
          rcpts.push(command)
          recipients++
          return script.rcpt?.(command) ?? reply(250, '2.1.5', 'recipient ok')
        },
        data(form): Awaitable<DataAnswer> {
          calls.push(form === 'bdat' ? 'bdat' : 'data')
          return script.data?.() ?? { kind: 'go', body: bodySink(recipients) }
        },
        reset(): void {
          calls.push('reset')
        },
        refused(stage, refusal, detail): void {
          calls.push(`refused ${stage} ${refusal.code}${detail?.reason === undefined ? '' : ` ${detail.reason}`}`)
        },
        close(): void {
          if (over) calls.push('closed twice')
          over = true
          closed++
        },
      }
    },
  }
}
