/**
 * A look at LMDB's own structure, which LMDB trusts: it maps the file into memory, and a wrong page number or a file that
 * was cut off ends the process instead of failing. So before a database is opened its two first pages are judged, and
 * where the file is shorter than they say, every page is followed from the root. What records say is not looked at here.
 *
 * Layout (LMDB data version 2, little endian): a page begins with its number (8 bytes), a transaction (8), padding (2),
 * flags (2), and the ends of its list of nodes and of its free space (2 each); node offsets follow, counted from byte 24.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { MailwrightError } from '@mailwright/core'

const HEADER = 24
const MAGIC = 0xbeef_c0de
const VERSION = 2
const BRANCH = 0x01
const LEAF = 0x02
const OVERFLOW = 0x04
const META = 0x08
const BIG_DATA = 0x01
const SUB_TABLE = 0x02
const NO_ROOT = 0xffff_ffff_ffff_ffffn
/** Bytes of the description of a table, and where its root is in it. */
const TABLE = 48
const ROOT_AT = 40
/** Deeper than any tree of pages is. */
const DEEPEST = 32

interface Meta {
  readonly pageSize: number
  readonly roots: readonly bigint[]
  readonly lastPage: bigint
  readonly transaction: bigint
}

/** What is wrong, in words. */
class Damage extends Error {
  override readonly name: string = 'Damage'
}

type Extent = 'its first pages' | 'everything where it is short' | 'everything'

/**
 * Judges the database of a spool before it is opened. A spool that does not exist yet is sound. Others may be writing to it
 * while an operator looks, so that looks at the first pages only.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_STORE` when it is damaged.
 */
export async function assertSound(directory: string, access: 'owner' | 'operator'): Promise<void> {
  const problem = await examine(directory, access === 'owner' ? 'everything where it is short' : 'its first pages')
  if (problem !== undefined)
    throw new MailwrightError('ERR_MAILWRIGHT_STORE', `the database in ${directory} is damaged: ${problem}`)
}

/**
 * Follows every page of a spool's database, in proportion to its size; for a spool that nobody has open. Resolves with what
 * is wrong with its structure, or undefined. A spool with such damage cannot be opened safely: restore it, or its disk.
 *
 * @example
 * const problem = await checkSpool('/var/spool/mailwright')
 */
export async function checkSpool(directory: string): Promise<string | undefined> {
  return examine(directory, 'everything')
}

async function examine(directory: string, extent: Extent): Promise<string | undefined> {
  let file: FileHandle
  try {
    file = await open(join(directory, 'queue', 'data.mdb'), 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    if ((await file.stat()).size === 0) return undefined
    const meta = await newestMeta(file)
    const pages = BigInt(Math.floor((await file.stat()).size / meta.pageSize))
    // A file may end before the last page by right: when nothing was ever written to those at its end.
    const isShort = pages <= meta.lastPage
    if (extent === 'everything' || (isShort && extent !== 'its first pages')) await new Walk(file, meta, pages).follow()
    return undefined
  } catch (error) {
    if (error instanceof Damage) return error.message
    throw error
  } finally {
    await file.close()
  }
}

async function newestMeta(file: FileHandle): Promise<Meta> {
  const first = await readMeta(file, 0)
  const second = await readMeta(file, first.pageSize)
  if (first.pageSize !== second.pageSize) throw new Damage('its first pages disagree')
  return second.transaction > first.transaction ? second : first
}

async function readMeta(file: FileHandle, at: number): Promise<Meta> {
  const page = await read(file, at, 160)
  const pageSize = page.readUInt32LE(48)
  const sound =
    page.readUInt16LE(18) === META &&
    page.readUInt32LE(24) === MAGIC &&
    (page.readUInt32LE(28) & 0xffff) === VERSION &&
    pageSize >= 512 &&
    pageSize <= 65_536 &&
    (pageSize & (pageSize - 1)) === 0
  if (!sound) throw new Damage('its first pages are none')
  const roots = [page.readBigUInt64LE(88), page.readBigUInt64LE(136)]
  const lastPage = page.readBigUInt64LE(144)
  for (const root of roots) if (root !== NO_ROOT && root > lastPage) throw new Damage('its roots are nowhere')
  return { pageSize, roots, lastPage, transaction: page.readBigUInt64LE(152) }
}

type LeafNode = (node: Buffer, page: bigint, depth: number) => Promise<void>

/** Follows the pages of all tables, each once. */
class Walk {
  readonly #file: FileHandle
  readonly #meta: Meta
  readonly #pages: bigint
  readonly #seen = new Set<bigint>()

  constructor(file: FileHandle, meta: Meta, pages: bigint) {
    this.#file = file
    this.#meta = meta
    this.#pages = pages
  }

  async follow(): Promise<void> {
    const [free, tables] = this.#meta.roots
    await this.#tree(tables!, (node, page, depth) => this.#tableNode(node, page, depth))
    // Last, so that a free page that is in use is seen.
    await this.#tree(free!, (node) => this.#freeNode(node))
  }

  async #tree(root: bigint, leaf: LeafNode, depth = 0): Promise<void> {
    if (root !== NO_ROOT) await this.#page(root, leaf, depth)
  }

  async #page(number: bigint, leaf: LeafNode, depth: number): Promise<void> {
    if (depth > DEEPEST) throw new Damage('its pages lead in circles')
    const page = await this.#read(number)
    const flags = page.readUInt16LE(18)
    if (flags !== BRANCH && flags !== LEAF) throw new Damage(`page ${number} is of another kind`)
    for (const node of this.#nodes(number, page, flags === BRANCH)) {
      if (flags === BRANCH) await this.#page(childOf(node), leaf, depth + 1)
      else await leaf(node, number, depth)
    }
  }

  /** The nodes of a page, each as far as it says it goes. */
  #nodes(number: bigint, page: Buffer, isBranch: boolean): readonly Buffer[] {
    const lower = page.readUInt16LE(20)
    const upper = page.readUInt16LE(22)
    const room = page.length - HEADER
    if (lower % 2 !== 0 || lower > upper || upper > room || (isBranch && lower < 4))
      throw new Damage(`page ${number} has no list of nodes`)
    const nodes: Buffer[] = []
    for (let at = HEADER; at < HEADER + lower; at += 2) {
      const start = HEADER + page.readUInt16LE(at)
      if (start < HEADER + upper || start + 8 > page.length) throw new Damage(`page ${number} has a node outside`)
      const key = page.readUInt16LE(start + 6)
      const flags = page.readUInt16LE(start + 4)
      const size = isBranch ? 0 : (flags & BIG_DATA) !== 0 ? 24 : page.readUInt32LE(start)
      const end = start + 8 + key + size
      if (end > page.length || (!isBranch && key === 0)) throw new Damage(`page ${number} has a node too large`)
      nodes.push(page.subarray(start, end))
    }
    return nodes
  }

  /** A record, or a table of records. */
  async #tableNode(node: Buffer, number: bigint, depth: number): Promise<void> {
    const flags = node.readUInt16LE(4)
    const data = node.subarray(8 + node.readUInt16LE(6))
    if (flags === BIG_DATA) await this.#overflow(node, data)
    else if (flags === SUB_TABLE) {
      if (data.length !== TABLE) throw new Damage(`page ${number} describes no table`)
      const leaf: LeafNode = (inner, page, below) => this.#tableNode(inner, page, below)
      await this.#tree(data.readBigUInt64LE(ROOT_AT), leaf, depth + 1)
    } else if (flags !== 0) throw new Damage(`page ${number} has a node of another kind`)
  }

  /**
   * A list of free pages: its length, then numbers of pages. Zeros are gaps, and a negative number says how many pages
   * follow each other from the next number on.
   */
  async #freeNode(node: Buffer): Promise<void> {
    const inPage = node.subarray(8 + node.readUInt16LE(6))
    const isBig = node.readUInt16LE(4) === BIG_DATA
    const list = isBig ? await this.#overflow(node, inPage) : inPage
    const length = list.length < 8 ? -1 : Number(list.readBigInt64LE(0))
    if (length < 0 || (length + 1) * 8 > list.length) throw new Damage('a list of free pages is too long')
    let run = 1n
    for (let at = 8; at < (length + 1) * 8; at += 8) {
      const number = list.readBigInt64LE(at)
      if (number < 0n) {
        run = -number
        continue
      }
      if (run > this.#meta.lastPage) throw new Damage('a list of free pages is too long')
      for (let page = number; number !== 0n && page < number + run; page++) this.#visit(page)
      run = 1n
    }
  }

  /** What lies in pages of its own. */
  async #overflow(node: Buffer, where: Buffer): Promise<Buffer> {
    const size = node.readUInt32LE(0)
    const first = where.readBigUInt64LE(0)
    const pages = where.readBigUInt64LE(16)
    if (pages < 1n || BigInt(size + HEADER) > pages * BigInt(this.#meta.pageSize))
      throw new Damage(`page ${first} is too short`)
    const page = await this.#read(first)
    if (page.readUInt16LE(18) !== OVERFLOW || BigInt(page.readUInt32LE(20)) !== pages)
      throw new Damage(`page ${first} is of another kind`)
    const end = first + pages
    for (let more = first + 1n; more < end; more++) this.#visit(more)
    if (end > this.#pages) throw new Damage('it was cut off')
    return read(this.#file, Number(first) * this.#meta.pageSize + HEADER, size)
  }

  async #read(number: bigint): Promise<Buffer> {
    this.#visit(number)
    if (number >= this.#pages) throw new Damage('it was cut off')
    const page = await read(this.#file, Number(number) * this.#meta.pageSize, this.#meta.pageSize)
    if (page.readBigUInt64LE(0) !== number) throw new Damage(`page ${number} has another number`)
    return page
  }

  #visit(number: bigint): void {
    if (number < 2n || number > this.#meta.lastPage) throw new Damage(`there is no page ${number}`)
    if (this.#seen.has(number)) throw new Damage(`page ${number} is used twice`)
    this.#seen.add(number)
  }
}

function childOf(node: Buffer): bigint {
  return BigInt(node.readUInt16LE(0)) | (BigInt(node.readUInt16LE(2)) << 16n) | (BigInt(node.readUInt16LE(4)) << 32n)
}

async function read(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, at)
  if (bytesRead < length) throw new Damage('it was cut off')
  return buffer
}
