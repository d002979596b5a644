/** The checksum of PROXY headers: CRC-32C (Castagnoli, RFC 9260 appendix A), which `node:zlib` does not have. */
const POLYNOMIAL = 0x82f63b78

/** Bit by bit: it is for headers of some hundred bytes, once a connection. */
export function crc32c(bytes: Uint8Array): number {
  let sum = 0xffffffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ POLYNOMIAL : sum >>> 1
  }
  return (sum ^ 0xffffffff) >>> 0
}
