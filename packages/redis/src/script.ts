/** A Lua script and the name under which a server keeps it. */
import { createHash } from 'node:crypto'

export interface Script {
  readonly lua: string
  /** SHA-1 of the text, as EVALSHA wants it. */
  readonly sha: string
}

export function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}
