/**
 * Large bodies that are compressed, encrypted or both: a file of frames, so that they are written and read as a stream.
 *
 * | part   | bytes                                                                                    |
 * |--------|------------------------------------------------------------------------------------------|
 * | header | `MWF` and 2; how frames are packed; length and id of the key, or 0; salt (16)              |
 * | frame  | 32 bits: length, whether it is packed, whether it is the last; content; crc32, or a tag (16) |
 *
 * Each frame is sealed with its number and its 32 bits, and only the last says that it is: what is cut off, left out or
 * in another order does not read. The salt is in the message's record too, so no file stands in for another.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { type BodyKey, type Keyring, TAG } from './keyring.ts'
import { type Packer, type Packing, unpack } from './packing.ts'
import { CorruptRecord } from './record.ts'

/** What is done with large bodies. At least one of the two. */
export interface Framing {
  readonly keyring: Keyring | undefined
  readonly packer: Packer | undefined
}

const MARK = Buffer.from([0x4d, 0x57, 0x46, 2])
const SALT = 16
const CRC = 4
/** Bytes of a body in one frame, before packing. */
const FRAME = 256 * 1024
const LAST = 0x8000_0000
const PACKED = 0x4000_0000
const LENGTH = 0x3fff_ffff
const PACKINGS: readonly (Packing | undefined)[] = [undefined, 'zstd', 'deflate']

/** Turns a body into frames. */
export class FrameWriter {
  readonly #keyring: Keyring | undefined
  readonly #packer: Packer | undefined
  readonly #key: BodyKey | undefined
  readonly #salt: Buffer
  #count = 0

  constructor({ keyring, packer }: Framing) {
    this.#keyring = keyring
    this.#packer = packer
    this.#key = keyring?.newBodyKey()
    this.#salt = this.#key?.salt ?? randomBytes(SALT)
  }

  /** The salt, as the message's record has to say it. */
  get salt(): string {
    return this.#salt.toString('base64url')
  }

  get header(): Uint8Array {
    const id = Buffer.from(this.#key?.id ?? '')
    return Buffer.concat([MARK, Buffer.from([PACKINGS.indexOf(this.#packer?.packing), id.length]), id, this.#salt])
  }

  /** The frames of what comes next of the body. */
  async frames(chunks: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    const plain = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
    const frames: Uint8Array[] = []
    for (let at = 0; at < plain.length; at += FRAME) frames.push(...(await this.#frame(plain.subarray(at, at + FRAME))))
    return frames
  }

  /** The frame that ends the body. */
  end(): readonly Uint8Array[] {
    return this.#seal(LAST, Buffer.alloc(0))
  }

  /** The body again, from a file it was written to. */
  read(file: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return readFrames(file, this.salt, this.#keyring)
  }

  async #frame(plain: Uint8Array): Promise<readonly Uint8Array[]> {
    const packed = await this.#packer?.pack(plain)
    return packed === undefined ? this.#seal(plain.length, plain) : this.#seal(packed.length | PACKED, packed)
  }

  #seal(word: number, content: Uint8Array): readonly Uint8Array[] {
    const head = wordBytes(word)
    const number = this.#count++
    if (this.#key === undefined) return [head, content, crcOf(head, number, content)]
    const cipher = createCipheriv('aes-256-gcm', this.#key.key, nonceOf(number))
    cipher.setAAD(head)
    const sealed = cipher.update(content)
    cipher.final()
    return [head, sealed, cipher.getAuthTag()]
  }
}

/**
 * The body in a file of frames.
 *
 * @throws CorruptRecord for anything that is not as it was written, as soon as that is seen; without the last frame at the
 * end.
 */
export async function* readFrames(
  file: AsyncIterable<Uint8Array>,
  salt: string,
  keyring: Keyring | undefined,
): AsyncGenerator<Uint8Array> {
  const reader = new Reader(file)
  try {
    yield* bodyOf(reader, salt, keyring)
  } finally {
    await reader.stop()
  }
}

async function* bodyOf(reader: Reader, salt: string, keyring: Keyring | undefined): AsyncGenerator<Uint8Array> {
  const start = await reader.take(MARK.length + 2)
  const packing = PACKINGS[start[MARK.length]!]
  const rest = await reader.take(start[MARK.length + 1]! + SALT)
  const id = rest.toString('latin1', 0, rest.length - SALT)
  const ownSalt = rest.subarray(rest.length - SALT)
  if (!start.subarray(0, MARK.length).equals(MARK) || ownSalt.toString('base64url') !== salt)
    throw new CorruptRecord('the file is not the one the message was stored with')
  const key = id === '' ? undefined : keyOf(keyring, id, ownSalt)
  for (let number = 0; ; number++) {
    const head = await reader.take(4)
    const word = head.readUInt32LE(0)
    const length = (word & LENGTH) >>> 0
    if (length > FRAME) throw new CorruptRecord('a frame of the body is too long')
    const content = opened(head, number, await reader.take(length + (key === undefined ? CRC : TAG)), key)
    if ((word & LAST) !== 0) {
      if (!(await reader.isAtEnd())) throw new CorruptRecord('there is more than the body')
      return
    }
    yield (word & PACKED) === 0 ? content : unpackedFrame(content, packing)
  }
}

/** Takes exact numbers of bytes off a file. */
class Reader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Buffer = Buffer.alloc(0)

  constructor(file: AsyncIterable<Uint8Array>) {
    this.#chunks = file[Symbol.asyncIterator]()
  }

  async take(length: number): Promise<Buffer> {
    while (this.#rest.length < length) if (!(await this.#more())) throw new CorruptRecord('the body is cut off')
    const taken = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    return taken
  }

  async isAtEnd(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#more())
  }

  /** Ends the reading, however far it came. */
  async stop(): Promise<void> {
    await this.#chunks.return?.()
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#chunks.next()
    if (done) return false
    this.#rest =
      this.#rest.length === 0
        ? Buffer.from(value.buffer, value.byteOffset, value.length)
        : Buffer.concat([this.#rest, value])
    return true
  }
}

function keyOf(keyring: Keyring | undefined, id: string, salt: Uint8Array): KeyObject {
  if (keyring === undefined || !keyring.has(id))
    throw new CorruptRecord(`the body was encrypted with the key ${JSON.stringify(id)}, which is not given`)
  return keyring.bodyKey(id, salt)
}

/** The content of a frame, if it is what was sealed. */
function opened(head: Buffer, number: number, sealed: Buffer, key: KeyObject | undefined): Buffer {
  const end = sealed.length - (key === undefined ? CRC : TAG)
  const content = sealed.subarray(0, end)
  if (key === undefined) {
    if (!crcOf(head, number, content).equals(sealed.subarray(end)))
      throw new CorruptRecord('the checksum of the body is wrong')
    return content
  }
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(number), { authTagLength: TAG })
  decipher.setAAD(head)
  decipher.setAuthTag(sealed.subarray(end))
  const plain = decipher.update(content)
  try {
    decipher.final()
  } catch {
    throw new CorruptRecord('a frame of the body is not what was sealed')
  }
  return plain
}

function unpackedFrame(content: Uint8Array, packing: Packing | undefined): Uint8Array {
  if (packing === undefined) throw new CorruptRecord('how the body is packed is unknown')
  try {
    return unpack(content, packing, FRAME)
  } catch (cause) {
    throw new CorruptRecord('a frame of the body cannot be unpacked', { cause })
  }
}

function wordBytes(word: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32LE(word >>> 0, 0)
  return bytes
}

function nonceOf(number: number): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32BE(number, 8)
  return nonce
}

function crcOf(head: Buffer, number: number, content: Uint8Array): Buffer {
  return wordBytes(crc32(content, crc32(head, number)))
}
