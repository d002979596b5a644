/** Mail whose body follows from its id, so that whoever finds it can tell whether it is whole. */
import { createHash } from 'node:crypto'

/** Bytes of the body of a message: mostly small, sometimes beyond what is kept in the database. */
export function bodySize(id: string): number {
  const draw = createHash('sha256').update(id).digest().readUInt32LE(0)
  return draw % 5 === 0 ? 140_000 + (draw % 200_000) : draw % 9_000
}

export function bodyOf(id: string): Buffer {
  const block = createHash('sha512').update(id).digest()
  const body = Buffer.alloc(bodySize(id))
  for (let at = 0; at < body.length; at += block.length) {
    block.writeUInt32LE(at, 0)
    block.copy(body, at)
  }
  return body
}
