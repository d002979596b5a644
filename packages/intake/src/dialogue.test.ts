import {
  accept,
  close,
  type Decision,
  discard,
  hold,
  type Policy,
  parseMailbox,
  policy,
  reject,
  reply,
  type Session,
} from '@mailwright/core'
import { deferred, scriptedTransport } from '@mailwright/testing'
import { describe, expect, test } from 'vitest'
import { acceptAll, conversation, MESSAGE, willing } from './testing-support/conversation.ts'

const NO = reply(550, '5.7.1', 'no')
const LATER = reply(450, '4.7.1', 'later')
const LOCAL = '451 4.3.0 Temporary failure, please try again later'
const STAGES = ['connect', 'helo', 'mail', 'rcpt', 'data', 'message'] as const
type Stage = (typeof STAGES)[number]

/** A policy that answers at one stage. */
function at(stage: Stage, answer: () => Decision | Promise<Decision>, name = `at-${stage}`): Policy {
  return policy(name, { [stage]: answer })
}

function hang(): Promise<Decision> {
  return new Promise(() => {})
}

function fail(): never {
  throw new Error('secret')
}

describe('a message that nobody minds', () => {
  test('is accepted step by step', async () => {
    const transport = willing()
    const client = conversation({ transport })
    expect(await client.greet()).toBe('220 2.0.0 mx.example.org ESMTP Mailwright')
    expect(await client.helo()).toBe('250 2.0.0 mx.example.org')
    expect(await client.mail()).toBe('250 2.1.0 Ok')
    expect(await client.rcpt()).toBe('250 2.1.5 Ok')
    expect(await client.data(MESSAGE)).toEqual([`250 2.0.0 Ok: queued as ${transport.jobs[0]!.id}`])
    expect(transport.delivered).toEqual(['ann@example.org'])
    expect(client.refusals).toEqual([])
  })

  test('may be followed by another', async () => {
    const transport = willing()
    const client = conversation({ transport })
    await client.upToData()
    await client.data(MESSAGE)
    await client.mail('')
    await client.rcpt('bob@example.org')
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^250/)])
    expect(transport.jobs[1]!.envelope).toMatchObject({ sender: null, recipients: [{ id: 1 }] })
    client.dialogue.close()
    expect(client.events.of('session.closed')).toMatchObject([{ messages: 2 }])
  })

  test('costs no promise before its end where policies answer at once', () => {
    const { dialogue } = conversation()
    expect(dialogue.greet()).not.toBeInstanceOf(Promise)
    expect(dialogue.helo('EHLO', 'x')).not.toBeInstanceOf(Promise)
    expect(dialogue.mail({ sender: null, options: {} })).not.toBeInstanceOf(Promise)
    const recipient = { local: 'ann', domain: 'example.org' }
    expect(dialogue.rcpt({ recipient })).not.toBeInstanceOf(Promise)
    expect(dialogue.data()).not.toBeInstanceOf(Promise)
  })

  test('keeps what the client said about each recipient and about the message', async () => {
    const transport = willing()
    const client = conversation({ transport })
    await client.greet()
    await client.helo()
    await client.mail('sender@example.net', { options: { body: '8bitmime', envid: 'x1' }, declaredSize: 10 })
    await client.rcpt('ann@example.org', { orcpt: 'rfc822;info@example.org', notify: ['failure'] })
    await client.data(MESSAGE)
    expect(transport.jobs[0]).toMatchObject({
      attempt: 1,
      arrivedAt: client.clock.now(),
      envelope: {
        options: { body: '8bitmime', envid: 'x1' },
        recipients: [{ id: 1, orcpt: 'rfc822;info@example.org', notify: ['failure'] }],
      },
    })
  })
})

describe('the order of things', () => {
  test('RCPT and DATA need MAIL, DATA needs a recipient, and MAIL does not nest', async () => {
    const client = conversation()
    expect(await client.rcpt()).toMatch(/^503 5\.5\.1/)
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^503 5\.5\.1/)])
    await client.mail()
    expect(await client.mail()).toMatch(/^503 5\.5\.1/)
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^554 5\.5\.1/)])
    expect(await client.rcpt()).toMatch(/^250/)
  })

  test.each([
    ['RSET', (client: ReturnType<typeof conversation>) => client.dialogue.reset()],
    ['EHLO', (client: ReturnType<typeof conversation>) => client.helo()],
    ['STARTTLS', (client: ReturnType<typeof conversation>) => client.dialogue.secured({ protocol: 'x', cipher: 'y' })],
  ])('%s forgets the transaction and tells the policies', async (_verb, end) => {
    let resets = 0
    const client = conversation({ policies: [acceptAll, policy('counts', { reset: () => void resets++ })] })
    await client.upToData()
    await end(client)
    expect(resets).toBe(1)
    expect(await client.rcpt()).toMatch(/^503/)
    await end(client)
    expect(resets).toBe(1)
    expect(await client.mail()).toMatch(/^250/)
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^554/)])
  })

  test('the end of a message is the end of its transaction', async () => {
    const client = conversation()
    await client.upToData()
    await client.data(MESSAGE)
    expect(await client.rcpt()).toMatch(/^503/)
  })

  test('STARTTLS makes us forget what the client said in clear text', async () => {
    const seen: Session[] = []
    const client = conversation({
      policies: [acceptAll, policy('looks', (session) => ({ mail: () => void seen.push({ ...session }) }))],
    })
    await client.greet()
    await client.helo('EHLO', 'liar.example.net')
    client.dialogue.secured({ protocol: 'TLSv1.3', cipher: 'X' })
    await client.mail()
    expect(seen).toMatchObject([{ helo: undefined, extended: false, tls: { protocol: 'TLSv1.3' } }])
    expect(client.events.of('session.secured')).toHaveLength(1)
  })

  test('TLS from the first byte is told like TLS after STARTTLS', () => {
    const tls = { protocol: 'TLSv1.3', cipher: 'X' }
    expect(conversation({ tls }).events.of('session.secured')).toMatchObject([{ tls, session: { tls } }])
    expect(conversation().events.of('session.secured')).toEqual([])
  })

  test('a refusal of HELO is forgotten with the next one', async () => {
    const client = conversation({
      policies: [acceptAll, policy('no-liars', { helo: (name) => (name === 'liar' ? reject(NO) : undefined) })],
    })
    await client.greet()
    await client.helo('EHLO', 'liar')
    await client.mail()
    expect(await client.rcpt()).toBe('550 5.7.1 no')
    await client.helo('EHLO', 'honest')
    await client.mail()
    expect(await client.rcpt()).toMatch(/^250/)
  })

  test('a refusal of MAIL is forgotten with the next one', async () => {
    const senders = policy('senders', { mail: ({ sender }) => (sender === null ? reject(NO) : undefined) })
    const client = conversation({ policies: [acceptAll, senders] })
    await client.greet()
    await client.helo()
    await client.mail('')
    expect(await client.rcpt()).toMatch(/^550/)
    client.dialogue.reset()
    await client.mail()
    expect(await client.rcpt()).toMatch(/^250/)
  })
})

describe('silence at RCPT refuses: there is no open relay by omission', () => {
  const REFUSED = '550 5.7.1 Relay access denied'
  test.each<[string, readonly Policy[]]>([
    ['no policies', []],
    ['policies that say nothing', [policy('quiet', {}), at('rcpt', () => ({ verdict: { kind: 'next' } }))]],
    ['a vote to accept at another stage', [at('mail', () => accept()), at('connect', () => accept())]],
    ['a policy that only wants to hold', [at('rcpt', () => hold())]],
  ])('with %s', async (_what, policies) => {
    const client = conversation({ policies })
    await client.greet()
    await client.helo()
    await client.mail()
    expect(await client.rcpt()).toBe(REFUSED)
    expect(client.refusals).toEqual([`rcpt intake ${REFUSED} for ann@example.org`])
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^554/)])
  })

  test('one refused recipient does not touch the others', async () => {
    const transport = willing()
    const client = conversation({
      transport,
      policies: [policy('ann-only', { rcpt: ({ address }) => (address.local === 'ann' ? accept() : undefined) })],
    })
    await client.greet()
    await client.helo()
    await client.mail()
    expect(await client.rcpt('bob@example.org')).toBe(REFUSED)
    expect(await client.rcpt('ann@example.org')).toMatch(/^250/)
    await client.data(MESSAGE)
    expect(transport.delivered).toEqual(['ann@example.org'])
  })

  test('a refusal by any policy wins over a vote to accept', async () => {
    const client = conversation({ policies: [acceptAll, at('rcpt', () => reject(LATER))] })
    await client.greet()
    await client.helo()
    await client.mail()
    expect(await client.rcpt()).toBe('450 4.7.1 later')
  })
})

describe('refusals at connect, helo and mail', () => {
  test.each(['connect', 'helo', 'mail'] as const)('at %s wait for RCPT, so that the log shows whom', async (stage) => {
    const client = conversation({ policies: [acceptAll, at(stage, () => reject(NO, 'bad client'))] })
    expect(await client.greet()).toMatch(/^220/)
    expect(await client.helo()).toMatch(/^250/)
    expect(await client.mail()).toMatch(/^250/)
    expect(await client.rcpt('ann@example.org')).toBe('550 5.7.1 no')
    expect(await client.rcpt('bob@example.org')).toBe('550 5.7.1 no')
    expect(client.events.of('dialogue.refused')).toMatchObject([
      { stage: 'rcpt', policy: `at-${stage}`, reason: 'bad client', recipient: { local: 'ann' } },
      { stage: 'rcpt', recipient: { local: 'bob' }, sender: { local: 'sender' } },
    ])
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^554/)])
  })

  test('the earliest is the one answered', async () => {
    const client = conversation({
      policies: [acceptAll, at('mail', () => reject(LATER)), at('helo', () => reject(NO))],
    })
    await client.greet()
    await client.helo()
    await client.mail()
    expect(await client.rcpt()).toBe('550 5.7.1 no')
  })

  test.each<[Stage, string]>([
    ['connect', '554 5.7.1 no'],
    ['helo', '550 5.7.1 no'],
    ['mail', '550 5.7.1 no'],
  ])('at %s are answered at once where asked for', async (stage, answer) => {
    const client = conversation({ refuse: 'at-once', policies: [acceptAll, at(stage, () => reject(NO))] })
    const answers = [await client.greet()]
    if (stage !== 'connect') answers.push(await client.helo())
    if (stage === 'mail') answers.push(await client.mail())
    expect(answers.at(-1)).toBe(answer)
    expect(client.refusals).toEqual([`${stage} at-${stage} ${answer}`])
    expect(await client.rcpt()).toMatch(/^503/)
  })

  test('for now at the greeting end the connection with 421', async () => {
    const client = conversation({ refuse: 'at-once', policies: [at('connect', () => reject(LATER))] })
    expect(await client.greet()).toBe('421 4.7.1 later')
  })
})

describe('closing verdicts are never delayed, and end the connection', () => {
  test.each(['connect', 'helo', 'mail', 'rcpt', 'data', 'message'] as const)('at %s', async (stage) => {
    for (const [refusal, answer] of [
      [NO, '521 5.7.1 no'],
      [LATER, '421 4.7.1 later'],
      [reply(421, '4.3.2', 'busy'), '421 4.3.2 busy'],
    ] as const) {
      const client = conversation({ policies: [acceptAll, at(stage, () => close(refusal, 'why'))] })
      const steps = [client.greet, client.helo, client.mail, client.rcpt, client.data]
      let last: string | readonly string[] = ''
      for (const step of steps.slice(0, STAGES.indexOf(stage) + 1)) last = await step()
      expect([last].flat()).toEqual([answer])
      expect(client.events.of('dialogue.refused')).toMatchObject([{ stage, policy: `at-${stage}`, reason: 'why' }])
    }
  })
})

describe('a policy that fails', () => {
  for (const [how, answer] of [
    ['throws', fail],
    ['rejects', async (): Promise<Decision> => fail()],
    ['hangs', hang],
  ] as const) {
    test.each(STAGES)(`and ${how} at %s is a temporary refusal, never a pass`, async (stage) => {
      const transport = willing()
      const client = conversation({ transport, policies: [acceptAll, at(stage, answer)] })
      const replies = await client.clock.until(
        (async () => [
          await client.greet(),
          await client.helo(),
          await client.mail(),
          await client.rcpt(),
          ...(await client.data(MESSAGE)),
        ])(),
      )
      expect(replies).toContain(LOCAL)
      expect(transport.jobs).toEqual([])
      const [event] = client.events.of('dialogue.refused')
      expect(event).toMatchObject({
        policy: `at-${stage}`,
        reason: how === 'hangs' ? 'failed: took too long' : 'failed: secret',
      })
      expect(JSON.stringify(replies)).not.toContain('secret')
      expect(client.clock.pending).toBe(0)
    })
  }

  test('at the greeting, where refusals are answered at once, ends the connection with 421', async () => {
    const client = conversation({ refuse: 'at-once', policies: [at('connect', fail)] })
    expect(await client.greet()).toBe('421 4.3.0 Temporary failure, please try again later')
  })

  test('to open refuses every recipient for now', async () => {
    const broken: Policy = { name: 'broken', open: fail }
    const client = conversation({ policies: [broken, acceptAll] })
    expect(await client.greet()).toMatch(/^220/)
    await client.helo()
    await client.mail()
    expect(await client.rcpt()).toBe(LOCAL)
    expect(client.refusals).toEqual([`rcpt broken ${LOCAL} for ann@example.org`])
  })

  test('to open is refused again after STARTTLS and a new HELO', async () => {
    const client = conversation({ policies: [{ name: 'broken', open: fail }, acceptAll] })
    await client.greet()
    client.dialogue.secured({ protocol: 'x', cipher: 'y' })
    await client.helo()
    await client.mail()
    expect(await client.rcpt()).toBe(LOCAL)
  })

  test('while it is told of a reset or of the end is a failure event, and the others are told', async () => {
    const told: string[] = []
    const listens = policy('listens', { reset: () => void told.push('reset'), close: () => void told.push('close') })
    const client = conversation({ policies: [acceptAll, policy('broken', { reset: fail, close: fail }), listens] })
    await client.upToData()
    client.dialogue.reset()
    client.dialogue.close()
    expect(told).toEqual(['reset', 'close'])
    expect(client.events.of('failure')).toMatchObject([{ where: 'policy broken' }, { where: 'policy broken' }])
  })

  test('at its own time-out gives the client the time of that policy only', async () => {
    const client = conversation({ stageTimeout: '2s', policies: [acceptAll, at('rcpt', hang)] })
    await client.greet()
    await client.helo()
    await client.mail()
    const start = client.clock.now()
    expect(await client.clock.until(client.rcpt())).toBe(LOCAL)
    expect(client.clock.now() - start).toBe(2_000)
  })
})

describe('recipients', () => {
  test('named twice are one, and nobody is asked again', async () => {
    let asked = 0
    const transport = willing()
    const counts = policy('counts', {
      rcpt: () => {
        asked++
        return accept()
      },
    })
    const client = conversation({ transport, policies: [counts] })
    await client.upToData('ann@example.org', 'Ann@example.org', 'bob@example.org')
    await client.data(MESSAGE)
    expect(asked).toBe(2)
    expect(transport.delivered).toEqual(['ann@example.org', 'bob@example.org'])
    await client.mail()
    expect(await client.rcpt('ann@example.org')).toMatch(/^250/)
    expect(asked).toBe(3)
  })

  test('named twice are two with LMTP, which owes a reply for each', async () => {
    const client = conversation({ protocol: 'lmtp' })
    await client.upToData('ann@example.org', 'ann@example.org')
    expect(await client.data(MESSAGE)).toHaveLength(2)
  })

  test('refused once may be named again', async () => {
    let asked = 0
    const client = conversation({
      policies: [policy('second-time', { rcpt: () => (++asked === 1 ? reject(LATER) : accept()) })],
    })
    await client.greet()
    await client.helo()
    await client.mail()
    expect(await client.rcpt()).toMatch(/^450/)
    expect(await client.rcpt()).toMatch(/^250/)
  })

  test('beyond the limit are refused for now, and the message goes to the others', async () => {
    const transport = willing()
    const client = conversation({ transport, maxRecipients: 2 })
    await client.upToData('ann@example.org', 'bob@example.org')
    expect(await client.rcpt('cat@example.org')).toBe('452 4.5.3 Too many recipients')
    expect(client.refusals).toEqual(['rcpt intake 452 4.5.3 Too many recipients for cat@example.org'])
    await client.data(MESSAGE)
    expect(transport.delivered).toEqual(['ann@example.org', 'bob@example.org'])
  })
})

describe('before the message comes', () => {
  test('a declared size over the limit is refused at MAIL, one at the limit is not', async () => {
    const client = conversation({ maxSize: 1_000 })
    await client.greet()
    await client.helo()
    expect(await client.mail('sender@example.net', { declaredSize: 1_001 })).toBe(
      '552 5.3.4 Message size exceeds fixed maximum message size',
    )
    expect(client.events.of('dialogue.refused')).toMatchObject([{ stage: 'mail', sender: { local: 'sender' } }])
    expect(await client.mail('sender@example.net', { declaredSize: 1_000 })).toMatch(/^250/)
  })

  test('a transport that takes nothing refuses MAIL, and DATA when it changed its mind', async () => {
    const transport = willing()
    const full = reply(452, '4.3.1', 'Insufficient system storage')
    const client = conversation({ transport })
    await client.greet()
    await client.helo()
    transport.refuse(full)
    expect(await client.mail()).toBe('452 4.3.1 Insufficient system storage')
    expect(await client.rcpt()).toMatch(/^503/)
    transport.refuse(null)
    await client.mail()
    await client.rcpt()
    transport.refuse(full)
    expect(await client.data(MESSAGE)).toEqual(['452 4.3.1 Insufficient system storage'])
    expect(client.refusals).toEqual([
      'mail intake 452 4.3.1 Insufficient system storage',
      'data intake 452 4.3.1 Insufficient system storage',
    ])
    transport.refuse(null)
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^250/)])
  })

  test('a transport that cannot even say whether it takes anything takes nothing', async () => {
    const client = conversation({ transport: { ...willing(), refusing: fail } })
    expect(await client.mail()).toBe(LOCAL)
    expect(client.events.of('failure')).toMatchObject([{ where: 'transport scripted' }])
  })

  test('a refusal of DATA leaves the transaction as it was', async () => {
    let asked = 0
    const client = conversation({
      policies: [acceptAll, policy('second-time', { data: () => (++asked === 1 ? reject(LATER) : undefined) })],
    })
    await client.upToData()
    expect(await client.data(MESSAGE)).toEqual(['450 4.7.1 later'])
    expect(client.events.of('dialogue.refused')).toMatchObject([
      { stage: 'data', policy: 'second-time', sender: { local: 'sender' } },
    ])
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^250/)])
  })
})

describe('what an earlier stage wants done with the message', () => {
  const stages = STAGES.map((stage) => [stage] as const)

  test.each(stages)('a discard at %s throws it away with a 250', async (stage) => {
    const transport = willing()
    const client = conversation({ transport, policies: [acceptAll, at(stage, () => discard(), 'trap')] })
    await client.upToData()
    expect(await client.data(MESSAGE)).toMatchObject([expect.stringMatching(/^250 2\.0\.0 Ok: queued as /)])
    expect(transport.jobs).toEqual([])
    expect(client.events.of('message.discarded')).toMatchObject([{ policy: 'trap' }])
    expect(client.events.of('message.accepted')).toEqual([])
  })

  test.each(stages)('a hold at %s goes to the transport with the message', async (stage) => {
    const transport = willing()
    const client = conversation({ transport, policies: [acceptAll, at(stage, () => hold('look at this'))] })
    await client.upToData()
    await client.data(MESSAGE)
    expect(transport.jobs[0]!.hold).toBe('look at this')
  })

  test('a hold without a reason is held for its policy', async () => {
    const transport = willing()
    const client = conversation({ transport, policies: [acceptAll, at('message', () => hold(), 'virus')] })
    await client.upToData()
    await client.data(MESSAGE)
    expect(transport.jobs[0]!.hold).toBe('virus')
  })

  test('the edits of all stages are made, in the order of the stages', async () => {
    const transport = willing()
    const edits = STAGES.map((stage) =>
      at(stage, () => ({
        verdict: { kind: 'next' },
        edits: [{ edit: 'append-header', name: `X-${stage}`, value: '1' }],
      })),
    )
    const client = conversation({ transport, policies: [...edits, acceptAll] })
    await client.upToData()
    await client.data(MESSAGE)
    const head = Buffer.from(transport.jobs[0]!.message.head).toString()
    expect(head.match(/^X-\w+/gm)).toEqual(STAGES.map((stage) => `X-${stage}`))
  })

  test('ends with the transaction, or with the HELO it came from', async () => {
    const transport = willing()
    const client = conversation({
      transport,
      policies: [
        acceptAll,
        policy('suspicious', {
          helo: (name) => (name === 'odd' ? hold('odd name') : undefined),
          mail: ({ sender }) => (sender === null ? hold('null sender') : undefined),
        }),
      ],
    })
    await client.greet()
    for (const [name, sender] of [
      ['odd', 'a@example.net'],
      ['fine', ''],
      ['fine', 'a@example.net'],
    ] as const) {
      await client.helo('EHLO', name)
      await client.mail(sender)
      await client.rcpt()
      await client.data(MESSAGE)
    }
    expect(transport.jobs.map((job) => job.hold)).toEqual(['odd name', 'null sender', undefined])
  })

  test('that of a refused recipient counts for nothing', async () => {
    const transport = willing()
    const client = conversation({
      transport,
      policies: [
        policy('bob-is-a-trap', { rcpt: ({ address }) => (address.local === 'bob' ? hold('trap') : accept()) }),
      ],
    })
    await client.upToData('ann@example.org')
    expect(await client.rcpt('bob@example.org')).toMatch(/^550/)
    await client.data(MESSAGE)
    expect(transport.jobs[0]!.hold).toBeUndefined()
  })
})

describe('the end of the connection', () => {
  test('closes every policy once, aborts what is under way, and is told once', async () => {
    let closed = 0
    let aborted = false
    const waits = policy('waits', {
      close: () => void closed++,
      rcpt: (_recipient, _transaction, call) => {
        call.signal.addEventListener('abort', () => {
          aborted = true
        })
        return hang()
      },
    })
    const client = conversation({ policies: [acceptAll, waits] })
    await client.greet()
    await client.helo()
    await client.mail()
    const pending = client.rcpt()
    client.dialogue.close()
    client.dialogue.close()
    expect(aborted).toBe(true)
    expect(closed).toBe(1)
    expect(client.events.of('session.closed')).toHaveLength(1)
    expect(await client.clock.until(pending)).toBe(LOCAL)
    // Nobody is interested in what would have been answered.
    expect(client.events.all.at(-1)).toMatchObject({ type: 'session.closed' })
  })

  test('events show the session as it was at the time', async () => {
    const client = conversation({ refuse: 'at-once', policies: [at('helo', () => reject(NO))] })
    await client.greet()
    await client.helo('EHLO', 'one')
    await client.helo('EHLO', 'two')
    expect(client.events.of('session.opened')).toMatchObject([{ session: { helo: undefined } }])
    expect(client.events.of('dialogue.refused')).toMatchObject([
      { session: { helo: 'one' } },
      { session: { helo: 'two' } },
    ])
  })

  test('refusals of the engine are told like those of policies', () => {
    const client = conversation()
    client.dialogue.refused('unknown', reply(500, '5.5.2', 'Unknown command'))
    expect(client.refusals).toEqual(['unknown intake 500 5.5.2 Unknown command'])
  })

  test('refusals of the engine are told with their reason and whom the mail was for', async () => {
    const client = conversation()
    await client.mail('ann@example.net')
    const recipient = parseMailbox('bob@example.org')!
    client.dialogue.refused('rcpt', reply(450, '4.7.1', 'Too many'), { reason: 'recipient rate', recipient })
    expect(client.events.of('dialogue.refused')).toMatchObject([
      { policy: 'intake', reason: 'recipient rate', recipient, sender: { local: 'ann', domain: 'example.net' } },
    ])
  })

  test('nothing is told while nobody listens', async () => {
    const transport = scriptedTransport({ outcomes: { '*': [deferred('450 4.2.0 later'), 'ok'] } })
    const client = conversation({ transport })
    Object.defineProperty(client.events, 'wants', { value: () => false })
    client.events.clear()
    await client.upToData()
    await client.data(MESSAGE)
    client.dialogue.secured({ protocol: 'x', cipher: 'y' })
    await client.upToData()
    await client.data(MESSAGE)
    client.dialogue.close()
    expect(transport.delivered).toHaveLength(1)
    expect(client.events.all).toEqual([])
  })
})
