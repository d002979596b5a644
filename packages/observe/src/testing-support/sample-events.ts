/** Events to write about in tests, each to be varied by what a test is about. */
import { type EventOf, type Recipient, reply, type Session } from '@mailwright/core'
import { mailbox, recipients } from '@mailwright/testing'

export const ID = '01nt6b2kx000q7w4z'

export function session(given: Partial<Session> = {}): Session {
  return {
    id: '01session00000001',
    protocol: 'smtp',
    profile: 'mx',
    client: { address: '192.0.2.7', port: 40_000 },
    server: { address: '192.0.2.25', port: 25 },
    openedAt: 0,
    helo: 'mx.example.net',
    extended: true,
    ...given,
  }
}

export function accepted(given: Partial<EventOf<'message.accepted'>> = {}): EventOf<'message.accepted'> {
  return {
    type: 'message.accepted',
    session: session(),
    message: ID,
    sender: mailbox('sender@example.net'),
    recipients: recipients('ann@example.org'),
    size: 4_096,
    messageId: '<1@example.net>',
    ...given,
  }
}

export function settled(given: Partial<EventOf<'recipient.settled'>> = {}): EventOf<'recipient.settled'> {
  return {
    type: 'recipient.settled',
    message: ID,
    recipient: recipients('ann@example.org')[0] as Recipient,
    sender: mailbox('sender@example.net'),
    lane: { transport: 'smtp', destination: 'example.org' },
    outcome: {
      status: 'ok',
      action: 'relayed',
      reply: reply(250, '2.0.0', 'host mx.example.org[192.0.2.9]:25 said: 250 2.0.0 Ok'),
      remote: { host: 'mx.example.org[192.0.2.9]:25', code: 250, enhanced: '2.0.0', lines: ['2.0.0 Ok: queued as 4X'] },
    },
    attempt: 1,
    delays: { queued: 12, attempt: 340 },
    ...given,
  }
}

export function refused(given: Partial<EventOf<'dialogue.refused'>> = {}): EventOf<'dialogue.refused'> {
  return {
    type: 'dialogue.refused',
    session: session(),
    stage: 'rcpt',
    reply: reply(550, '5.7.1', 'Relay access denied'),
    policy: 'intake',
    sender: mailbox('sender@example.net'),
    recipient: mailbox('bob@example.com'),
    ...given,
  }
}
