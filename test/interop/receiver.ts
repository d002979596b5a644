/**
 * A server of ours within the test, on loopback, that keeps what it takes: what clients of every kind are let loose on.
 *
 * It says what its recipients' local parts say: `nobody` does not exist, `later` is not served now, `full` is refused
 * after the message (by LMTP, it alone). Everybody else gets the mail. Events of the kind `failure` fail the test.
 */
import {
  type Authenticator,
  accept,
  type Capability,
  type DeliveryJob,
  type Envelope,
  type MailEvent,
  type MessageId,
  type Outcome,
  type Policy,
  policy,
  type Recipient,
  type RecipientId,
  reject,
  reply,
  type Session,
  type Transport,
} from '@mailwright/core'
import { type MailIntakeOptions, mailIntake } from '@mailwright/intake'
import { createMta, type Mta } from '@mailwright/kernel'
import { memoryStore } from '@mailwright/queue'
import { type PasswordMechanism, passwordAuthentication, userTable } from '@mailwright/sasl'
import { type ListenerHandle, type SmtpListenerOptions, smtpListener } from '@mailwright/smtp-listener'
import { type TestAuthority, testAuthority } from '@mailwright/testing'
import { expect, onTestFinished } from 'vitest'

export interface ReceivedMail {
  /** The session as it was when the message was accepted. */
  readonly session: Session
  readonly envelope: Envelope
  /** As it came: without the Received field that we put on top. */
  readonly bytes: Buffer
}

export interface Receiver {
  readonly port: number
  readonly listener: ListenerHandle
  /** In the order in which they were accepted. */
  readonly mails: readonly ReceivedMail[]
  readonly events: readonly MailEvent[]
}

export interface ReceiverOptions {
  readonly listener?: Partial<SmtpListenerOptions>
  readonly intake?: Partial<MailIntakeOptions>
  /** Makes who checks the users. */
  readonly auth?: (mta: Mta) => Authenticator
  /** Default: DSN, SMTPUTF8 and BINARYMIME. */
  readonly capabilities?: readonly Capability[]
}

/** Who signed the certificate of every receiver: `localhost`, and other names for those who ask for them. */
export const authority: TestAuthority = testAuthority()
/** The receivers' own. */
export const certificate: { readonly key: string; readonly cert: string } = authority.issue({ names: ['localhost'] })

const never = new AbortController().signal

/** A submission service with one user: ann, whose password is `pencil`. */
export function annSubmits(mechanisms: readonly PasswordMechanism[]): ReceiverOptions {
  const credentials = userTable((user) => (user === 'ann' ? '{PLAIN}pencil' : undefined))
  return {
    auth: (mta) => mta.use(passwordAuthentication({ credentials, mechanisms })),
    listener: { profile: 'submission', tls: certificate },
  }
}

/** Starts one. It is ended with the test. */
export async function startReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const mta = createMta({ name: 'receiver' })
  const events: MailEvent[] = []
  const mails: ReceivedMail[] = []
  const kept = new Map<MessageId, Omit<ReceivedMail, 'session'>>()
  mta.events.subscribe((event) => {
    events.push(event)
    if (event.type === 'message.accepted') mails.push({ session: event.session, ...kept.get(event.message)! })
  })
  const intake = mta.use(
    mailIntake({
      hostname: 'mx.example.org',
      transport: keeper(kept, options.capabilities ?? ['dsn', 'smtputf8', 'binarymime']),
      policies: [byName],
      ...options.intake,
    }),
  )
  const auth = options.auth === undefined ? {} : { auth: options.auth(mta) }
  const place = options.listener?.path === undefined ? { port: 0 } : {}
  const listener = mta.use(smtpListener({ intake, ...place, ...auth, ...options.listener }))
  await mta.start()
  onTestFinished(async () => {
    await mta.stop()
    expect(events.filter(({ type }) => type === 'failure')).toEqual([])
  })
  return { port: listener.address.port, listener, mails, events }
}

const byName: Policy = policy('by-name', {
  rcpt: ({ address }) => {
    if (address.local === 'nobody') return reject(reply(550, '5.1.1', 'No such mailbox'))
    if (address.local === 'later') return reject(reply(450, '4.2.0', 'Not now'))
    return accept()
  },
})

function keeper(kept: Map<MessageId, Omit<ReceivedMail, 'session'>>, capabilities: readonly Capability[]): Transport {
  const store = memoryStore()
  return {
    name: 'keeper',
    capabilities: new Set(capabilities),
    spool: () => store.spool(),
    async deliver({ id, envelope, message }: DeliveryJob): Promise<ReadonlyMap<RecipientId, Outcome>> {
      const parts: Uint8Array[] = [message.head]
      for await (const chunk of message.body({ signal: never })) parts.push(chunk)
      kept.set(id, { envelope, bytes: withoutReceived(Buffer.concat(parts)) })
      return new Map(envelope.recipients.map((recipient) => [recipient.id, outcomeFor(recipient)]))
    },
  }
}

function outcomeFor({ address }: Recipient): Outcome {
  return address.local === 'full'
    ? { status: 'failed', reply: reply(552, '5.2.2', 'Mailbox full') }
    : { status: 'ok', action: 'delivered', reply: reply(250, '2.0.0', 'Kept') }
}

function withoutReceived(bytes: Buffer): Buffer {
  const field = /^Received: from [\s\S]*?\r\n(?![\t ])/.exec(bytes.toString('latin1', 0, 2_000))![0]
  return bytes.subarray(field.length)
}

/** `ann@example.net -> bob@example.org jürgen@example.org`. */
export function envelopeText({ sender, recipients }: Envelope): string {
  const text = (address: Recipient['address'] | null): string =>
    address === null ? '<>' : `${address.local}@${address.domain}`
  return `${text(sender)} -> ${recipients.map(({ address }) => text(address)).join(' ')}`
}
