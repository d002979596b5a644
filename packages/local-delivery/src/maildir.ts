/**
 * Delivery to Maildirs of virtual mailboxes. Each recipient gets a file of its own, with `Return-Path`, `X-Original-To`
 * and `Delivered-To` on top (RFC 5321 §4.4). The bytes are stored as they came, with CRLF line ends.
 *
 * `250` for a recipient means that its file and the name of its file are on disk. No such mailbox: `550 5.1.1`. No room:
 * `452`. The same mailbox in `Delivered-To` already: a loop, `554 5.4.6`. Everything else is tried again. Does not
 * expand aliases, count quotas, filter, or clean up after crashes.
 */
import type { FileHandle } from 'node:fs/promises'
import * as nodeFiles from 'node:fs/promises'
import {
  type Block,
  type Call,
  type Capability,
  type DeliveryJob,
  type Environment,
  type FailedOutcome,
  formatMailbox,
  type Mailbox,
  MailwrightError,
  type MessageSource,
  mailboxKey,
  type OkOutcome,
  type Outcome,
  parseMailbox,
  type Recipient,
  type RecipientId,
  reply,
  type Transport,
  toOutcome,
} from '@mailwright/core'
import { applyEdits, fields, fieldValue } from '@mailwright/message'
import { checkPath, type Mailboxes, mailboxLookup } from './mailboxes.ts'
import { type Files, storeInMaildir } from './maildir-folder.ts'
import { storageOutcome } from './storage-outcome.ts'
import { uniqueNames } from './unique-name.ts'

export interface MaildirOptions {
  /** The absolute path of each mailbox's Maildir. */
  readonly mailboxes: Mailboxes
  /** Our name: part of every file name. */
  readonly hostname: string
  /** The transport's name, when it is not `'maildir'`. */
  readonly name?: string
}

const DELIVERED: OkOutcome = { status: 'ok', action: 'delivered', reply: reply(250, '2.0.0', 'delivered to mailbox') }
const UNKNOWN: FailedOutcome = { status: 'failed', reply: reply(550, '5.1.1', 'No such mailbox') }
const LOOP: FailedOutcome = { status: 'failed', reply: reply(554, '5.4.6', 'Mail loop: delivered here before') }

/** Files of one job written at the same time: enough for them to share disk syncs. */
const PARALLEL = 8

/**
 * Addresses and headers are written as they are, in UTF-8. Notices are the queue's: it hears who was served. Here the mail
 * has arrived: nothing is sent on that would have to hurry, or to be encrypted.
 */
const HONOURED: ReadonlySet<Capability> = new Set(['deliverby', 'dsn', 'mt-priority', 'requiretls', 'smtputf8'])

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when a table holds a path that is not absolute.
 * @example
 * const local = mta.use(maildir({ hostname: 'mx.example.org', mailboxes: { 'ann@example.org': '/srv/mail/ann' } }))
 */
export function maildir(options: MaildirOptions): Block<Transport> {
  return {
    name: options.name ?? 'maildir',
    create: ({ environment }) => maildirTransport(options, environment, nodeFiles),
  }
}

/** The transport over any files, for tests of failing disks. */
export function maildirTransport(options: MaildirOptions, environment: Environment, files: Files): Transport {
  const lookUp = mailboxLookup(options.mailboxes)
  const names = uniqueNames(options.hostname, environment.clock, environment.random, process.pid)

  async function deliverTo(recipient: Recipient, job: DeliveryJob, call: Call): Promise<Outcome> {
    let storing = false
    try {
      call.signal.throwIfAborted()
      const path = await lookUp(recipient.address, call)
      if (path === undefined) return UNKNOWN
      checkPath(path)
      if (wasDeliveredTo(recipient.address, job.message.head)) return LOOP
      const head = deliveredHead(job.message.head, job.envelope.sender, recipient)
      storing = true
      await storeInMaildir(files, path, names, (file) => writeMessage(file, head, job.message, call))
      return DELIVERED
    } catch (error) {
      if (call.signal.aborted || error instanceof MailwrightError)
        return toOutcome(error, storing ? 'message' : 'recipient')
      return storing ? storageOutcome(error) : toOutcome(error, 'recipient')
    }
  }

  return {
    name: options.name ?? 'maildir',
    capabilities: HONOURED,
    async deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
      const outcomes = new Map<RecipientId, Outcome>()
      // Each worker takes the next recipient that none has taken yet.
      const waiting = job.envelope.recipients.values()
      const work = async (): Promise<void> => {
        for (const recipient of waiting) outcomes.set(recipient.id, await deliverTo(recipient, job, call))
      }
      const workers = Math.min(PARALLEL, job.envelope.recipients.length)
      if (workers === 1) await work()
      else await Promise.all(Array.from({ length: workers }, work))
      return outcomes
    },
  }
}

/** Whether this mailbox is named in a Delivered-To field: then it forwards to itself, by whatever detour. */
function wasDeliveredTo(address: Mailbox, head: Uint8Array): boolean {
  if (fieldValue(head, 'Delivered-To') === undefined) return false
  const own = mailboxKey(address)
  return fields(head).some((field) => {
    const before = field.name.toLowerCase() === 'delivered-to' ? parseMailbox(field.value) : undefined
    return before !== undefined && mailboxKey(before) === own
  })
}

function deliveredHead(head: Uint8Array, sender: Mailbox | null, recipient: Recipient): Uint8Array {
  return applyEdits(head, [
    { edit: 'remove-header', name: 'Return-Path' },
    { edit: 'prepend-header', name: 'Delivered-To', value: formatMailbox(recipient.address) },
    { edit: 'prepend-header', name: 'X-Original-To', value: formatMailbox(recipient.original) },
    { edit: 'prepend-header', name: 'Return-Path', value: `<${formatMailbox(sender)}>` },
  ])
}

async function writeMessage(file: FileHandle, head: Uint8Array, source: MessageSource, call: Call): Promise<void> {
  if (source.buffered !== undefined) return writeAll(file, Buffer.concat([head, source.buffered]))
  await writeAll(file, head)
  let size = source.head.length
  for await (const chunk of source.body(call)) {
    size += chunk.length
    await writeAll(file, chunk)
  }
  if (size !== source.size) {
    throw new MailwrightError('ERR_MAILWRIGHT_STORE', `a message of ${source.size} bytes came with ${size}`)
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}
