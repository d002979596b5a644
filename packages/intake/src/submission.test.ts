import { policy } from '@mailwright/core'
import { fieldValue } from '@mailwright/message'
import type { ScriptedTransport } from '@mailwright/testing'
import { describe, expect, test } from 'vitest'
import {
  acceptAll,
  type Conversation,
  type ConversationOptions,
  conversation,
  willing,
} from './testing-support/conversation.ts'

const TLS = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }
const NO_AUTH = '530 5.7.0 Authentication required'
const NO_TLS = '530 5.7.0 Must issue a STARTTLS command first'

function submission(options: ConversationOptions = {}): Conversation {
  return conversation({ profile: 'submission', tls: TLS, ...options })
}

/** The head that reaches the transport when ann submits this text. */
async function headOf(text: string, options: ConversationOptions = {}): Promise<string> {
  const transport = willing()
  const client = submission({ ...options, transport })
  await client.greet()
  await client.helo()
  await client.dialogue.authenticated('ann', 'PLAIN')
  await client.mail()
  await client.rcpt()
  expect(await client.data(text)).toMatchObject([expect.stringMatching(/^250/)])
  return head(transport)
}

function head(transport: ScriptedTransport): string {
  return Buffer.from(transport.jobs[0]!.message.head).toString()
}

describe('before a client may submit', () => {
  test('it must prove who it is', async () => {
    const client = submission()
    await client.helo()
    expect(await client.mail()).toBe(NO_AUTH)
    expect(await client.rcpt()).toMatch(/^503/)
    await client.dialogue.authenticated('ann', 'PLAIN')
    expect(await client.mail()).toBe('250 2.1.0 Ok')
    expect(client.refusals).toEqual([`mail intake ${NO_AUTH}`])
  })

  test('it must have TLS first, even with a user', async () => {
    const client = conversation({ profile: 'submission' })
    await client.helo()
    expect(await client.mail()).toBe(NO_TLS)
    await client.dialogue.authenticated('ann', 'PLAIN')
    expect(await client.mail()).toBe(NO_TLS)
    client.dialogue.secured(TLS)
    await client.helo()
    expect(await client.mail()).toBe(NO_AUTH)
  })

  test('TLS may be left out where the program says so, the user may not', async () => {
    const client = conversation({ profile: 'submission', submissionWithoutTls: true })
    await client.helo()
    expect(await client.mail()).toBe(NO_AUTH)
    await client.dialogue.authenticated('ann', 'PLAIN')
    expect(await client.mail()).toMatch(/^250/)
  })

  test.each(['mx', 'relay'] as const)('a listener of profile %s asks for neither', async (profile) => {
    const client = conversation({ profile, policies: [acceptAll] })
    await client.helo()
    expect(await client.mail()).toMatch(/^250/)
  })
})

describe('a submitted message', () => {
  test('gets the Date and Message-ID it lacks, below our Received and above its own fields', async () => {
    const made = await headOf('Subject: hi\r\n\r\nHello\r\n')
    const [, id] = / id (\S+)/.exec(made)!
    expect(made.replace(/^Received: [^\r]*\r\n(\t[^\r]*\r\n)*/, '')).toBe(
      `Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <${id}@mx.example.org>\r\nSubject: hi\r\n\r\n`,
    )
    expect(made).toMatch(/^Received:/)
  })

  test('keeps the Date and Message-ID it has', async () => {
    const own = 'date: yesterday\r\nMESSAGE-ID: <1@x>\r\n\r\n'
    expect((await headOf(`${own}Hello\r\n`)).endsWith(`\r\n${own}`)).toBe(true)
    expect(await headOf(`${own}Hello\r\n`)).not.toMatch(/^(Date|Message-ID):/m)
    expect(await headOf('Message-ID: <1@x>\r\n\r\n')).toMatch(/\r\nDate: .*\r\nMessage-ID: <1@x>\r\n\r\n$/)
  })

  test('without any header still begins with whole fields', async () => {
    const made = await headOf(' no header at all\r\n\r\nHello\r\n')
    expect(made).toMatch(/\r\nDate: [^\r]*\r\nMessage-ID: <[^\r]*>\r\n\r\n$/)
  })

  test('is judged after the edits of the policies', async () => {
    const dated = policy('dated', {
      message: () => ({
        verdict: { kind: 'accept' },
        edits: [{ edit: 'prepend-header', name: 'Date', value: 'Tue, 02 Jan 2024 00:00:00 +0000' }],
      }),
    })
    const made = await headOf('Message-ID: <1@x>\r\n\r\n', { policies: [acceptAll, dated] })
    expect(made.match(/^Date:/gm)).toHaveLength(1)
    expect(fieldValue(Buffer.from(made), 'Date')).toMatch(/^Tue/)
  })

  test('from a stranger to an exchanger is left alone, authenticated or not', async () => {
    expect(await headOf('Subject: hi\r\n\r\n', { profile: 'mx' })).not.toMatch(/^(Date|Message-ID):/m)
  })

  test('is told to subscribers with the Message-ID we gave it', async () => {
    const client = submission()
    await client.greet()
    await client.helo()
    await client.dialogue.authenticated('ann', 'PLAIN')
    await client.mail()
    await client.rcpt()
    await client.data('Subject: hi\r\n\r\n')
    const [accepted] = client.events.of('message.accepted')
    expect(accepted).toMatchObject({ session: { user: 'ann', mechanism: 'PLAIN' } })
    expect(accepted!.messageId).toBe(`<${accepted!.message}@mx.example.org>`)
  })
})
