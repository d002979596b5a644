/** What an LMDB store may be told, and what it is told otherwise. */
import { MailwrightError, type NewEntry, type NewMessage } from '@mailwright/core'
import { type Encryption, Keyring } from './keyring.ts'
import type { Packing } from './packing.ts'

export interface LmdbStoreOptions {
  /** The spool. Made if it is missing. On a local disk: LMDB cannot be used over a network file system. */
  readonly directory: string
  /** Bodies up to this many bytes are kept in the database, larger ones in files. Default 128 KiB. */
  readonly inlineLimit?: number
  /** Address space reserved for the database, in bytes; it grows beyond, at some cost. Default 16 GiB. */
  readonly mapSize?: number
  /** Bytes of messages just put that are kept in memory for their first attempt. Default 16 MiB. */
  readonly cacheBytes?: number
  /** Free bytes of the file system below which new mail is refused with 452. Default 64 MiB. */
  readonly minFree?: number
  /**
   * `owner` (the default) is the one process that delivers from the spool. An `operator` is any other process, such as a
   * command line: it may list, read, put, hold, release, reschedule and remove while the owner runs, and claims nothing.
   */
  readonly access?: 'owner' | 'operator'
  /**
   * How large heads and bodies are compressed; `zstd` means `deflate` where Node has no zstd. Without it they are not.
   * What is there is read either way.
   */
  readonly compression?: Packing | undefined
  /** Bytes of head and body from which they are compressed. Default 16 KiB. */
  readonly compressAbove?: number
  /**
   * Encrypts heads, bodies, senders and recipients at rest. Lanes, times, ids and labels in suspensions stay plain. What
   * was there before stays as it was until it is written anew.
   */
  readonly encryption?: Encryption | undefined
}

export interface LmdbStoreSettings {
  readonly compression: Packing | undefined
  readonly compressAbove: number
  readonly keyring: Keyring | undefined
  readonly directory: string
  readonly inlineLimit: number
  readonly mapSize: number
  readonly cacheBytes: number
  readonly minFree: number
  readonly access: 'owner' | 'operator'
}

const KIB = 1024
const MIB = 1024 * KIB

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for sizes that are none. */
export function settingsOf(options: LmdbStoreOptions): LmdbStoreSettings {
  const { inlineLimit = 128 * KIB, mapSize = 16 * 1024 * MIB, cacheBytes = 16 * MIB, minFree = 64 * MIB } = options
  const { directory, access = 'owner', compression, compressAbove = 16 * KIB } = options
  if (directory === '') throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'a spool needs a directory')
  for (const [name, size] of Object.entries({ inlineLimit, mapSize, cacheBytes, minFree, compressAbove }))
    if (!Number.isSafeInteger(size) || size < 0)
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${name} is no number of bytes: ${size}`)
  if (compression !== undefined && compression !== 'zstd' && compression !== 'deflate')
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a way to compress: ${compression}`)
  const keyring = options.encryption && new Keyring(options.encryption)
  return { directory, access, inlineLimit, mapSize, cacheBytes, minFree, compression, compressAbove, keyring }
}

/** Ids become file names, lanes become keys. */
const ID = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$/
const LONGEST_LANE = 1_024

/**
 * Refuses what could not be written as a key. Before anything is queued: a batch that fails half way through its making
 * would be committed as far as it got.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG`
 */
export function assertStorable({ id, arrivedAt, entries }: NewMessage): void {
  if (!ID.test(id)) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a message id: ${JSON.stringify(id)}`)
  if (entries.length === 0) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${id} has no entries`)
  assertTime(arrivedAt)
  for (const entry of entries) assertEntry(entry)
}

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` */
export function assertEntry({ lane, dueAt }: Pick<NewEntry, 'lane' | 'dueAt'>): void {
  if (lane === '' || !isKey(lane, LONGEST_LANE))
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a lane: ${JSON.stringify(lane)}`)
  assertTime(dueAt)
}

/** Whether a text of at most `limit` bytes can be part of a key. */
export function isKey(text: string, limit: number): boolean {
  const fits = text.length <= limit && (text.length <= limit / 3 || Buffer.byteLength(text) <= limit)
  return fits && !text.includes('\0') && text.isWellFormed()
}

/** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` */
export function assertTime(at: number): void {
  if (!Number.isFinite(at)) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a time: ${at}`)
}
