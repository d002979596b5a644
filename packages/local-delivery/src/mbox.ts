/**
 * Delivery to mbox files (RFC 4155 appendix A, Postfix's mailbox_deliver): messages one behind the other, each behind a
 * line `From sender date` and before an empty line, lines ended by LF, `From ` at the start of a line quoted as `>From `.
 *
 * `250` means that the message is on disk. While it is written the mailbox is locked by `mailbox.lock`; what goes wrong
 * leaves the mailbox as long as it was. After a crash half a message may be at its end: readers show it, and the whole one
 * comes again. Maildir has none of these troubles.
 */
import { constants } from 'node:fs'
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
  type OkOutcome,
  type Outcome,
  type Recipient,
  reply,
  type Transport,
  toOutcome,
} from '@mailwright/core'
import { wholeBody } from '@mailwright/message'
import { deliveredHead, LOOP, wasDeliveredTo } from './delivered-message.ts'
import { type LockFiles, withLock } from './dot-lock.ts'
import { eachRecipient } from './each-recipient.ts'
import { fromQuoted } from './from-quoting.ts'
import { checkPath, type Mailboxes, mailboxLookup } from './mailboxes.ts'
import { writeAll } from './message-file.ts'
import { storageOutcome } from './storage-outcome.ts'
import { turns } from './turns.ts'
import { type UniqueNames, uniqueNames } from './unique-name.ts'
import { bareLineFeeds } from './unix-lines.ts'

export interface MboxOptions {
  /** The absolute path of each mailbox's file. */
  readonly mailboxes: Mailboxes
  /** Our name: part of the names of lock files. */
  readonly hostname: string
  /** The transport's name, when it is not `'mbox'`. */
  readonly name?: string
}

const DELIVERED: OkOutcome = { status: 'ok', action: 'delivered', reply: reply(250, '2.0.0', 'delivered to mailbox') }
const UNKNOWN: FailedOutcome = { status: 'failed', reply: reply(550, '5.1.1', 'No such mailbox') }
const HONOURED: ReadonlySet<Capability> = new Set(['dsn', 'smtputf8'])
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when a table holds a path that is not absolute.
 * @example
 * const local = mta.use(mbox({ hostname: 'mx.example.org', mailboxes: { 'ann@example.org': '/var/mail/ann' } }))
 */
export function mbox(options: MboxOptions): Block<Transport> {
  return {
    name: options.name ?? 'mbox',
    create: ({ environment }) => mboxTransport(options, environment, nodeFiles),
  }
}

/** The transport over any files, for tests of failing disks. */
export function mboxTransport(options: MboxOptions, environment: Environment, files: LockFiles): Transport {
  const { clock } = environment
  const lookUp = mailboxLookup(options.mailboxes)
  const names: UniqueNames = uniqueNames(options.hostname, clock, environment.random, process.pid)
  // Among ourselves nobody has to look for the lock again and again.
  const inTurn = turns()

  async function deliverTo(recipient: Recipient, job: DeliveryJob, call: Call): Promise<Outcome> {
    const { message, envelope } = job
    let storing = false
    try {
      call.signal.throwIfAborted()
      const path = await lookUp(recipient.address, call)
      if (path === undefined) return UNKNOWN
      checkPath(path)
      if (wasDeliveredTo(recipient.address, message.head)) return LOOP
      storing = true
      await inTurn(path, () =>
        withLock(files, path, names.next(), clock, call, () =>
          append(files, path, separator(envelope.sender, clock.now()), delivered(job, recipient, call)),
        ),
      )
      return DELIVERED
    } catch (error) {
      if (call.signal.aborted || error instanceof MailwrightError)
        return toOutcome(error, storing ? 'message' : 'recipient')
      return storing ? storageOutcome(error) : toOutcome(error, 'recipient')
    }
  }

  return {
    name: options.name ?? 'mbox',
    capabilities: HONOURED,
    deliver: (job, call) => eachRecipient(job, (recipient) => deliverTo(recipient, job, call)),
  }
}

/** `From sender date`, in UTC, as asctime(3) writes it. A sender with a blank in it would be read as more than one word. */
function separator(sender: Mailbox | null, at: number): string {
  const date = new Date(at)
  const two = (value: number): string => String(value).padStart(2, '0')
  const time = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':')
  const day = `${WEEKDAYS[date.getUTCDay()]} ${MONTHS[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2)}`
  const from = sender === null ? 'MAILER-DAEMON' : formatMailbox(sender).replace(/[\x00-\x20\x7f]/g, '_')
  return `From ${from} ${day} ${time} ${date.getUTCFullYear()}\n`
}

async function* delivered(
  { message, envelope }: DeliveryJob,
  recipient: Recipient,
  call: Call,
): AsyncGenerator<Uint8Array> {
  async function* asItCame(): AsyncGenerator<Uint8Array> {
    yield deliveredHead(message.head, envelope.sender, recipient)
    yield* wholeBody(message, call)
  }
  yield* fromQuoted(bareLineFeeds(asItCame()))
}

/** Puts a message at the end of the file, or leaves it as it was. */
async function append(
  files: Pick<LockFiles, 'open'>,
  path: string,
  first: string,
  message: AsyncIterable<Uint8Array>,
): Promise<void> {
  const file = await files.open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
  try {
    const found = await file.stat()
    // A device, a pipe, or a second name for somebody else's file is no mailbox.
    if (!found.isFile() || found.nlink !== 1)
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the mailbox is no file of its own')
    try {
      await writeAll(file, Buffer.from(first))
      await writeLines(file, message)
      await file.sync()
    } catch (error) {
      await file.truncate(found.size).catch(() => {})
      throw error
    }
  } finally {
    await file.close()
  }
}

/** The message and an empty line; its last line is ended, if it was not. */
async function writeLines(file: FileHandle, message: AsyncIterable<Uint8Array>): Promise<void> {
  let last = 0
  for await (const bytes of message) {
    if (bytes.length === 0) continue
    await writeAll(file, bytes)
    last = bytes.at(-1)!
  }
  await writeAll(file, Buffer.from(last === 10 ? '\n' : '\n\n'))
}
