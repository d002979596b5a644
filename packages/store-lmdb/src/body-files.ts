/**
 * Large bodies, each in a file of its own beside the database.
 *
 * A body is written to `bodies/tmp-…` while it arrives. To become part of a message it is synced, gets its lasting name
 * `bodies/<xx>/<id>~…` and its directory is synced: only then may the record that names it be committed. So a file without
 * a message may be left behind by a crash, and is removed at the next opening; a message without its file may not.
 */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Call, MailwrightError, type MessageId, type Spool, type SpooledBody } from '@mailwright/core'
import { BodyFile, letBe, readFileChunks, syncDirectory } from './body-file.ts'
import { FrameWriter, type Framing, readFrames } from './body-frames.ts'
import { isRunning } from './process-mark.ts'
import { CorruptRecord, type MessageFacts } from './record.ts'

/** Directories the files are spread over. */
const FAN_OUT = 64

export class BodyFiles {
  readonly #directory: string
  readonly #mark: string
  readonly #generation: number
  readonly #framing: Framing | undefined
  readonly #own = new WeakMap<SpooledBody, BodyFile>()
  readonly #made = new Set<string>()
  #count = 0

  /**
   * `mark` tells this process's files from others', `generation` those of this opening from those of earlier ones. Without
   * `framing` bodies are written as they are.
   */
  constructor(directory: string, mark: string, generation: number, framing: Framing | undefined) {
    this.#framing = framing
    this.#directory = join(directory, 'bodies')
    this.#mark = mark
    this.#generation = generation
  }

  /** Makes the directory. */
  async prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    await syncDirectory(join(this.#directory, '..'))
  }

  spool(): Spool {
    const file = this.#newFile()
    return {
      write: (chunk) => file.write(chunk),
      finish: async () => {
        await file.finish()
        const body: SpooledBody = {
          size: file.size,
          read: (call) => file.read(call),
          discard: () => file.discard(),
        }
        this.#own.set(body, file)
        return body
      },
      abort: () => file.discard(),
    }
  }

  /** Takes the file of a body that was spooled here, for one message: whoever comes second has to copy it. */
  take(spooled: SpooledBody | undefined): BodyFile | undefined {
    const file = spooled && this.#own.get(spooled)
    return file?.take() ? file : undefined
  }

  /** Copies a body from elsewhere. What the source throws is thrown as it is. */
  async copy(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<BodyFile> {
    const file = this.#newFile()
    try {
      for await (const chunk of chunks) await file.write(chunk)
      await file.finish()
      file.take()
      return file
    } catch (error) {
      await file.discard()
      throw error
    }
  }

  /**
   * Reads a message's file from its first byte, and rejects at the end where that was not what was written: whoever sends
   * it must not end it as if it were whole. `damaged` hears of it.
   */
  async *readOf(facts: MessageFacts, damaged: (problem: string) => void, call: Call): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#checked(facts, call)
    } catch (error) {
      if (!(error instanceof CorruptRecord)) throw error
      damaged(error.message)
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', error.message, { cause: error })
    }
  }

  async *#checked({ file, bodyLength, crc, frames }: MessageFacts, call: Call): AsyncGenerator<Uint8Array> {
    // A record without a body has a file.
    const chunks = readFileChunks(join(this.#directory, file!), call)
    let length = 0
    let sum = 0
    for await (const chunk of frames === undefined ? chunks : readFrames(chunks, frames, this.#framing?.keyring)) {
      length += chunk.length
      if (crc !== undefined) sum = crc32(chunk, sum)
      if (length > bodyLength) break
      yield chunk
    }
    if (length !== bodyLength) throw new CorruptRecord(`the body has not ${bodyLength} bytes`)
    if (crc !== undefined && crc !== sum) throw new CorruptRecord('the checksum of the body is wrong')
  }

  /** Removes a message's file after the message is gone. A file that stays is a stray of the next opening. */
  async remove(name: string): Promise<void> {
    await rm(join(this.#directory, name), { force: true }).catch(letBe)
  }

  /**
   * Removes files that belong to no message: those of a crash, and of puts that failed. Files of a process that still
   * runs are left alone: its put may be under way. Answers how many were removed.
   */
  async removeStrays(belongs: (name: string, message: MessageId) => boolean): Promise<number> {
    let removed = 0
    const removeOne = async (name: string): Promise<void> => {
      await rm(join(this.#directory, name), { force: true })
      removed += 1
    }
    for (const item of await readdir(this.#directory, { withFileTypes: true })) {
      if (item.isFile()) {
        if (!(await this.#isInHand(item.name))) await removeOne(item.name)
        continue
      }
      for (const file of await readdir(join(this.#directory, item.name))) {
        const name = `${item.name}/${file}`
        const message = file.slice(0, file.indexOf('~'))
        if (!belongs(name, message) && !(await this.#isInHand(file))) await removeOne(name)
      }
    }
    return removed
  }

  /** Whether another living process wrote the file. Our own are all from before: nothing is under way at opening. */
  async #isInHand(file: string): Promise<boolean> {
    const mark = file.split('~')[1] ?? ''
    return mark !== this.#mark && (await isRunning(mark))
  }

  #newFile(): BodyFile {
    this.#count += 1
    const tail = `~${this.#mark}~${this.#generation}-${this.#count}`
    const frames = this.#framing && new FrameWriter(this.#framing)
    return new BodyFile(this.#directory, tail, (message) => this.#placeFor(message, tail), frames)
  }

  async #placeFor(message: MessageId, tail: string): Promise<string> {
    const shelf = shelfOf(message)
    if (!this.#made.has(shelf)) {
      await mkdir(join(this.#directory, shelf), { recursive: true, mode: 0o700 })
      await syncDirectory(this.#directory)
      this.#made.add(shelf)
    }
    return `${shelf}/${message}${tail}`
  }
}

/** Ids of one server end alike and those of one hour begin alike, so the shelf comes from all of it. */
function shelfOf(message: MessageId): string {
  let hash = 0
  for (let index = 0; index < message.length; index++) hash = (hash * 31 + message.charCodeAt(index)) >>> 0
  return (hash % FAN_OUT).toString(16).padStart(2, '0')
}
