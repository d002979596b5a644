import { type Claim, type FailedOutcome, type MailOptions, type Recipient, reply } from '@mailwright/core'
import { failed, mailbox, recipients, testEnvironment, testMessage, testScope } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { type Bounce, type BounceParts, type Notices, noticesFor } from './bounce.ts'
import { CALL, type Routes, routerOf } from './testing-support/queue-bench.ts'

interface Case {
  readonly sender?: string | null
  readonly options?: MailOptions
  readonly routes?: Routes
  /** Extras of each recipient; all have failed. */
  readonly to?: readonly Partial<Recipient>[]
  readonly outcome?: FailedOutcome
}

const environment = testEnvironment()
const parts = (routes: Routes = {}): BounceParts => ({
  hostname: 'mx.example.org',
  router: routerOf(routes),
  environment,
  events: testScope({ environment }).events,
  notices: {},
  nextId: () => 'dsn1',
})

async function bounce(given: Case): Promise<Notices['bounce']> {
  const { sender = 'sender@example.net', options = {}, to = [{}], outcome = failed('550 5.1.1 no such user') } = given
  const message = testMessage('Subject: lunch\nMessage-ID: <1@example.net>\n\nAt noon?\n')
  const everyone = to.map((extras, index) => ({ ...recipients(`user${index}@example.org`)[0]!, id: index, ...extras }))
  const claim: Claim = {
    token: 't',
    options,
    message,
    leaseUntil: 0,
    entry: {
      message: 'm1',
      entry: 0,
      lane: 'smtp:example.org',
      sender: sender === null ? null : mailbox(sender),
      recipients: everyone,
      size: message.size,
      arrivedAt: 0,
      dueAt: 0,
      attempts: 0,
      claimed: true,
    },
  }
  const told = { failed: everyone.map((recipient) => ({ recipient, outcome })), succeeded: [], delayed: [] }
  return (await noticesFor(parts(given.routes), claim, claim.entry.sender, told, CALL)).bounce
}

async function notice(given: Case): Promise<{ readonly bounce: Bounce; readonly text: string }> {
  const made = await bounce(given)
  if (typeof made !== 'object') throw new Error(`no notice: ${made}`)
  return { bounce: made, text: Buffer.concat([made.source.head, made.source.buffered!]).toString() }
}

describe('a notice of failure', () => {
  it('goes to the sender, from nobody, by the lane of the sender', async () => {
    const { bounce, text } = await notice({})
    expect(bounce.message).toMatchObject({
      id: 'dsn1',
      sender: null,
      arrivedAt: environment.clock.now(),
      entries: [{ lane: 'smtp:example.net', recipients: [{ id: 1, address: mailbox('sender@example.net') }] }],
    })
    expect(text).toContain('To: <sender@example.net>')
    expect(text).toContain('Reporting-MTA: dns; mx.example.org')
    expect(text).toContain('Status: 5.1.1')
  })

  it('tells what the other server said', async () => {
    const remote = { host: 'mx.example.org[192.0.2.1]:25', code: 550, enhanced: '5.7.1', lines: ['we do not like you'] }
    const { text } = await notice({ outcome: { ...failed('550 5.7.1'), remote } })
    expect(text).toContain('we do not like you')
    expect(text).toContain('mx.example.org')
  })

  it('returns the message whole, or its header alone when the sender asked for that', async () => {
    expect((await notice({})).text).toContain('At noon?')
    const short = (await notice({ options: { ret: 'hdrs', envid: 'QQ314159' } })).text
    expect(short).toContain('Subject: lunch')
    expect(short).not.toContain('At noon?')
    expect(short).toContain('Original-Envelope-Id: QQ314159')
  })

  it('travels with SMTPUTF8 when what it reports needs it', async () => {
    expect((await notice({})).bounce.message.options).toEqual({})
    const { bounce } = await notice({ options: { smtputf8: true } })
    expect(bounce.message.options).toMatchObject({ smtputf8: true })
  })

  it('reports only those recipients whose failure the sender wants to hear of', async () => {
    const to: Partial<Recipient>[] = [
      {},
      { notify: ['never'] },
      { notify: ['success', 'delay'] },
      { notify: ['delay', 'failure'] },
    ]
    const { bounce, text } = await notice({ to })
    expect(bounce.recipients.map(({ id }) => id)).toEqual([0, 3])
    expect(text).not.toContain('user1@')
    expect(text).toContain('user3@')
  })

  it('goes to everybody the sender stands for, refused ones in a lane that fails', async () => {
    const { bounce } = await notice({
      routes: {
        'sender@example.net': { kind: 'expand', into: ['ann@example.com', 'bob@example.com'].map(mailbox) },
        'bob@example.com': { kind: 'refuse', reply: reply(550, '5.1.1', 'gone') },
      },
    })
    expect(bounce.message.entries.map(({ lane }) => lane)).toEqual(['smtp:example.com', 'error:550 5.1.1 gone'])
  })
})

describe('no notice', () => {
  it('is made when nobody wants one', async () => {
    expect(await bounce({ to: [{ notify: ['never'] }] })).toBeUndefined()
    expect(await bounce({ to: [{ notify: ['never'] }], sender: null })).toBeUndefined()
  })

  it('can be given to the null sender: notices do not bounce', async () => {
    expect(await bounce({ sender: null })).toBe('undeliverable')
  })

  it('can be given to a sender who is refused for good', async () => {
    const routes: Routes = { '@example.net': { kind: 'refuse', reply: reply(550, '5.1.2', 'no such domain') } }
    expect(await bounce({ routes })).toBe('undeliverable')
  })

  it('can be given now to a sender who is refused for now: that is not the end of it', async () => {
    const routes: Routes = { '@example.net': { kind: 'refuse', reply: reply(450, '4.1.2', 'domain is moving') } }
    await expect(bounce({ routes })).rejects.toMatchObject({ reply: { code: 450 } })
  })

  it('can be given now when the tables fail', async () => {
    const routes: Routes = {
      '@example.net': () => {
        throw new Error('no table')
      },
    }
    await expect(bounce({ routes })).rejects.toThrow('no table')
  })
})
