import { type MailEvent, MailwrightError, reply } from '@mailwright/core'
import { mailbox, manualClock, recipients, recordedEvents } from '@mailwright/testing'
import { describe, expect, test } from 'vitest'
import { type LogEventsOptions, logEvents } from './log-events.ts'
import type { Logger, LogLevel } from './logger.ts'
import { accepted, ID, refused, session, settled } from './testing-support/sample-events.ts'

interface Line {
  readonly level: LogLevel
  readonly message: string
  readonly fields: Record<string, unknown>
}

/** A logger that keeps what it is told, as JSON would carry it. */
function memoryLogger(enabled: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']): Logger & { lines: Line[] } {
  const lines: Line[] = []
  const write =
    (level: LogLevel) =>
    (fields: object, message: string): void => {
      lines.push({ level, message, fields: JSON.parse(JSON.stringify(fields)) as Record<string, unknown> })
    }
  return {
    lines,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    isLevelEnabled: (level) => enabled.includes(level),
  }
}

function logged(event: MailEvent, options?: LogEventsOptions): readonly Line[] {
  const events = recordedEvents(manualClock())
  const logger = memoryLogger()
  logEvents(events, logger, options)
  events.emit(event)
  return logger.lines
}

describe('an accepted message', () => {
  test('is one line with client, envelope and size', () => {
    expect(logged(accepted())).toEqual([
      {
        level: 'info',
        message: 'message.accepted',
        fields: {
          id: ID,
          session: '01session00000001',
          client: '192.0.2.7',
          helo: 'mx.example.net',
          with: 'ESMTP',
          from: 'sender@example.net',
          to: 'ann@example.org',
          recipients: 1,
          size: 4096,
          messageId: '<1@example.net>',
        },
      },
    ])
  })

  test('names ten recipients and counts the rest', () => {
    const many = recipients(...Array.from({ length: 12 }, (_, index) => `user${index}@example.org`))
    const [line] = logged(accepted({ recipients: many }))
    expect(line!.fields.to).toMatch(/^user0@example\.org, user1@.*, user9@example\.org and 2 more$/)
    expect(line!.fields.recipients).toBe(12)
  })

  test('names all of ten recipients', () => {
    const ten = recipients(...Array.from({ length: 10 }, (_, index) => `u${index}@example.org`))
    expect(logged(accepted({ recipients: ten }))[0]!.fields.to).toMatch(/^u0@.*u9@example\.org$/)
  })

  test.each([
    [{ extended: false, tls: { protocol: 'TLSv1.3', cipher: 'X' } }, 'SMTP'],
    [{ user: 'ann' }, 'ESMTPA'],
    [{ tls: { protocol: 'TLSv1.3', cipher: 'X' } }, 'ESMTPS'],
    [{ tls: { protocol: 'TLSv1.3', cipher: 'X' }, user: 'ann' }, 'ESMTPSA'],
    [{ protocol: 'lmtp' as const }, 'LMTP'],
  ])('tells the protocol it came by: %j is %s', (facts, name) => {
    expect(logged(accepted({ session: session(facts) }))[0]!.fields.with).toBe(name)
  })

  test('from the null sender has an empty from', () => {
    expect(logged(accepted({ sender: null }))[0]!.fields.from).toBe('')
  })
})

describe('a settled recipient', () => {
  test('that was sent is one line with relay, answer and times', () => {
    expect(logged(settled())).toEqual([
      {
        level: 'info',
        message: 'recipient.settled',
        fields: {
          id: ID,
          to: 'ann@example.org',
          from: 'sender@example.net',
          lane: 'smtp:example.org',
          relay: 'mx.example.org[192.0.2.9]:25',
          status: 'sent',
          dsn: '2.0.0',
          said: '250 2.0.0 Ok: queued as 4X',
          attempt: 1,
          queuedMs: 12,
          attemptMs: 340,
        },
      },
    ])
  })

  test('that was deferred says why and when it is tried again', () => {
    const [line] = logged(
      settled({
        outcome: {
          status: 'deferred',
          scope: 'destination',
          reply: reply(451, '4.4.1', 'no answer'),
          cause: new Error('connect ETIMEDOUT'),
        },
        retryAt: Date.UTC(2026, 10, 22, 17, 5),
      }),
    )
    expect(line!.fields).toMatchObject({
      status: 'deferred',
      dsn: '4.4.1',
      said: '451 4.4.1 no answer',
      cause: 'connect ETIMEDOUT',
      retryAt: '2026-11-22T17:05:00.000Z',
    })
    expect(line!.fields).not.toHaveProperty('relay')
  })

  test('that was rewritten keeps the address the client gave', () => {
    const recipient = { id: 1, address: mailbox('ann@example.org'), original: mailbox('info@example.org') }
    expect(logged(settled({ recipient }))[0]!.fields.orig).toBe('info@example.org')
  })

  test('that failed is bounced, and a cause that cannot be shown does not harm', () => {
    const cause = { toString: (): string => { throw new Error('no') } } // biome-ignore format: one line reads better
    const [line] = logged(
      settled({ outcome: { status: 'failed', reply: reply(550, '5.1.1', 'no such mailbox'), cause } }),
    )
    expect(line!.fields).toMatchObject({ status: 'bounced', cause: 'something that cannot be shown' })
  })

  test('does not let a talkative host fill the log', () => {
    const remote = { host: 'mx', code: 550, lines: Array.from({ length: 100 }, () => 'x'.repeat(500)) }
    const [line] = logged(settled({ outcome: { status: 'failed', reply: reply(550, '5.0.0', 'no'), remote } }))
    expect((line!.fields.said as string).length).toBeLessThan(1_010)
  })

  test('without a sensible time for the retry is written without it', () => {
    expect(logged(settled({ retryAt: Number.POSITIVE_INFINITY }))[0]!.fields).not.toHaveProperty('retryAt')
  })
})

describe('other events', () => {
  test('a refusal tells stage, reply, policy, reason and envelope', () => {
    expect(logged(refused({ policy: 'greylist', reason: 'first seen' }))[0]).toEqual({
      level: 'info',
      message: 'dialogue.refused',
      fields: {
        session: '01session00000001',
        client: '192.0.2.7',
        helo: 'mx.example.net',
        stage: 'rcpt',
        reply: '550 5.7.1 Relay access denied',
        policy: 'greylist',
        reason: 'first seen',
        from: 'sender@example.net',
        to: 'bob@example.com',
      },
    })
  })

  test('a refusal before MAIL tells neither sender nor recipient', () => {
    const fields = logged(refused({ stage: 'helo', sender: undefined, recipient: undefined }))[0]!.fields
    expect(fields).not.toHaveProperty('from')
    expect(fields).not.toHaveProperty('to')
  })

  test('a failure carries message, code and stack, with what caused it', () => {
    const cause = new Error('disk is gone')
    const error = new MailwrightError('ERR_MAILWRIGHT_STORE', 'cannot write', { cause })
    const [line] = logged({ type: 'failure', where: 'settling', error })
    expect(line).toMatchObject({
      level: 'error',
      fields: { where: 'settling', error: 'cannot write', code: 'ERR_MAILWRIGHT_STORE' },
    })
    expect(line!.fields.err).toMatch(/cannot write[\s\S]*caused by: .*disk is gone/)
  })

  test('a failure that is its own cause, or no error at all, is still one line', () => {
    const ring = new Error('ring')
    ring.cause = ring
    expect(logged({ type: 'failure', where: 'x', error: ring })).toHaveLength(1)
    expect(logged({ type: 'failure', where: 'x', error: null })[0]!.fields).toEqual({ where: 'x', error: 'null' })
  })

  const refusal = reply(421, '4.3.2', 'busy')
  const peer = { address: '192.0.2.7', port: 1 }
  const tls = { protocol: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' }
  const quiet: readonly [LogLevel, MailEvent, object][] = [
    ['info', { type: 'listener.ready', listener: 'mx', url: 'smtp://127.0.0.1:25' }, { url: 'smtp://127.0.0.1:25' }],
    ['debug', { type: 'session.opened', session: session() }, { client: '192.0.2.7', server: 25 }],
    ['debug', { type: 'session.secured', session: session(), tls }, tls],
    [
      'debug',
      {
        type: 'tls.result',
        domain: 'example.org',
        policy: { type: 'sts', lines: [], mx: [] },
        mx: 'mx.example.org',
        result: 'success',
        tls: { ...tls, security: 'verified', by: 'sts' },
      },
      { policy: 'sts', result: 'success', tls: 'TLSv1.3 TLS_AES_128_GCM_SHA256 verified by sts' },
    ],
    ['debug', { type: 'session.closed', session: session(), messages: 3 }, { messages: 3 }],
    ['warn', { type: 'connection.refused', client: peer, reply: refusal, reason: 'full' }, { reply: '421 4.3.2 busy' }],
    ['info', { type: 'message.discarded', session: session(), message: ID, policy: 'spam' }, { policy: 'spam' }],
    [
      'debug',
      { type: 'message.queued', message: ID, sender: null, size: 9, recipients: 2, lanes: ['a:', 'b:x'], held: 'spam' },
      { from: '', size: 9, recipients: 2, lanes: 'a:, b:x', held: 'spam' },
    ],
    [
      'info',
      { type: 'message.bounced', message: ID, dsn: 'd1', sender: mailbox('a@b.c'), recipients: recipients('x@y.z') },
      { notice: 'd1', from: 'a@b.c', to: 'x@y.z' },
    ],
    ['info', { type: 'message.undeliverable', message: ID, recipients: recipients('x@y.z') }, { to: 'x@y.z' }],
    [
      'info',
      {
        type: 'notice.received',
        kind: 'bounce',
        message: ID,
        signed: false,
        status: '5.1.1',
        diagnostic: 'no'.repeat(999),
      },
      { kind: 'bounce', signed: false, dsn: '5.1.1', said: expect.stringMatching(/^(no){400}/) },
    ],
    [
      'info',
      {
        type: 'notice.received',
        kind: 'complaint',
        message: ID,
        recipient: mailbox('x@y.z'),
        sender: mailbox('a@b.c'),
        signed: true,
        feedback: 'abuse',
        suppressed: true,
      },
      { kind: 'complaint', about: 'x@y.z', from: 'a@b.c', signed: true, feedback: 'abuse', suppressed: true },
    ],
    ['debug', { type: 'message.removed', message: ID }, { id: ID }],
    ['warn', { type: 'lane.state', lane: 'smtp:a', state: 'dead', until: 0 }, { until: '1970-01-01T00:00:00.000Z' }],
    [
      'warn',
      { type: 'queue.suspended', suspension: { scope: { kind: 'everything' }, reason: 'x', since: 0, until: 1_000 } },
      { scope: 'everything', reason: 'x', until: '1970-01-01T00:00:01.000Z' },
    ],
    ['warn', { type: 'queue.resumed', scope: { kind: 'lane', lane: 'smtp:a' } }, { scope: 'lane:smtp:a' }],
    ['info', { type: 'store.recovered', messages: 1, strays: 2, corrupt: 3 }, { messages: 1, strays: 2, corrupt: 3 }],
    ['warn', { type: 'store.corrupt', message: ID, problem: 'cut off' }, { id: ID, problem: 'cut off' }],
    ['error', { type: 'store.unsafe', store: 'edge', problem: 'no sync' }, { store: 'edge', problem: 'no sync' }],
    ['warn', { type: 'store.refusing', reply: refusal }, { refusing: true, reply: '421 4.3.2 busy' }],
    ['warn', { type: 'store.refusing', reply: null }, { refusing: false }],
  ]
  test.each(quiet)('%s: %j', (level, event, fields) => {
    const lines = logged(event)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({ level, message: event.type, fields })
  })
})

describe('levels', () => {
  test('nothing is built for a level that goes nowhere', () => {
    const events = recordedEvents(manualClock())
    logEvents(events, memoryLogger(['info', 'warn', 'error']))
    const unread = new Proxy({ type: 'session.opened' } as MailEvent, {
      get(target, key): unknown {
        if (key !== 'type') throw new Error(`read ${String(key)}`)
        return target.type
      },
    })
    expect(() => events.emit(unread)).not.toThrow()
  })

  test('may be changed by type, and silenced', () => {
    expect(logged({ type: 'message.removed', message: ID }, { levels: { 'message.removed': 'info' } })).toMatchObject([
      { level: 'info' },
    ])
    expect(logged(accepted(), { levels: { 'message.accepted': 'silent' } })).toEqual([])
  })

  test('a logger that cannot tell its level gets every line', () => {
    const { debug, info, warn, error, lines } = memoryLogger()
    const events = recordedEvents(manualClock())
    logEvents(events, { debug, info, warn, error })
    events.emit({ type: 'message.removed', message: ID })
    expect(lines).toHaveLength(1)
  })

  test('nothing is written after the subscription has ended', () => {
    const events = recordedEvents(manualClock())
    const logger = memoryLogger()
    const stop = logEvents(events, logger)
    stop()
    events.emit(accepted())
    expect(logger.lines).toEqual([])
  })
})
