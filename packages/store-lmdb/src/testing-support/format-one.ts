/**
 * Writes a spool as format 1 did. Frozen: it shares no code with what writes spools today, and is not to be changed when
 * that changes.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { open } from 'lmdb'

export interface OldMessage {
  readonly id: string
  readonly lane: string
  readonly arrivedAt: number
  readonly dueAt: number
  readonly attempts: number
  readonly held?: string
  readonly body: string
  /** Whether the body lies in a file. */
  readonly filed?: true
}

const HEAD = 'Subject: old\r\n\r\n'

export async function writeFormatOne(directory: string, messages: readonly OldMessage[]): Promise<void> {
  await mkdir(join(directory, 'bodies', '00'), { recursive: true })
  const root = open<Uint8Array, string>({
    path: join(directory, 'queue'),
    noSubdir: false,
    encoding: 'binary',
    maxDbs: 8,
  })
  const table = (name: string, useVersions = false) =>
    root.openDB<Uint8Array, never>(name, { encoding: 'binary', useVersions })
  const [stored, due, held, heads, , counters] = ['messages', 'due', 'held', 'heads', 'corrupt', 'counters'].map(
    (name) => table(name),
  )
  const entries = table('entries', true)
  const put = (to: typeof entries | undefined, key: unknown, value: Uint8Array, version?: number): unknown =>
    version === undefined ? to!.put(key as never, value) : to!.put(key as never, value, version)
  let bytes = 0
  await root.transaction(() => {
    for (const { id, lane, arrivedAt, dueAt, attempts, held: reason, body, filed } of messages) {
      const file = filed && `00/${id}~1.1~1-1`
      const facts = JSON.stringify({ options: {}, headLength: HEAD.length, bodyLength: body.length, file })
      const length = Buffer.from(new Uint32Array([facts.length]).buffer)
      put(stored, id, Buffer.concat([length, Buffer.from(facts + HEAD + (filed ? '' : body))]))
      const address = { local: 'ann', domain: 'example.org' }
      const recipients = [{ id: 1, address, original: address }]
      const size = HEAD.length + body.length
      const row = { lane, sender: null, recipients, size, arrivedAt, dueAt, attempts, held: reason, siblings: 1, file }
      put(entries, [id, 0], Buffer.from(JSON.stringify(row)), 1)
      if (reason === undefined) {
        put(due, [lane, dueAt, id, 0], new Uint8Array())
        put(heads, [dueAt, lane], new Uint8Array())
      } else put(held, [lane, id, 0], new Uint8Array())
      bytes += size
    }
    for (const [name, value] of Object.entries({ format: 1, generation: 3, flow: bytes + 5, changes: -5 }))
      put(counters, name, Buffer.from(new Float64Array([value]).buffer))
  })
  for (const { id, body, filed } of messages)
    if (filed) await writeFile(join(directory, 'bodies', '00', `${id}~1.1~1-1`), body)
  await root.close()
}
