/**
 * The servers that the dialogues run against: the real intake and listener, assembled by the kernel, in front of a
 * transport that takes everything and remembers it. One for each description, in memory or on loopback; its clock is
 * always a manual one, so nothing here takes time.
 *
 * A description is words: `protocol=lmtp`, `tls`, `profile=submission`, `maxSize=1000`, `maxHeadSize=`, `maxRecipients=`,
 * `softErrorLimit=`, `hardErrorLimit=`, `errorSleep=` (ms; 0 unless given, so that no time passes), `errors=own`,
 * `maxCommandLength=`, `lineEnds=normalize`, `refuse=at-once`, `greeting=slow` (it comes after a second), `greeting=refusing`,
 * `policies=none`, `policies=slow` (each answer is a promise), `capabilities=dsn,deliverby`, `transport=full`,
 * `auth=ann:secret` (one user, PLAIN and LOGIN; with `clear` also without TLS), `etrn=example.org` (a domain whose mail is kept), `xclient` (the clients
 * are trusted hosts), `proxy` (the clients are proxies).
 */
import {
  type Authenticator,
  accept,
  type Block,
  type Capability,
  type Clock,
  type Decision,
  type DeliveryJob,
  discard,
  formatMailbox,
  close as hangUp,
  hold,
  type Network,
  type Policy,
  type Profile,
  policy,
  reject,
  reply,
  type Transport,
} from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta, systemNetwork } from '@mailwright/kernel'
import { logPostfixLines } from '@mailwright/observe'
import { passwordAuthentication, userTable } from '@mailwright/sasl'
import { type ListenerHandle, smtpListener } from '@mailwright/smtp-listener'
import {
  type ManualClock,
  manualClock,
  memoryNetwork,
  scriptedTransport,
  seededRandom,
  testAuthority,
} from '@mailwright/testing'

export type Medium = 'memory' | 'loopback'

export interface ConformanceServer {
  readonly medium: Medium
  readonly clock: ManualClock
  readonly net: Network
  readonly listener: ListenerHandle
  /** What came since it was last asked: envelope and message, our Received field apart. */
  take(): Promise<readonly Delivery[]>
  /** `failure` events, and log lines that were split or hold control characters. */
  readonly problems: readonly string[]
  stop(): Promise<void>
}

export interface Delivery {
  /** `<ann@example.net> -> <bob@example.org> body=8bitmime`. */
  readonly envelope: string
  /** How our Received field says it came: `ESMTPS`; or the whole field, when it is not well-formed. */
  readonly received: string
  /** Latin-1. */
  readonly message: string
}

const certificate = testAuthority().issue({ names: ['mx.example.org'] })
const STARTED = reply(250, '2.0.0', 'Queuing started')
const NOT_KEPT = reply(459, '4.7.1', 'No mail is kept for that domain')
/** Where the clients of these tests connect from. */
const US = ['127.0.0.0/8', '192.0.2.1']
const never = new AbortController().signal

/** Starts the server of a description. */
export async function startServer(description: string, medium: Medium): Promise<ConformanceServer> {
  const words = new Map(
    description
      .split(' ')
      .filter((word) => word !== '')
      .map((word) => [word.split('=')[0]!, word.slice(word.indexOf('=') + 1)] as const),
  )
  const clock = manualClock()
  const net = medium === 'memory' ? memoryNetwork({ clock }) : systemNetwork()
  const scripted = scriptedTransport({ outcomes: ({ address }) => outcomeFor(address.local) })
  if (words.get('transport') === 'full') scripted.refuse(reply(452, '4.3.1', 'No room for mail now'))
  const mta = createMta({
    name: 'conformance',
    environment: { clock, net, random: seededRandom(1) },
  })
  const problems: string[] = []
  mta.events.subscribe((event) => {
    if (event.type === 'failure') problems.push(`failure in ${event.where}: ${String(event.error)}`)
  })
  logPostfixLines(
    mta.events,
    (line) => {
      if (/[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(line))
        problems.push(`a log line that is none: ${JSON.stringify(line)}`)
    },
    { hostname: 'mx' },
  )
  const intake = mta.use(
    mailIntake({
      hostname: 'mx.example.org',
      transport: withCapabilities(scripted, words.get('capabilities')),
      policies: policies(words, clock),
      lineEnds: words.get('lineEnds') === 'normalize' ? 'normalize' : 'reject',
      refuse: words.get('refuse') === 'at-once' ? 'at-once' : 'at-rcpt',
      ...(words.has('etrn') ? { etrn: (domain: string) => (domain === words.get('etrn') ? STARTED : NOT_KEPT) } : {}),
      ...numbers(words, ['maxSize', 'maxHeadSize', 'maxRecipients']),
    }),
  )
  const listener = mta.use(
    smtpListener({
      intake,
      port: 0,
      protocol: words.get('protocol') === 'lmtp' ? 'lmtp' : 'smtp',
      profile: (words.get('profile') ?? 'mx') as Profile,
      errors: words.get('errors') === 'own' ? 'own' : 'all',
      errorSleep: 0,
      ...(words.has('tls') ? { tls: certificate } : {}),
      ...(words.has('auth')
        ? { auth: mta.use(oneUser(words.get('auth')!, words.has('clear') ? 'anywhere' : 'tls')) }
        : {}),
      authWithoutTls: words.has('clear') ? 'allowed' : 'never',
      ...(words.has('xclient') ? { trusted: { xclient: US } } : {}),
      ...(words.has('proxy') ? { proxy: { from: US } } : {}),
      ...numbers(words, ['softErrorLimit', 'hardErrorLimit', 'errorSleep', 'maxCommandLength']),
    }),
  )
  await mta.start()
  let taken = 0
  return {
    medium,
    clock,
    net,
    listener,
    problems,
    async take(): Promise<readonly Delivery[]> {
      const fresh = scripted.jobs.slice(taken)
      taken = scripted.jobs.length
      return Promise.all(fresh.map(deliveryOf))
    },
    stop: () => mta.stop(),
  }
}

function numbers(words: ReadonlyMap<string, string>, names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.filter((name) => words.has(name)).map((name) => [name, Number(words.get(name))]))
}

/** `name:password`. */
function oneUser(given: string, clearText: 'tls' | 'anywhere'): Block<Authenticator> {
  const [name, password] = given.split(':')
  const credentials = userTable((user) => (user === name ? `{PLAIN}${password}` : undefined))
  return passwordAuthentication({ credentials, clearText })
}

function withCapabilities(inner: Transport, given: string | undefined): Transport {
  return {
    name: inner.name,
    capabilities: new Set((given?.split(',') ?? ['smtputf8']) as Capability[]),
    deliver: (job, call) => inner.deliver(job, call),
    refusing: () => inner.refusing!(),
  }
}

/** What becomes of a recipient after DATA, by local part. */
function outcomeFor(local: string): 'ok' | `${4 | 5}${string}` {
  if (local === 'full') return '552 5.2.2 Mailbox full'
  if (local === 'busy') return '451 4.2.0 Mailbox busy'
  return 'ok'
}

/** What the policies think of clients, senders and recipients: by their names, so that a transcript says it all. */
function policies(words: ReadonlyMap<string, string>, clock: Clock): readonly Policy[] {
  if (words.get('policies') === 'none') return []
  const slow = words.get('policies') === 'slow'
  const say = (answer: Decision | undefined): Decision | undefined | Promise<Decision | undefined> =>
    slow ? Promise.resolve(answer) : answer
  return [
    policy('kept', { rcpt: ({ address }) => (address.local === 'kept' ? hold('a human shall look') : undefined) }),
    policy('by-name', {
      ...(words.get('greeting') === 'slow'
        ? { connect: () => new Promise<undefined>((resolve) => void clock.after(1_000, () => resolve(undefined))) }
        : {}),
      ...(words.get('greeting') === 'refusing' ? { connect: () => reject(reply(550, '5.7.1', 'Not you')) } : {}),
      helo: (name) =>
        say(
          name === 'bad.example'
            ? reject(reply(550, '5.7.1', 'Bad host name'))
            : name === 'bye.example'
              ? hangUp(reply(554, '5.7.1', 'Go away'))
              : undefined,
        ),
      mail: ({ sender }) =>
        say(
          sender?.local === 'spam'
            ? reject(reply(554, '5.7.1', 'No spam'))
            : sender?.local === 'later'
              ? reject(reply(450, '4.7.1', 'Not now'))
              : undefined,
        ),
      rcpt: ({ address }) => say(RECIPIENTS.get(address.local) ?? accept()),
      data: ({ sender }) =>
        say(sender?.local === 'nodata' ? reject(reply(554, '5.7.1', 'No data from you')) : undefined),
      message: (message) =>
        say(Buffer.from(message.head).includes('X-Virus') ? reject(reply(554, '5.7.1', 'Infected')) : undefined),
    }),
  ]
}

const RECIPIENTS: ReadonlyMap<string, Decision> = new Map([
  ['nobody', reject(reply(550, '5.1.1', 'No such mailbox'))],
  ['greylisted', reject(reply(450, '4.7.1', 'Try again later'))],
  ['hangup', hangUp(reply(421, '4.7.0', 'Too much'))],
  ['gone', hangUp(reply(554, '5.7.1', 'Never again'))],
  ['hole', discard()],
])

const RECEIVED =
  /^Received: from \S+ \(\[[\w.:]+\]\)(?:\r\n\t\([\w. -]+\))?\r\n\tby mx\.example\.org with (\w+) id \w+(?:\r\n\tfor <[^\r\n]*>)?;\r\n\t[\w ,:+-]+\r\n$/u

async function deliveryOf({ envelope, message, hold }: DeliveryJob): Promise<Delivery> {
  const parts: Uint8Array[] = [message.head]
  for await (const chunk of message.body({ signal: never })) parts.push(chunk)
  const bytes = Buffer.concat(parts).toString('latin1')
  const end = /\r\n(?![\t ])/.exec(bytes)!.index + 2
  const received = bytes.slice(0, end)
  const words = [
    `<${formatMailbox(envelope.sender)}>`,
    '->',
    ...envelope.recipients.map(
      ({ address, orcpt, notify }) =>
        `<${formatMailbox(address)}>${notify ? `;notify=${notify.join(',')}` : ''}${orcpt ? `;orcpt=${orcpt}` : ''}`,
    ),
    ...Object.entries(envelope.options).map(
      ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
    ),
    ...(hold === undefined ? [] : ['held']),
  ]
  return {
    envelope: words.join(' '),
    received: RECEIVED.exec(Buffer.from(received, 'latin1').toString())?.[1] ?? received,
    message: bytes.slice(end),
  }
}
