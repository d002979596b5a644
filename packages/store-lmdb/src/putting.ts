/**
 * Taking a message. When `put` resolves the message is on the disk: a small one by its batch's synced commit, a large
 * one because its file and the file's directory entry were synced before the commit that names it.
 */
import {
  type Call,
  type Claim,
  MailwrightError,
  type MessageSource,
  type NewMessage,
  type PutClaim,
  throwIfAborted,
} from '@mailwright/core'
import type { BodyFile } from './body-file.ts'
import { dropLease } from './claiming.ts'
import type { Lease } from './leases.ts'
import { assertStorable } from './options.ts'
import { describeEntry, type EntryRow, encodeMessage, entryRows, type MessageFacts } from './record.ts'
import type { StoreParts } from './store-parts.ts'

const NO_CLAIMS: readonly Claim[] = []
const NO_LEASES: readonly Lease[] = []

/** A message ready to be written. */
export interface Prepared {
  readonly message: NewMessage
  /** As it will be stored. */
  readonly record: Uint8Array
  /** The same, not sealed: for the cache. */
  readonly plain: Uint8Array
  readonly rows: readonly EntryRow[]
  readonly size: number
  /** What claims of it read from: the given source where that is in memory. */
  readonly source: MessageSource
  readonly file: BodyFile | undefined
  /** Whether the file is a copy made here, which nobody else discards. */
  readonly copied: boolean
}

export class Putting {
  readonly #parts: StoreParts

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  async put(
    message: NewMessage,
    source: MessageSource,
    claim: PutClaim | undefined,
    call: Call,
  ): Promise<readonly Claim[]> {
    throwIfAborted(call)
    assertStorable(message)
    this.#parts.space.arrival(message.arrivedAt)
    const { buffered } = source
    if (buffered !== undefined && buffered.length <= this.#parts.settings.inlineLimit && !this.#isPackable(source.size))
      return (await this.#commit(this.#inRecord(message, source, buffered), claim)) ?? NO_CLAIMS
    const prepared = await this.prepare(message, source, call)
    let claims: readonly Claim[] | undefined
    try {
      claims = await this.#commit(prepared, claim)
    } finally {
      await this.conclude(prepared, claims !== undefined)
    }
    return claims ?? NO_CLAIMS
  }

  /** Brings the body where it belongs. A file is then synced and under its lasting name. */
  async prepare(message: NewMessage, source: MessageSource, call: Call): Promise<Prepared> {
    const { inlineLimit } = this.#parts.settings
    const { buffered } = source
    if (buffered !== undefined && buffered.length <= inlineLimit) return this.#packed(message, source, buffered)
    const own = buffered === undefined ? this.#parts.files.take(source.spooled) : undefined
    if (own !== undefined) return this.#inFile(message, source.head, own, false)
    if (buffered === undefined && source.size - source.head.length <= inlineLimit)
      return this.#packed(message, source, await readSmall(source, inlineLimit, call))
    const copy = await this.#parts.files.copy(buffered === undefined ? source.body(call) : [buffered])
    return this.#inFile(message, source.head, copy, true)
  }

  /** After the commit, or instead of it: the file is the message's, or nobody's. */
  async conclude({ file, copied }: Prepared, stored: boolean): Promise<void> {
    if (file === undefined) return
    if (stored) await file.keep()
    else if (copied) await file.discard()
    else file.giveBack()
  }

  #inRecord(message: NewMessage, given: MessageSource, body: Uint8Array): Prepared {
    const facts = { options: message.options, headLength: given.head.length, bodyLength: body.length }
    return this.#prepared(message, given, body, encodeMessage(facts, given.head, body))
  }

  /** The same, packed where it is large enough and that is wanted. */
  async #packed(message: NewMessage, given: MessageSource, body: Uint8Array): Promise<Prepared> {
    const { head } = given
    const { packer } = this.#parts
    if (packer === undefined || !this.#isPackable(head.length + body.length))
      return this.#inRecord(message, given, body)
    const content = await packer.pack(Buffer.concat([head, body]))
    if (content === undefined) return this.#inRecord(message, given, body)
    const facts = {
      options: message.options,
      headLength: head.length,
      bodyLength: body.length,
      packed: packer.packing,
    }
    return this.#prepared(message, given, body, encodeMessage(facts, content, undefined))
  }

  #isPackable(size: number): boolean {
    const { packer } = this.#parts
    return packer !== undefined && size >= packer.above
  }

  #prepared(message: NewMessage, given: MessageSource, body: Uint8Array, plain: Uint8Array): Prepared {
    const { head } = given
    const size = head.length + body.length
    const record = this.#parts.codec.sealMessage(message.id, plain)
    const source = given.buffered === undefined ? inMemory(head, body) : given
    const rows = entryRows(message, size, undefined)
    return { message, record, plain, rows, size, source, file: undefined, copied: false }
  }

  async #inFile(message: NewMessage, head: Uint8Array, file: BodyFile, copied: boolean): Promise<Prepared> {
    let name: string
    try {
      name = await file.place(message.id)
    } catch (error) {
      if (copied) await file.discard()
      else file.giveBack()
      throw await this.#parts.failure(error)
    }
    const { codec, messages } = this.#parts
    const size = head.length + file.size
    const facts: MessageFacts = {
      options: message.options,
      headLength: head.length,
      bodyLength: file.size,
      file: name,
      ...(file.frames === undefined ? { crc: file.crc } : { frames: file.frames }),
    }
    const plain = encodeMessage(facts, head, undefined)
    const record = codec.sealMessage(message.id, plain)
    const source = messages.fromFile(message.id, head, facts)
    return { message, record, plain, rows: entryRows(message, size, name), size, source, file, copied }
  }

  #commit(prepared: Prepared, claim: PutClaim | undefined): Promise<readonly Claim[] | undefined> {
    if (this.#parts.settings.access === 'owner') return this.#commitFast(prepared, claim)
    if (claim !== undefined) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'an operator claims nothing')
    return this.#commitAsOperator(prepared)
  }

  /** Undefined when the id was taken. */
  async #commitFast(prepared: Prepared, claim: PutClaim | undefined): Promise<readonly Claim[] | undefined> {
    const { commits, counts, db, lanes, space, tables } = this.#parts
    const { message, record, rows, size } = prepared
    const leases = claim === undefined ? NO_LEASES : this.#lease(message, rows, claim)
    for (const row of rows) if (row.held === undefined) lanes.arriving(row.lane)
    let stored: boolean
    try {
      // One batch, written by LMDB in its own thread, unless the id is taken.
      stored = await commits.join(() => {
        counts.flow(rows, size, 1)
        return db.messages.ifNoExists(message.id, () => tables.insert(message.id, record, rows))
      })
    } catch (error) {
      this.#undo(prepared, leases)
      throw await this.#parts.failure(error)
    }
    if (!stored) {
      await this.#wasTaken(prepared, leases)
      return undefined
    }
    space.succeeded()
    counts.landed(rows)
    this.#announce(prepared, leases)
    return leases.length === 0 ? NO_CLAIMS : leases.map((lease) => claimOf(lease, prepared))
  }

  async #commitAsOperator({ message, record, rows, size }: Prepared): Promise<readonly Claim[] | undefined> {
    const { inPlace, tables, transaction } = this.#parts
    const stored = await transaction(() => tables.insertNew(message, record, rows, size))
    await inPlace()
    return stored ? NO_CLAIMS : undefined
  }

  /** Leases entries that are not stored yet, so that nobody can be quicker. */
  #lease({ id }: NewMessage, rows: readonly EntryRow[], { lanes, now, leaseMs }: PutClaim): readonly Lease[] {
    const leases: Lease[] = []
    for (const [entry, row] of rows.entries()) {
      // An entry that has a lease is one of an earlier put of this id.
      const free = row.held === undefined && row.dueAt <= now && lanes.has(row.lane)
      if (!free || this.#parts.leases.of(id, entry) !== undefined) continue
      leases.push(this.#parts.leases.take(id, entry, row, 1, now + leaseMs))
      this.#parts.lanes.leased(row.lane)
    }
    return leases
  }

  /** The id was taken, and its entries may have been out of reach while this was found out. */
  async #wasTaken(prepared: Prepared, leases: readonly Lease[]): Promise<void> {
    const { announce, counts, failure } = this.#parts
    this.#undo(prepared, leases)
    if (leases.length > 0) announce()
    try {
      await counts.correct()
    } catch (error) {
      throw await failure(error)
    }
  }

  #undo({ rows, size }: Prepared, taken: readonly Lease[]): void {
    const { counts, lanes } = this.#parts
    counts.takeBack(rows, size, 1)
    for (const row of rows) if (row.held === undefined) lanes.failed(row.lane)
    for (const lease of taken) {
      dropLease(this.#parts, lease)
      lanes.forgetLane(lease.lane)
    }
  }

  /** The rows are committed: lanes with entries for others have mail. */
  #announce({ message, plain, rows, file }: Prepared, taken: readonly Lease[]): void {
    const { cache, lanes } = this.#parts
    for (const [entry, row] of rows.entries()) {
      if (row.held !== undefined) continue
      lanes.arrived(row.lane, row.dueAt)
      if (taken.length === 0 || !taken.some((lease) => lease.entry === entry))
        lanes.isDue([row.lane, row.dueAt, message.id, entry])
    }
    if (file === undefined && taken.length < rows.length) cache.add(message.id, plain)
  }
}

function claimOf({ token, message, entry, row, until }: Lease, { message: put, source }: Prepared): Claim {
  return {
    token,
    entry: describeEntry(message, entry, row, true),
    options: put.options,
    message: source,
    leaseUntil: until,
  }
}

async function readSmall(source: MessageSource, limit: number, call: Call): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of source.body(call)) {
    size += chunk.length
    if (size > limit) throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the body is larger than its size says')
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)
}

function inMemory(head: Uint8Array, buffered: Uint8Array): MessageSource {
  return {
    head,
    size: head.length + buffered.length,
    buffered,
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      call.signal.throwIfAborted()
      if (buffered.length > 0) yield buffered
    },
  }
}
