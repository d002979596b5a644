/**
 * Compression of what is stored. Packing large content is left to the thread pool; unpacking is quick enough to do at
 * once. What does not get smaller is stored as it is.
 */
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'

/** How bytes are packed. Each record says its own, so a spool may hold several. */
export type Packing = 'zstd' | 'deflate'

/** What is packed to more than this part of its size is stored as it is. */
const WORTHWHILE = 0.9

/** Not in every version of Node that this package runs on. */
const hasZstd: boolean = typeof zlib.zstdCompress === 'function'

export interface Packer {
  readonly packing: Packing
  /** Bytes from which it is worth while. */
  readonly above: number
  /** Packs, in the thread pool. Undefined where that saves little. */
  pack(plain: Uint8Array): Promise<Uint8Array | undefined>
}

/** What packs: `deflate` where zstd is asked for and Node has none. */
export function packerFor(wanted: Packing, above: number): Packer {
  const packing = wanted === 'zstd' && hasZstd ? 'zstd' : 'deflate'
  const compress = packing === 'zstd' ? zstd : deflate
  return {
    packing,
    above,
    async pack(plain) {
      const packed = await compress(plain)
      return packed.length < plain.length * WORTHWHILE ? packed : undefined
    },
  }
}

function zstd(plain: Uint8Array): Promise<Uint8Array> {
  return promisify(zlib.zstdCompress)(plain)
}

function deflate(plain: Uint8Array): Promise<Uint8Array> {
  return promisify(zlib.deflateRaw)(plain, { level: 1 })
}

/** Unpacks to at most `limit` bytes. Throws for what cannot be unpacked, or would be larger. */
export function unpack(packed: Uint8Array, packing: Packing, limit: number): Uint8Array {
  // Zero is no limit to the library.
  const maxOutputLength = Math.max(1, limit)
  return packing === 'zstd'
    ? zlib.zstdDecompressSync(packed, { maxOutputLength })
    : zlib.inflateRawSync(packed, { maxOutputLength })
}
