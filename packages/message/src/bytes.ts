/** Bytes as `Buffer`s, whose search runs in native code. Never copies. */

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** No bytes. */
export const EMPTY: Buffer = Buffer.alloc(0)

export const NUL = 0
export const TAB = 9
export const LF = 10
export const CR = 13
export const SPACE = 32
export const DOT = 46
export const COLON = 58
