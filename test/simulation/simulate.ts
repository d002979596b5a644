/**
 * A world of mail from a seed: clients, two servers made of the real blocks, other people's exchangers, bad weather and
 * crashes, over as many virtual days as it takes. The same seed gives the same story, to the last line.
 */
import { hasCode, type MailEvent, type Policy, type Resolver } from '@mailwright/core'
import { memoryStore } from '@mailwright/queue'
import { fakeDns, manualClock, seededRandom } from '@mailwright/testing'
import { A_HOST, B_HOST, CLIENT_HOST, exchange, moodyPolicy, relay } from './blueprints.ts'
import { chance } from './dice.ts'
import { type Exchangers, exchangers, GONE_ADDRESS, ZONES } from './exchangers.ts'
import { Ledger } from './ledger.ts'
import { letterText, type Submission, sendLetter } from './mail-client.ts'
import { MailServer } from './mail-server.ts'
import { type Arrival, readArrival, senderOf } from './mailboxes.ts'
import { mailroom } from './mailroom.ts'
import type { Sabotage } from './sabotage.ts'
import { DAY, drawScenario, type Letter } from './scenario.ts'
import { elapsed, eventLine } from './story.ts'
import { judge, type Outcome } from './verdict.ts'
import { weather } from './weather.ts'

export interface Report {
  readonly seed: number
  /** What went wrong; empty when all is well. */
  readonly problems: readonly string[]
  /** Everything that happened, line by line. */
  readonly story: readonly string[]
  readonly tally: Tally
}

/** How much of everything there was. */
export interface Tally {
  readonly letters: number
  readonly acknowledged: number
  readonly delivered: number
  readonly notices: number
  readonly crashes: number
  readonly restarts: number
  readonly spoiltConnections: number
  readonly storeFailures: number
  /** Copies beyond the first, each with an explanation. */
  readonly duplicates: number
}

/** Mail that expires after five days, its notice that expires after five more, and some sleep. */
const LONGEST_MS = 12 * DAY
const CLIENT_ATTEMPTS = 14

/** Runs the world of a seed to its end. Rejects only when the simulation itself is broken. */
export async function simulate(seed: number, sabotage: Sabotage = {}): Promise<Report> {
  const random = seededRandom(seed)
  const scenario = drawScenario(random)
  const clock = manualClock('2026-11-22T00:00:00Z')
  const began = clock.now()
  const story: string[] = []
  const problems: string[] = []
  const arrivals: Arrival[] = []
  const outcomes: Outcome[] = []

  const tell = (who: string, what: string): void => void story.push(`${elapsed(clock.now() - began)} ${who}: ${what}`)
  const isTroubled = (): 'yes' | 'no' => (clock.now() < began + scenario.trouble ? 'yes' : 'no')
  const dns = fakeDns(ZONES, { clock })
  const dnsWeather = random.fork('dns')
  const resolver: Resolver = {
    resolve: (name, type, call) =>
      isTroubled() === 'yes' && chance(dnsWeather, scenario.dnsFailures) === 'yes'
        ? { status: 'failed', cause: 'SERVFAIL' }
        : dns.resolve(name, type, call),
  }
  const sky = weather({
    clock,
    random: random.fork('weather'),
    storminess: () => (isTroubled() === 'yes' ? scenario.storminess : 0),
    silentHost: scenario.gone === 'silent' ? GONE_ADDRESS : undefined,
  })
  const ledger = new Ledger(() => others?.catchUp())
  const others: Exchangers = await exchangers({
    clock,
    weather: sky,
    random: random.fork('exchangers'),
    moodiness: () => (isTroubled() === 'yes' ? scenario.moodiness : 0),
    patience: scenario.patience,
    arrived({ host, sender, recipients, bytes, port }): void {
      const from = senderOf(bytes, 0)
      for (const recipient of recipients) {
        tell(host, `has ${from.id} for <${recipient}>, by port ${port}`)
        arrivals.push(readArrival({ place: host, recipient, sender, at: clock.now() }, bytes))
        ledger.copied(from, recipient, { place: host, excuse: () => sky.excuse(port) })
      }
    },
  })

  function server(name: 'a' | 'b', host: string, build: MailServerBuilder): MailServer {
    const store = memoryStore()
    return new MailServer({
      name,
      plan: scenario.servers[name],
      surroundings: { clock, dns: resolver, net: sky.net, host, cut: () => sky.memory.cut(host) },
      random: random.fork(name),
      store: sabotage.store?.(store) ?? store,
      ledger,
      build,
      excuse: (port) => sky.excuse(port),
      troubled: isTroubled,
      tell: (what) => tell(name, what),
      heard: (event) => heard(name, event),
      problem: (what) => problems.push(what),
    })
  }
  const moods = (name: 'a' | 'b'): Policy =>
    moodyPolicy(random.fork(`moods of ${name}`), () => (isTroubled() === 'yes' ? scenario.servers[name].moodiness : 0))
  const a = server('a', A_HOST, (parts) => relay({ ...parts, retry: scenario.servers.a.retry, moods: moods('a') }))
  const b = server('b', B_HOST, (parts) =>
    exchange({
      ...parts,
      retry: scenario.servers.b.retry,
      moods: moods('b'),
      unknownUsers: scenario.unknownUsers,
      around: sabotage.transport ?? ((transport) => transport),
      local: mailroom({
        life: parts.life,
        patience: scenario.patience,
        arrived({ job, recipient, bytes }): void {
          tell('mailbox', `has ${job.id} for <${recipient}>`)
          const sender =
            job.envelope.sender === null ? '' : `${job.envelope.sender.local}@${job.envelope.sender.domain}`
          arrivals.push(readArrival({ place: 'mailbox', recipient, sender, at: clock.now() }, bytes))
          ledger.copied({ keeper: 'b', id: job.id }, recipient, { place: 'mailbox', excuse: () => undefined })
        },
      }),
    }),
  )

  function heard(name: string, event: MailEvent): void {
    const line = eventLine(event)
    if (line !== undefined) tell(name, line)
    // Storage in bad weather is the one failure that may be reported.
    if (event.type === 'failure' && !hasCode(event.error, 'ERR_MAILWRIGHT_STORE')) problems.push(`${name}: ${line}`)
  }

  /** A letter's way into the first server. */
  async function send(letter: Letter): Promise<void> {
    const holding = { keeper: 'client', id: letter.messageId }
    ledger.took(holding, letter.messageId, letter.recipients)
    tell(
      'client',
      `sends ${letter.messageId} from <${letter.sender}> to ${letter.recipients.join(', ')}, ${letterText(letter).length} bytes`,
    )
    const submission = await sendLetter(
      {
        clock,
        net: sky.net,
        host: CLIENT_HOST,
        server: A_HOST,
        attempts: CLIENT_ATTEMPTS,
        tried(_letter, result: Submission, said: string): void {
          tell('client', `${letter.messageId} is ${result}: ${said}`)
          if (result === 'unknown') for (const recipient of letter.recipients) ledger.deferred(holding, recipient)
        },
      },
      letter,
    )
    const how = submission === 'acknowledged' ? 'passed on' : 'given up'
    for (const recipient of letter.recipients) ledger.released(holding, recipient, how)
    outcomes.push({ letter, submission, sentAt: began + letter.at })
  }

  /** Something to happen at its time. */
  const plan = (at: number, work: () => Promise<void>): { cancel(): void } =>
    clock.after(at, () => {
      work().catch((error: unknown) => problems.push(`a planned event failed: ${String(error)}`))
    })

  dns.fail('dark.example')
  await others.sleep()
  a.begin()
  b.begin()
  for (const letter of scenario.letters) plan(letter.at, () => send(letter))
  const planned = [
    plan(scenario.dnsBackAt, async () => dns.recover('dark.example')),
    plan(scenario.wakesAt, () => others.wake()),
    ...scenario.servers.a.restarts.map((at) => plan(at, () => a.restart())),
    ...scenario.servers.b.restarts.map((at) => plan(at, () => b.restart())),
  ]

  const isDone = (): boolean =>
    outcomes.length === scenario.letters.length && ledger.held('a') === 0 && ledger.held('b') === 0 && a.up && b.up
  while (!isDone() && clock.next !== undefined && clock.next < began + LONGEST_MS) await clock.advanceTo(clock.next)

  if (!isDone()) problems.push(`not done after ${elapsed(clock.now() - began)}`)
  for (const event of planned) event.cancel()
  others.catchUp()
  await clock.until(Promise.all([a.stop(), b.stop(), others.stop()]), '1h')
  // Clients that were hung up on close their side.
  await clock.advance('10s')
  problems.push(...ledger.problems, ...judge(outcomes, arrivals, ledger.charges), ...leftovers())

  function leftovers(): readonly string[] {
    const left = ledger.charges.filter((charge) => charge.state === 'held')
    return [
      ...left.map(({ keeper, id, recipient }) => `${keeper} still has ${id} <${recipient}>`),
      ...(sky.memory.open > 0 ? [`${sky.memory.open} ends of connections are open`] : []),
      ...(sky.memory.listening > 0 ? [`${sky.memory.listening} listeners are left`] : []),
      ...(clock.pending > 0 ? [`${clock.pending} timers are left`] : []),
      ...dns.unexpected.map(({ name, type }) => `nobody expected a question for ${type} of ${name}`),
      ...others.violations,
    ]
  }

  return {
    seed,
    problems,
    story,
    tally: {
      letters: scenario.letters.length,
      acknowledged: outcomes.filter(({ submission }) => submission === 'acknowledged').length,
      delivered: arrivals.filter(({ original }) => original === undefined).length,
      notices: arrivals.filter(({ original }) => original !== undefined).length,
      crashes: a.crashed + b.crashed,
      restarts: a.restarts + b.restarts,
      spoiltConnections: sky.spoilt,
      storeFailures: a.failures + b.failures,
      duplicates: ledger.explained,
    },
  }
}

type MailServerBuilder = ConstructorParameters<typeof MailServer>[0]['build']
