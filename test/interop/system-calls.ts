/**
 * What a process did to its files, by strace: which bytes and names were on the disk when it said something to a client.
 *
 * A file is unsynced from a write until an fsync or fdatasync of it has returned that began after the write; a
 * write through O_DSYNC needs none. A name is unsynced from its making until its directory is synced, or until it is gone.
 */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** One thing that happened, in order. */
export type Step =
  /** `text` is what was written, as strace shows it. */
  | { readonly kind: 'write'; readonly path: string; readonly durable: boolean; readonly text: string }
  | { readonly kind: 'name'; readonly path: string }
  | { readonly kind: 'unname'; readonly path: string }
  | { readonly kind: 'sync began' | 'synced'; readonly path: string; readonly thread: string }
  /** Something went to a socket. */
  | { readonly kind: 'say'; readonly text: string }

/** How strace has to be called. The process stays our child: signals reach it and not strace. */
export function straceTo(file: string): readonly string[] {
  const calls =
    'fsync,fdatasync,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,openat,close,link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat'
  return ['strace', '-D', '-f', '-y', '-s', '6000', '-e', 'signal=none', '-e', `trace=${calls}`, '-o', file]
}

/** Reads a trace. Calls that failed are left out. */
export function readTrace(file: string): readonly Step[] {
  const steps: Step[] = []
  const synchronous = new Set<string>()
  /** What a thread was in the middle of when another's call was written down. */
  const unfinished = new Map<string, string>()
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, thread, rest] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (thread === undefined || rest === undefined) continue
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const begun = resumed === null ? rest : (unfinished.get(thread) ?? '')
    const cut = rest.endsWith('<unfinished ...>')
    if (cut) unfinished.set(thread, rest.slice(0, -'<unfinished ...>'.length))
    const whole = resumed === null ? rest : begun + resumed[1]!
    if (resumed === null) steps.push(...beginning(rest, thread, synchronous))
    if (!cut && !/ = -1 E\w+/.test(whole)) steps.push(...end(whole, thread, synchronous))
  }
  return steps
}

/** What counts from the moment the call was made: writes, words, and the beginning of a sync. */
function beginning(call: string, thread: string, synchronous: ReadonlySet<string>): Step[] {
  const target = /^(\w+)\((\d+)<([^>]*)>(.*)$/.exec(call)
  if (target === null) return []
  const [, name, descriptor, path, text] = target as unknown as [string, string, string, string, string]
  if (/^f(?:data)?sync$/.test(name)) return [{ kind: 'sync began', path, thread }]
  if (!/^(?:p?write|send)/.test(name)) return []
  if (path.startsWith('/')) return [{ kind: 'write', path, durable: synchronous.has(descriptor), text }]
  return /^(?:socket|TCP)/.test(path) ? [{ kind: 'say', text }] : []
}

/** What counts when the call has returned: names, and syncs that are done. */
function end(call: string, thread: string, synchronous: Set<string>): Step[] {
  const name = /^\w+/.exec(call)?.[0] ?? ''
  const path = /^f(?:data)?sync\(\d+<([^>]*)>/.exec(call)?.[1]
  if (path !== undefined) return [{ kind: 'synced', path, thread }]
  const names = [...call.matchAll(/"([^"]*)"/g)].map((match) => match[1]!)
  if (name === 'openat') {
    const descriptor = / = (\d+)</.exec(call)?.[1] ?? ''
    if (/O_D?SYNC/.test(call)) synchronous.add(descriptor)
    else synchronous.delete(descriptor)
    return call.includes('O_CREAT') ? [{ kind: 'name', path: names[0]! }] : []
  }
  if (/^mkdir/.test(name)) return [{ kind: 'name', path: names[0]! }]
  if (/^link/.test(name)) return [{ kind: 'name', path: names[1]! }]
  if (/^unlink/.test(name)) return [{ kind: 'unname', path: names[0]! }]
  if (!/^rename/.test(name)) return []
  return [
    { kind: 'unname', path: names[0]! },
    { kind: 'name', path: names[1]! },
  ]
}

/** What a power failure could take away: what was written to files, and names of files and directories. */
export interface Unsynced {
  readonly files: readonly string[]
  readonly names: readonly string[]
}

/** Everything in `folder` that is not on the disk after these steps. */
export function unsynced(steps: readonly Step[], folder: string): Unsynced {
  const files = new Map<string, number>()
  const names = new Map<string, number>()
  const syncs = new Map<string, number>()
  for (const [at, step] of steps.entries()) {
    if (step.kind === 'write' && !step.durable && step.path.startsWith(folder)) files.set(step.path, at)
    else if (step.kind === 'name' && step.path.startsWith(folder)) names.set(step.path, at)
    else if (step.kind === 'unname') names.delete(step.path)
    else if (step.kind === 'sync began') syncs.set(step.thread, at)
    else if (step.kind === 'synced') {
      const began = syncs.get(step.thread) ?? at
      if ((files.get(step.path) ?? at) < began) files.delete(step.path)
      for (const [path, made] of names) if (dirname(path) === step.path && made < began) names.delete(path)
    }
  }
  return { files: [...files.keys()], names: [...names.keys()] }
}
