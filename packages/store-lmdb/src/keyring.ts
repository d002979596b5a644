/**
 * Encryption of what is stored: AES-256-GCM. The keys given are never used themselves. What seals records is derived from
 * the first key and a random salt of this opening (HKDF-SHA-256), so that a counter is a nonce nobody has used; what seals
 * a large body, from a salt of its own. A record says which key and salt it was sealed with, so all given keys read.
 *
 * | record    | bytes                                                                        |
 * |-----------|------------------------------------------------------------------------------|
 * | sealed    | `MW`, 0, 3; length and id of the key; salt (16); counter (6); content; tag (16) |
 *
 * Where a record belongs (its table and its key) is authenticated with it: moved elsewhere, it does not open.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { MailwrightError } from '@mailwright/core'
import type { Database } from './database.ts'
import { CorruptRecord } from './record.ts'
import type { Seal } from './record-codec.ts'

export interface EncryptionKey {
  /** Names the key in what it sealed: at most 64 letters, digits, `.`, `_` and `-`. Never to be given to another key. */
  readonly id: string
  /** 32 random bytes. */
  readonly key: Uint8Array
}

export interface Encryption {
  /** The first writes, all read. */
  readonly keys: readonly EncryptionKey[]
}

/** What seals one large body. */
export interface BodyKey {
  readonly id: string
  readonly salt: Buffer
  readonly key: KeyObject
}

const MARK = Buffer.from([0x4d, 0x57, 0, 3])
const SALT = 16
const COUNTER = 6
export const TAG = 16
const ID = /^[A-Za-z0-9_.-]{1,64}$/
/** Derived keys kept: one for each opening whose records are read. */
const MOST_DERIVED = 1_000
const CHECK = Buffer.from('mailwright')

export class Keyring implements Seal {
  readonly #keys: ReadonlyMap<string, KeyObject>
  readonly #derived = new Map<string, KeyObject>()
  readonly #writer: { readonly id: string; readonly key: KeyObject; readonly prefix: Buffer }
  #count = 0

  /** @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for keys that cannot work. */
  constructor({ keys }: Encryption) {
    for (const { id, key } of keys) {
      if (!ID.test(id)) throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not the id of a key: ${JSON.stringify(id)}`)
      if (key.length !== 32)
        throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `the key ${id} has ${key.length} bytes instead of 32`)
    }
    this.#keys = new Map(keys.map(({ id, key }) => [id, createSecretKey(key)]))
    const [first] = keys
    if (first === undefined || this.#keys.size < keys.length)
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'encryption needs keys, each with an id of its own')
    const salt = randomBytes(SALT)
    const id = Buffer.from(first.id)
    this.#writer = {
      id: first.id,
      key: this.#derive(first.id, salt, 'record'),
      prefix: Buffer.concat([MARK, Buffer.from([id.length]), id, salt]),
    }
  }

  isSealed(bytes: Uint8Array): boolean {
    return bytes.length > MARK.length && MARK.compare(bytes, 0, MARK.length) === 0
  }

  seal(place: string, plain: Uint8Array): Uint8Array {
    const { key, prefix } = this.#writer
    this.#count += 1
    const nonce = Buffer.alloc(12)
    nonce.writeUIntBE(this.#count, 12 - COUNTER, COUNTER)
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    cipher.setAAD(Buffer.from(place))
    const content = cipher.update(plain)
    cipher.final()
    return Buffer.concat([prefix, nonce.subarray(12 - COUNTER), content, cipher.getAuthTag()])
  }

  open(place: string, sealed: Uint8Array): Uint8Array {
    const record = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength)
    const start = MARK.length + 1 + (record[MARK.length] ?? 0)
    const content = start + SALT + COUNTER
    if (record.length < content + TAG) throw new CorruptRecord('the record is truncated')
    const id = record.toString('latin1', MARK.length + 1, start)
    const nonce = Buffer.alloc(12)
    record.copy(nonce, 12 - COUNTER, start + SALT, content)
    const key = this.#derivedKey(id, record.subarray(start, start + SALT))
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG })
    decipher.setAAD(Buffer.from(place))
    decipher.setAuthTag(record.subarray(record.length - TAG))
    const plain = decipher.update(record.subarray(content, record.length - TAG))
    decipher.final()
    return plain
  }

  /** A key for a body that is about to be written. */
  newBodyKey(): BodyKey {
    const { id } = this.#writer
    const salt = randomBytes(SALT)
    return { id, salt, key: this.#derive(id, salt, 'body') }
  }

  /** The key of a body that was written. Throws when it is not among those given. */
  bodyKey(id: string, salt: Uint8Array): KeyObject {
    return this.#derive(id, salt, 'body')
  }

  #derivedKey(id: string, salt: Uint8Array): KeyObject {
    const name = `${id} ${Buffer.from(salt).toString('latin1')}`
    let key = this.#derived.get(name)
    if (key === undefined) {
      if (this.#derived.size >= MOST_DERIVED) this.#derived.clear()
      key = this.#derive(id, salt, 'record')
      this.#derived.set(name, key)
    }
    return key
  }

  #derive(id: string, salt: Uint8Array, use: 'record' | 'body'): KeyObject {
    const key = this.#keys.get(id)
    if (key === undefined) throw new Error(`the key ${id} is not among those given`)
    return createSecretKey(new Uint8Array(hkdfSync('sha256', key, salt, `mailwright spool ${use}`, 32)))
  }

  /** Whether the key of this id is given. */
  has(id: string): boolean {
    return this.#keys.has(id)
  }

  get writes(): string {
    return this.#writer.id
  }
}

/**
 * Makes sure that what is in the spool can be read with the keys given, and notes by which key more will be written. An
 * empty spool needs no old keys.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a key that is missing or another than it was.
 */
export async function checkKeys(db: Database, keyring: Keyring | undefined): Promise<void> {
  const isEmpty = (db.messages.getStats() as { readonly entryCount: number }).entryCount === 0
  for (const { key: id, value } of [...db.keys.getRange({})]) {
    if (keyring?.has(id)) {
      if (!opens(keyring, id, value))
        throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `the key ${id} is not the one the spool was written with`)
    } else if (isEmpty) await db.keys.remove(id)
    else
      throw new MailwrightError(
        'ERR_MAILWRIGHT_CONFIG',
        `the spool holds mail that was encrypted with the key ${id}, which is not given`,
      )
  }
  if (keyring !== undefined && !db.keys.doesExist(keyring.writes))
    await db.keys.put(keyring.writes, keyring.seal(checkPlace(keyring.writes), CHECK))
}

function opens(keyring: Keyring, id: string, value: Uint8Array): boolean {
  try {
    return CHECK.equals(keyring.open(checkPlace(id), value))
  } catch {
    return false
  }
}

function checkPlace(id: string): string {
  return `check ${id}`
}
