import { ENGLISH_NOTICES, fieldValue, type NoticeTemplate } from '@mailwright/message'
import { mailbox, recipients, testJob, testMessage } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import type { NoticeAudience, NoticeOptions } from './notice-style.ts'
import { addressees, type BenchOptions, CALL, caredFor, type QueueBench } from './testing-support/queue-bench.ts'

const started = caredFor()
const FAILING = { '*': 'ok', 'ann@example.org': '550 5.1.1 no such user' } as const

function written(notices: NoticeOptions, more: BenchOptions = {}): Promise<QueueBench> {
  return started({ notices, outcomes: FAILING, ...more })
}

async function noticeOf(
  bench: QueueBench,
  body = 'At noon?',
): Promise<{ readonly head: Uint8Array; readonly text: string }> {
  await bench.send({ message: testMessage(`Subject: lunch\n\n${body}\n`), options: { labels: { tenant: 'acme' } } })
  await bench.clock.settle()
  const job = bench.smtp.jobs.find((each) => addressees(each).includes('sender@example.net'))!
  expect(job.envelope.sender).toBeNull()
  const { head, buffered } = job.message
  expect(fieldValue(head, 'Auto-Submitted')).toBe('auto-replied')
  return { head, text: Buffer.concat([head, buffered!]).toString() }
}

describe('a notice', () => {
  it('is in English unless somebody chooses', async () => {
    const { text } = await noticeOf(await written({}))
    expect(text).toContain('Subject: Undelivered Mail Returned to Sender')
    expect(text).toContain('Content-Language: en')
  })

  it('is in the language chosen for who gets it', async () => {
    const asked: NoticeAudience[] = []
    const language = (audience: NoticeAudience): string => {
      asked.push(audience)
      return 'de'
    }
    const { head, text } = await noticeOf(await written({ language }))
    expect(asked).toMatchObject([{ to: mailbox('sender@example.net'), kind: 'failed', labels: { tenant: 'acme' } }])
    expect(asked[0]!.recipients).toEqual(recipients('ann@example.org'))
    expect(fieldValue(head, 'Subject')).toMatch(/^=\?utf-8\?B\?/)
    expect(text).toContain('Content-Language: de')
    expect(text).toContain('Ihre Nachricht konnte nicht an alle Empfänger zugestellt werden.')
  })

  it.each(['tlh', 'constructor', undefined])('is in English where the language is %s', async (language) => {
    const bench = await written({ language: () => language })
    expect((await noticeOf(bench)).text).toContain('Content-Language: en')
    expect(bench.failures()).toEqual([])
  })

  it('is worded by a template of the host, from whom the host says', async () => {
    const en: NoticeTemplate = {
      ...ENGLISH_NOTICES,
      from: 'Ann, postmaster',
      wording: {
        ...ENGLISH_NOTICES.wording,
        failed: {
          subject: ({ subject }) => `Not delivered: ${subject}`,
          text: ({ recipients: [first] }) => `Sorry.\n${first!.address} is gone: ${first!.said}\n`,
        },
      },
    }
    const { head, text } = await noticeOf(await written({ templates: { en }, from: mailbox('help@example.org') }))
    expect(fieldValue(head, 'Subject')).toBe('Not delivered: lunch')
    expect(fieldValue(head, 'From')).toBe('"Ann, postmaster" <help@example.org>')
    expect(text).toContain('\r\nSorry.\r\nann@example.org is gone: 550 5.1.1 no such user\r\n')
  })

  it('is in English when its template breaks, and that is told', async () => {
    const broken = (): never => {
      throw new Error('no such word')
    }
    const de = {
      ...ENGLISH_NOTICES,
      language: 'de',
      wording: { ...ENGLISH_NOTICES.wording, failed: { subject: 'x', text: broken } },
    }
    const bench = await written({ templates: { de }, language: () => 'de' })
    expect((await noticeOf(bench)).text).toContain('Content-Language: en')
    expect(bench.failures()).toEqual(['wording of the notice about m1'])
  })

  it('returns a message up to the limit whole, and of a larger one the header', async () => {
    expect((await noticeOf(await written({ returnLimit: 100 }))).text).toContain('At noon?')
    const { text } = await noticeOf(await written({ returnLimit: 100 }), `At noon? ${'x'.repeat(100)}`)
    expect(text).toContain('text/rfc822-headers')
    expect(text).not.toContain('At noon?')
  })
})

describe('a report that comes with a sender of its own', () => {
  it.each([
    ['a notice', 'sender@example.net', 'multipart/report; report-type=delivery-status; boundary="b"'],
    [
      'a read receipt',
      'sender@example.net',
      'multipart/report; boundary="b";\n\treport-type="disposition-notification"',
    ],
    ['anything from a mailer daemon', 'MAILER-DAEMON@example.net', 'text/plain'],
  ])('makes no notice: %s', async (_what, sender, type) => {
    const bench = await started({ outcomes: { '*': '550 5.1.1 no such user' } })
    await bench.queue.deliver(testJob({ sender, message: testMessage(`Content-Type: ${type}\n\nx\n`) }), CALL)
    await bench.clock.settle()
    expect(bench.smtp.jobs).toHaveLength(1)
    expect(bench.scope.events.of('message.undeliverable')).toHaveLength(1)
  })

  it('is told from mail with a report of another kind', async () => {
    const bench = await started({ outcomes: FAILING })
    const type = 'multipart/report; report-type=feedback-report; boundary="b"'
    await bench.send({ message: testMessage(`Content-Type: ${type}\n\nx\n`) })
    await bench.clock.settle()
    expect(bench.scope.events.of('message.bounced')).toHaveLength(1)
  })
})
