/** A dialogue with everything around it a test may want to look at. */
import {
  accept,
  type Dialogue,
  formatMailbox,
  type MailCommand,
  type Policy,
  type Profile,
  policy,
  type RcptCommand,
  type Reply,
  replyLine,
  type TlsFacts,
  type Transport,
} from '@mailwright/core'
import {
  type ManualClock,
  mailbox,
  type RecordedEvents,
  type ScriptedTransport,
  scriptedTransport,
  testEnvironment,
  testScope,
} from '@mailwright/testing'
import { type MailIntakeOptions, mailIntake } from '../mail-intake.ts'

export interface Conversation {
  readonly dialogue: Dialogue
  readonly events: RecordedEvents
  readonly clock: ManualClock
  /** Each step answers with the reply as one line. */
  greet(): Promise<string>
  helo(verb?: 'HELO' | 'EHLO' | 'LHLO', name?: string): Promise<string>
  mail(sender?: string, given?: Partial<MailCommand>): Promise<string>
  rcpt(recipient?: string, given?: Partial<RcptCommand>): Promise<string>
  /** DATA, the message in these pieces, and its end. All replies, or the refusal of DATA. */
  data(...pieces: readonly (string | Uint8Array)[]): Promise<readonly string[]>
  /** Greeting, EHLO, MAIL and one RCPT for each recipient; each must be accepted. */
  upToData(...recipients: readonly string[]): Promise<void>
  /** The refusals told to subscribers: `stage policy reply`. */
  readonly refusals: readonly string[]
}

export type ConversationOptions = Partial<MailIntakeOptions> & {
  readonly protocol?: 'smtp' | 'lmtp'
  readonly tls?: TlsFacts
  readonly profile?: Profile
  /** Whether anybody hears events. Default `listeners`. */
  readonly heard?: 'listeners' | 'nobody'
}

/** Accepts every recipient. */
export const acceptAll: Policy = policy('accept-all', { rcpt: () => accept() })
export const MESSAGE = 'Subject: hi\r\nMessage-ID: <1@example.net>\r\n\r\nHello\r\n'

/** A transport that takes everything. */
export function willing(): ScriptedTransport {
  return scriptedTransport({ outcomes: { '*': 'ok' } })
}

/** Without policies every recipient is accepted; without a transport everything is delivered. */
export function conversation(options: ConversationOptions = {}): Conversation {
  const { protocol = 'smtp', profile, tls, heard = 'listeners', ...given } = options
  const environment = testEnvironment()
  const scope = testScope({ environment })
  const transport: Transport = given.transport ?? willing()
  const intake = mailIntake({ hostname: 'mx.example.org', policies: [acceptAll], ...given, transport }).create({
    ...scope,
    ...(heard === 'listeners' ? {} : { events: { ...scope.events, wants: () => false } }),
  })
  const dialogue = intake.open({
    protocol,
    ...(profile === undefined ? {} : { profile }),
    client: { address: '192.0.2.7', port: 40_000 },
    server: { address: '192.0.2.25', port: 25 },
    tls,
  })
  const line = (answer: Reply): string => replyLine(answer)
  const steps: Conversation = {
    dialogue,
    events: scope.events,
    clock: environment.clock,
    async greet(): Promise<string> {
      return line(await dialogue.greet())
    },
    async helo(verb = protocol === 'lmtp' ? 'LHLO' : 'EHLO', name = 'client.example.net'): Promise<string> {
      return line(await dialogue.helo(verb, name))
    },
    async mail(sender = 'sender@example.net', more = {}): Promise<string> {
      return line(await dialogue.mail({ sender: sender === '' ? null : mailbox(sender), options: {}, ...more }))
    },
    async rcpt(recipient = 'ann@example.org', more = {}): Promise<string> {
      return line(await dialogue.rcpt({ recipient: mailbox(recipient), ...more }))
    },
    async data(...pieces): Promise<readonly string[]> {
      const answer = await dialogue.data()
      if (answer.kind === 'refuse') return [line(answer.reply)]
      for (const piece of pieces) await answer.body.write(Buffer.from(piece))
      return (await answer.body.end()).map(line)
    },
    async upToData(...recipients): Promise<void> {
      const answers = [await steps.greet(), await steps.helo(), await steps.mail()]
      for (const recipient of recipients.length === 0 ? ['ann@example.org'] : recipients)
        answers.push(await steps.rcpt(recipient))
      const refused = answers.filter((answer) => !answer.startsWith('2'))
      if (refused.length > 0) throw new Error(`refused: ${refused.join('; ')}`)
    },
    get refusals(): readonly string[] {
      return scope.events
        .of('dialogue.refused')
        .map(({ stage, policy: name, reply, recipient }) =>
          [stage, name, replyLine(reply), ...(recipient ? [`for ${formatMailbox(recipient)}`] : [])].join(' '),
        )
    },
  }
  return steps
}
