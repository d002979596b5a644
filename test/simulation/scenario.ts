/** What a seed stands for: who writes to whom and when, how bad the weather is, and when servers fail. Plain data. */
import { type Random, randomInt } from '@mailwright/core'
import { type RetrySchedule, retryAfter, retryByAge } from '@mailwright/queue'
import type { SeededRandom } from '@mailwright/testing'
import { between, chance, pick, pickSome } from './dice.ts'

export const MINUTE = 60_000
export const HOUR: number = 60 * MINUTE
export const DAY: number = 24 * HOUR

/** What must become of mail to an address, however bad the weather: all of it passes before mail expires. */
export type Fate = 'delivered' | 'returned' | 'expired'

export const ADDRESSEES: Readonly<Record<string, Fate>> = {
  'ann@home.example': 'delivered',
  'bob@home.example': 'delivered',
  'full@home.example': 'delivered',
  'barred@home.example': 'returned',
  'nobody@home.example': 'returned',
  'eve@friends.example': 'delivered',
  'fay@friends.example': 'delivered',
  'grey@friends.example': 'delivered',
  'ghost@friends.example': 'returned',
  'gil@twin.example': 'delivered',
  'hal@flaky.example': 'delivered',
  'ida@flaky.example': 'delivered',
  'grey@flaky.example': 'delivered',
  'jim@dark.example': 'delivered',
  'kim@asleep.example': 'delivered',
  'lea@gone.example': 'expired',
  'max@nullmx.example': 'returned',
  'ned@noname.example': 'returned',
}

/** `ghost` and `nobody` have no mailbox: what is returned to them is lost, as it must be. */
export const SENDERS: readonly string[] = ['ann@home.example', 'bob@home.example', 'eve@friends.example']
export const UNREACHABLE_SENDERS: readonly string[] = ['nobody@home.example', 'ghost@friends.example']

/** What a client has to send. */
export interface Letter {
  readonly messageId: string
  /** Empty for the null sender. */
  readonly sender: string
  readonly recipients: readonly string[]
  readonly body: string
  /** ms after the beginning. */
  readonly at: number
  /** Not to be delivered before so many seconds have passed (RFC 4865). */
  readonly holdFor?: number
}

/** A server's store dies at the so-manieth operation of this kind in a life, before or after it took effect. */
export interface Crash {
  readonly operation: 'put' | 'settle' | 'claim' | 'any'
  readonly nth: number
  readonly when: 'before' | 'after'
  readonly downForMs: number
}

export interface ServerPlan {
  readonly retry: RetrySchedule
  /** One for each life, as long as there are any. */
  readonly crashes: readonly Crash[]
  /** When it is stopped and started again in good order, ms after the beginning. */
  readonly restarts: readonly number[]
  /** How often an operation of the store fails during the trouble. */
  readonly storeFailures: number
  /** How often an operation of the store takes long during the trouble. */
  readonly storeLag: number
  /** How often a policy of the server refuses or fails during the trouble. */
  readonly moodiness: number
}

export interface Scenario {
  readonly letters: readonly Letter[]
  /** Until when things go wrong, ms after the beginning. */
  readonly trouble: number
  /** How likely a connection is spoilt during the trouble. */
  readonly storminess: number
  /** How likely the flaky exchangers misbehave at a command during the trouble. */
  readonly moodiness: number
  /** How often `grey` and `full` are put off. */
  readonly patience: number
  readonly dnsBackAt: number
  /** How often a name server gives no answer during the trouble. */
  readonly dnsFailures: number
  readonly wakesAt: number
  /** How the exchanger of gone.example is gone. */
  readonly gone: 'refusing' | 'silent'
  /** Whether the second server refuses unknown users of its own at RCPT, or takes them and bounces. */
  readonly unknownUsers: 'refused' | 'bounced'
  readonly servers: { readonly a: ServerPlan; readonly b: ServerPlan }
}

/** Everything the seed decides beforehand. */
export function drawScenario(seed: SeededRandom): Scenario {
  const random = seed.fork('scenario')
  const count = between(random, 5, 15)
  // Some seeds have a letter now and then; others have them come at once, so that connections are kept and shared.
  const moments = Array.from({ length: pick(random, [1, 3, 15]) }, () => randomInt(random, 8 * HOUR))
  return {
    letters: Array.from({ length: count }, (_, index) => drawLetter(random, index + 1, pick(random, moments))),
    trouble: between(random, 4, 30) * HOUR,
    storminess: pick(random, [0, 0.1, 0.25, 0.5]),
    moodiness: pick(random, [0.05, 0.15, 0.3]),
    patience: between(random, 1, 4),
    dnsFailures: pick(random, [0, 0.1, 0.4]),
    dnsBackAt: between(random, 1, 20) * HOUR,
    wakesAt: between(random, 1, 30) * HOUR,
    gone: pick(random, ['refusing', 'silent']),
    unknownUsers: pick(random, ['refused', 'bounced']),
    servers: { a: drawServer(random), b: drawServer(random) },
  }
}

function drawLetter(random: Random, number: number, moment: number): Letter {
  const kind = random.float()
  return {
    messageId: `<letter-${number}@client.example>`,
    sender: kind < 0.1 ? '' : kind < 0.2 ? pick(random, UNREACHABLE_SENDERS) : pick(random, SENDERS),
    recipients: pickSome(random, Object.keys(ADDRESSEES), between(random, 1, 4)),
    body: drawBody(random, number),
    at: moment + randomInt(random, pick(random, [1, 50, 3_000])),
  }
}

/** Lines of dots and others; now and then more than a store keeps in memory. */
function drawBody(random: Random, number: number): string {
  const lines = random.float() < 0.03 ? 2_500 : between(random, 0, 12)
  let body = ''
  for (let line = 0; line < lines; line++) {
    const start = pick(random, ['', '', '.', '..', ' '])
    body += `${start}${pick(random, ['', 'letter', 'From the sea'])} ${number} ${'x'.repeat(between(random, 0, 60))}\r\n`
  }
  return body
}

function drawServer(random: Random): ServerPlan {
  const crashes = pick(random, [0, 0, 1, 2, 3])
  return {
    retry: pick(random, [retryByAge(), retryByAge('10m', '4h'), retryAfter('5m', '15m', '1h', '3h')]),
    crashes: Array.from({ length: crashes }, () => drawCrash(random)),
    restarts: chance(random, 0.3) === 'yes' ? [randomInt(random, DAY)] : [],
    storeFailures: pick(random, [0, 0, 0.02, 0.1]),
    storeLag: pick(random, [0, 0, 0.05, 0.3]),
    moodiness: pick(random, [0, 0.02, 0.1]),
  }
}

function drawCrash(random: Random): Crash {
  const operation = pick(random, ['put', 'put', 'settle', 'settle', 'claim', 'any'] as const)
  return {
    operation,
    nth: between(random, 1, operation === 'any' ? 60 : 12),
    when: pick(random, ['before', 'after']),
    downForMs: pick(random, [1_000, MINUTE, 30 * MINUTE]),
  }
}
