/**
 * A day of mail that is always the same: senders, an unknown user, a greylisting host, a host that is gone, mail for
 * later, and an operator at work. One server lives through it, in fair weather, and may be crashed at any effect.
 */
import { hasCode, policy, type QueueStore, sleep } from '@mailwright/core'
import { type MessageQueue, memoryStore, type RetrySchedule, retryAfter } from '@mailwright/queue'
import { fakeDns, manualClock, seededRandom } from '@mailwright/testing'
import { adversary, type Disk } from './adversary.ts'
import { A_HOST, B_HOST, exchange } from './blueprints.ts'
import { type Exchangers, exchangers, ZONES } from './exchangers.ts'
import { Ledger } from './ledger.ts'
import { sendLetter } from './mail-client.ts'
import { MailServer } from './mail-server.ts'
import { type Arrival, readArrival, senderOf } from './mailboxes.ts'
import { mailroom } from './mailroom.ts'
import { DAY, HOUR, type Letter, MINUTE } from './scenario.ts'
import { elapsed, eventLine } from './story.ts'
import { judge, type Outcome } from './verdict.ts'
import { weather } from './weather.ts'

export interface DayOptions {
  readonly disk: Disk
  /** The effect at which the server crashes; without it, it lives. */
  readonly point?: number
  /** A bug to put between the queue and its store. */
  readonly sabotage?: (store: QueueStore) => QueueStore
}

export interface DayReport {
  readonly problems: readonly string[]
  /** Effects of the server in the whole story. */
  readonly effects: number
  readonly crashes: number
  /** Copies beyond the first, each with an explanation. */
  readonly duplicates: number
  /** Where the server died. */
  readonly death: string | undefined
  readonly story: readonly string[]
}

const SECOND = 1_000
const DOWN_MS = 1_000
const RETRY: RetrySchedule = retryAfter('10m', '1h', '12h')
const LONGEST_MS = 11 * DAY

function letter(number: number, at: number, sender: string, ...recipients: readonly string[]): Letter {
  const body = `.letter ${number}\r\n..\r\n${'From here on\r\n'.repeat(number)}`
  return { messageId: `<letter-${number}@client.example>`, sender, recipients, body, at }
}

const LETTERS: readonly Letter[] = [
  letter(1, 0, 'ann@home.example', 'eve@friends.example'),
  letter(2, 0, 'bob@home.example', 'fay@friends.example', 'gil@twin.example', 'ann@home.example'),
  letter(3, 5 * SECOND, 'ann@home.example', 'ghost@friends.example', 'eve@friends.example'),
  letter(4, 10 * SECOND, 'eve@friends.example', 'grey@friends.example', 'full@home.example'),
  letter(5, 15 * SECOND, 'bob@home.example', 'lea@gone.example'),
  letter(6, 20 * SECOND, '', 'barred@home.example'),
  { ...letter(7, 1 * MINUTE, 'ann@home.example', 'fay@friends.example'), holdFor: 3_600 },
  letter(8, 2 * HOUR + 5 * MINUTE, 'bob@home.example', 'gil@twin.example', 'max@nullmx.example'),
]

/** What the operator does, in this order, each when its time has come and the one before is done. */
const ORDERS: readonly { readonly at: number; readonly give: (queue: MessageQueue) => Promise<unknown> }[] = [
  { at: 30 * SECOND, give: (queue) => queue.hold({ recipient: 'grey@friends.example' }, 'looks odd') },
  { at: 20 * MINUTE, give: (queue) => queue.release({ recipient: 'grey@friends.example' }) },
  { at: 40 * MINUTE, give: (queue) => queue.requeue({ recipient: '@gone.example' }) },
  {
    at: 2 * HOUR,
    give: (queue) => queue.suspend({ kind: 'lane', lane: 'smtp:twin.example' }, { reason: 'they move' }),
  },
  { at: 3 * HOUR, give: (queue) => queue.resume({ kind: 'lane', lane: 'smtp:twin.example' }) },
  { at: 4 * HOUR, give: (queue) => queue.flush({}) },
]
const ORDER_PATIENCE_MS = 30 * SECOND

/** Lives through the day, and as many more as the last letter takes to expire. */
export async function scriptedDay({ disk, point, sabotage = (store) => store }: DayOptions): Promise<DayReport> {
  const random = seededRandom(1)
  const clock = manualClock('2026-11-22T00:00:00Z')
  const began = clock.now()
  const problems: string[] = []
  const story: string[] = []
  const arrivals: Arrival[] = []
  const outcomes: Outcome[] = []
  const tell = (who: string, what: string): void => void story.push(`${elapsed(clock.now() - began)} ${who}: ${what}`)
  const arrived = (arrival: Arrival): void => void arrivals.push(arrival)

  const dns = fakeDns(ZONES, { clock })
  const sky = weather({ clock, random: random.fork('weather'), storminess: () => 0, silentHost: undefined })
  const ledger = new Ledger(() => others?.catchUp())
  const others: Exchangers = await exchangers({
    clock,
    weather: sky,
    random: random.fork('exchangers'),
    moodiness: () => 0,
    patience: 2,
    arrived({ host, sender, recipients, bytes, port }): void {
      const from = senderOf(bytes, 0)
      for (const recipient of recipients) {
        tell(host, `has ${from.id} for <${recipient}>, by port ${port}`)
        arrived(readArrival({ place: host, recipient, sender, at: clock.now() }, bytes))
        ledger.copied(from, recipient, { place: host, excuse: () => sky.excuse(port) })
      }
    },
  })

  /** A moment later: a client learns that it is connected before it learns that it is not any more. */
  const cut = (): void => void setImmediate(() => sky.memory.cut(B_HOST))

  let death: string | undefined
  let queue: MessageQueue | undefined
  const foe = adversary({
    disk,
    point,
    strike(what): void {
      death = what
      server.crash(what, DOWN_MS)
    },
  })
  const server = new MailServer({
    name: 'b',
    plan: { retry: RETRY, crashes: [], restarts: [], storeFailures: 0, storeLag: 0, moodiness: 0 },
    surroundings: { clock, dns, net: foe.watched(sky.net), host: B_HOST, cut },
    random: random.fork('b'),
    store: memoryStore(),
    ledger,
    adversary: foe,
    excuse: (port) => sky.excuse(port),
    troubled: () => 'no',
    tell: (what) => tell('b', what),
    problem: (what) => problems.push(what),
    heard(event): void {
      const line = eventLine(event)
      if (line !== undefined) tell('b', line)
      if (event.type === 'failure' && !hasCode(event.error, 'ERR_MAILWRIGHT_STORE')) problems.push(`b: ${line}`)
    },
    build: ({ environment, store, life }) =>
      exchange({
        environment,
        store: sabotage(store),
        retry: RETRY,
        moods: policy('none', {}),
        unknownUsers: 'refused',
        around: (transport) => transport,
        queue: (made) => {
          queue = made
        },
        local: mailroom({
          life,
          patience: 2,
          arrived({ job, recipient, bytes }): void {
            tell('mailbox', `has ${job.id} for <${recipient}>`)
            const { sender } = job.envelope
            const from = sender === null ? '' : `${sender.local}@${sender.domain}`
            arrived(readArrival({ place: 'mailbox', recipient, sender: from, at: clock.now() }, bytes))
            ledger.copied({ keeper: 'b', id: job.id }, recipient, { place: 'mailbox', excuse: () => undefined })
          },
        }),
      }),
  })

  async function send(sent: Letter): Promise<void> {
    const holding = { keeper: 'client', id: sent.messageId }
    ledger.took(holding, sent.messageId, sent.recipients)
    const tried = (_: Letter, result: string, said: string): void => {
      tell('client', `${sent.messageId} is ${result}: ${said}`)
      if (result === 'unknown') for (const recipient of sent.recipients) ledger.deferred(holding, recipient)
    }
    const submission = await sendLetter(
      { clock, net: sky.net, host: A_HOST, server: B_HOST, attempts: 14, tried },
      sent,
    )
    const how = submission === 'acknowledged' ? 'passed on' : 'given up'
    for (const recipient of sent.recipients) ledger.released(holding, recipient, how)
    outcomes.push({ letter: sent, submission, sentAt: began + sent.at })
  }

  /** An operator repeats what was not answered. */
  async function operate(): Promise<void> {
    for (const { at, give } of ORDERS) {
      await sleep(clock, Math.max(0, began + at - clock.now()), new AbortController().signal)
      let answer: 'none' | 'done' = 'none'
      while (answer === 'none') {
        const patience = new AbortController()
        const given = server.up && queue !== undefined ? give(queue).then(() => 'done' as const) : undefined
        const waited = sleep(clock, ORDER_PATIENCE_MS, patience.signal).then(() => 'none' as const)
        waited.catch(() => undefined)
        answer = await Promise.race(given === undefined ? [waited] : [given, waited])
        patience.abort()
      }
    }
  }

  const plan = (at: number, work: () => Promise<void>): void =>
    void clock.after(at, () => {
      work().catch((error: unknown) => problems.push(`a planned event failed: ${String(error)}`))
    })
  server.begin()
  for (const each of LETTERS) plan(each.at, () => send(each))
  let orders: 'open' | 'given' = 'open'
  plan(0, async () => {
    await operate()
    orders = 'given'
  })

  const isDone = (): boolean =>
    outcomes.length === LETTERS.length && ledger.held('b') === 0 && server.up && orders === 'given'
  while (!isDone() && clock.next !== undefined && clock.next < began + LONGEST_MS) await clock.advanceTo(clock.next)
  if (!isDone()) problems.push(`not done after ${elapsed(clock.now() - began)}`)
  others.catchUp()
  await clock.until(Promise.all([server.stop(), others.stop()]), '1h')
  await clock.advance('10s')

  const left = ledger.charges.filter((charge) => charge.state === 'held')
  problems.push(
    ...ledger.problems,
    ...judge(outcomes, arrivals, ledger.charges),
    ...left.map(({ keeper, id, recipient }) => `${keeper} still has ${id} <${recipient}>`),
    ...(sky.memory.open > 0 ? [`${sky.memory.open} ends of connections are open`] : []),
    ...(sky.memory.listening > 0 ? [`${sky.memory.listening} listeners are left`] : []),
    ...(clock.pending > 0 ? [`${clock.pending} timers are left`] : []),
    ...others.violations,
  )
  return { problems, effects: foe.effects, crashes: server.crashed, duplicates: ledger.explained, death, story }
}
