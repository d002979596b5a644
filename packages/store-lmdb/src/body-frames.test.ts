import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { FrameWriter, type Framing, readFrames } from './body-frames.ts'
import { Keyring } from './keyring.ts'
import { packerFor } from './packing.ts'

const keyring = new Keyring({ keys: [{ id: 'one', key: Buffer.alloc(32, 1) }] })
const FRAMINGS: readonly (readonly [string, Framing])[] = [
  ['encrypted', { keyring, packer: undefined }],
  ['compressed', { keyring: undefined, packer: packerFor('zstd', 0) }],
  ['both', { keyring, packer: packerFor('deflate', 0) }],
]
const LAST = 0x80

/** Three different pieces of a body that cannot be made smaller, and one that can. */
const PIECES = [1, 2, 3]
  .map((piece) =>
    Buffer.concat(Array.from({ length: 20 }, (_, at) => createHash('sha512').update(`${piece} ${at}`).digest())),
  )
  .concat(Buffer.alloc(5_000, 97))

/** The header, then one buffer for each frame, the last of which ends the body. */
async function written(framing: Framing): Promise<{ readonly salt: string; readonly parts: readonly Buffer[] }> {
  const writer = new FrameWriter(framing)
  const parts = [Buffer.from(writer.header)]
  for (const piece of PIECES) parts.push(Buffer.concat(await writer.frames([piece])))
  parts.push(Buffer.concat(writer.end()))
  return { salt: writer.salt, parts }
}

async function read(parts: readonly Uint8Array[], salt: string, keys: Keyring | undefined): Promise<Buffer> {
  async function* file(): AsyncGenerator<Uint8Array> {
    yield* parts
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of readFrames(file(), salt, keys)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe.each(FRAMINGS)('a body in frames, %s', (_, framing) => {
  it('reads back as it was written, in whatever pieces the file comes', async () => {
    const { salt, parts } = await written(framing)
    const file = Buffer.concat(parts)
    for (const size of [1, 7, 1_000, file.length]) {
      const pieces = Array.from({ length: Math.ceil(file.length / size) }, (_, at) =>
        file.subarray(at * size, (at + 1) * size),
      )
      expect((await read(pieces, salt, framing.keyring)).equals(Buffer.concat(PIECES))).toBe(true)
    }
  })

  const FORGED: readonly (readonly [string, (frames: Buffer[]) => Buffer[]])[] = [
    ['its end is missing', (frames) => frames.slice(0, -1)],
    ['a frame is left out', (frames) => [frames[0]!, ...frames.slice(2)]],
    ['the first frame is left out', (frames) => frames.slice(1)],
    ['two frames changed places', (frames) => [frames[1]!, frames[0]!, ...frames.slice(2)]],
    ['a frame comes twice', (frames) => [frames[0]!, ...frames]],
    ['it goes on after its end', (frames) => [...frames, frames[0]!]],
    [
      'an earlier frame says that it is the last',
      ([first, second]) => {
        second![3]! |= LAST
        return [first!, second!]
      },
    ],
    [
      'a frame claims to be longer than frames are',
      ([first, ...rest]) => {
        first![2]! |= 0x0f
        return [first!, ...rest]
      },
    ],
  ]
  it.each(FORGED)('is not read to its end when %s', async (_, forge) => {
    const { salt, parts } = await written(framing)
    const [header, ...frames] = parts
    await expect(read([header!, ...forge(frames)], salt, framing.keyring)).rejects.toThrow(
      expect.objectContaining({ name: 'CorruptRecord' }),
    )
  })

  it('is not read for a message that has another', async () => {
    const one = await written(framing)
    const other = await written(framing)
    await expect(read(one.parts, other.salt, framing.keyring)).rejects.toThrow(
      'not the one the message was stored with',
    )
  })
})

it('a body that was encrypted is not read without its key', async () => {
  const { salt, parts } = await written({ keyring, packer: undefined })
  const other = new Keyring({ keys: [{ id: 'two', key: Buffer.alloc(32, 1) }] })
  for (const keys of [undefined, other])
    await expect(read(parts, salt, keys)).rejects.toThrow('"one", which is not given')
})
