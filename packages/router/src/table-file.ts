/**
 * A table in a text file, as Postfix's sources of tables: `key value` lines, `#` comments, and lines that begin with white
 * space go on with the line before. Of two lines with one key the first counts. The file is read on first use, or by
 * `load` at start so that a mistake shows at once; after that only `reload` reads it again, and a reload that fails keeps
 * what was there.
 */
import { readFile } from 'node:fs/promises'
import { type Awaitable, MailwrightError } from '@mailwright/core'
import type { Table } from './lookup.ts'

export interface TableFile extends Table {
  /** Reads the file unless that has been done. Rejects with `ERR_MAILWRIGHT_CONFIG`. */
  load(): Promise<void>
  /** Reads the file anew and puts it in place in one step. Rejects with `ERR_MAILWRIGHT_CONFIG`, and changes nothing then. */
  reload(): Promise<void>
  /** Entries in place; 0 before it was read. */
  readonly size: number
}

/**
 * A table from a file.
 *
 * @example
 * const mailboxes = tableFile('/etc/mailwright/mailboxes')
 * await mailboxes.load()
 */
export function tableFile(path: string): TableFile {
  let entries: ReadonlyMap<string, string> | undefined
  let loading: Promise<void> | undefined

  async function read(): Promise<void> {
    try {
      entries = parseTable(await readFile(path, 'utf8'))
    } catch (cause) {
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `cannot read the table ${path}`, { cause })
    }
  }
  /** Only one reading at a time, and a failed one is tried again by the next who asks. */
  function load(): Promise<void> {
    if (entries !== undefined) return Promise.resolve()
    loading ??= read().finally(() => {
      loading = undefined
    })
    return loading
  }

  return {
    get size(): number {
      return entries?.size ?? 0
    },
    load,
    reload: read,
    get(key: string): Awaitable<string | undefined> {
      return entries === undefined ? load().then(() => entries?.get(key)) : entries.get(key)
    },
  }
}

/** Reads the text of a table. A key without a value has the value `OK`. */
export function parseTable(text: string): ReadonlyMap<string, string> {
  const logical: string[] = []
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(#|$)/.test(line)) continue
    if (/^\s/.test(line) && logical.length > 0) logical[logical.length - 1] += ` ${line.trim()}`
    else logical.push(line.trim())
  }
  const entries = new Map<string, string>()
  for (const line of logical) {
    const gap = line.search(/\s/)
    const key = (gap < 0 ? line : line.slice(0, gap)).toLowerCase()
    if (!entries.has(key)) entries.set(key, gap < 0 ? 'OK' : line.slice(gap).trim())
  }
  return entries
}
