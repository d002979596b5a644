/** A spool in a fresh directory, and small mail for it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Call, Claim, Events, MailEvent, MessageSource, NewMessage, Outcome, Settlement } from '@mailwright/core'
import { onTestFinished } from 'vitest'

export const CALL: Call = { signal: new AbortController().signal }
export const LANE = 'smtp:example.org'

/** Removed when the test is over. */
export async function spoolDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mailwright-spool-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A message of one recipient, due at 0. */
export function message(id: string, lane: string = LANE, dueAt = 0, arrivedAt = 0): NewMessage {
  const address = { local: 'ann', domain: 'example.org' }
  const recipients = [{ id: 1, address, original: address }]
  return { id, sender: null, options: {}, arrivedAt, entries: [{ lane, recipients, dueAt }] }
}

export function letter(body: Uint8Array | string = 'Hello\r\n'): MessageSource {
  const head = Buffer.from('Subject: test\r\n\r\n')
  const buffered = typeof body === 'string' ? Buffer.from(body) : body
  return {
    head,
    size: head.length + buffered.length,
    buffered,
    async *body(): AsyncGenerator<Uint8Array> {
      yield buffered
    },
  }
}

export async function contentOf(source: MessageSource): Promise<Buffer> {
  const chunks: Uint8Array[] = [source.head]
  for await (const chunk of source.body(CALL)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const RELAYED: Outcome = { status: 'ok', action: 'relayed', reply: { code: 250, enhanced: '2.0.0', text: 'Ok' } }
const DEFERRED: Outcome = {
  status: 'deferred',
  scope: 'recipient',
  reply: { code: 451, enhanced: '4.3.0', text: 'Later' },
}

export function relayed(claim: Claim): Settlement {
  return settlement(claim, RELAYED, 0)
}

export function deferred(claim: Claim, retryAt: number): Settlement {
  return settlement(claim, DEFERRED, retryAt)
}

function settlement(claim: Claim, outcome: Outcome, retryAt: number): Settlement {
  return { outcomes: new Map(claim.entry.recipients.map(({ id }) => [id, outcome])), retryAt, counted: true }
}

export interface EventLog extends Events {
  readonly log: readonly MailEvent[]
}

export function eventLog(): EventLog {
  const log: MailEvent[] = []
  return { log, wants: () => true, emit: (event) => void log.push(event), subscribe: () => () => {} }
}
