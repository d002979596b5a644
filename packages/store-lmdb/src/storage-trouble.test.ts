/** Writes that fail while the store lives: nothing is half done, and whoever tries again succeeds. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { Claiming } from './claiming.ts'
import { storageFailure } from './failure.ts'
import { openSpool } from './opening.ts'
import { settingsOf } from './options.ts'
import { Putting } from './putting.ts'
import { Settling } from './settling.ts'
import { assemble, type StoreParts } from './store-parts.ts'
import {
  CALL,
  deferred,
  eventLog,
  LANE,
  letter,
  message,
  relayed,
  spoolDirectory,
} from './testing-support/spool-directory.ts'

const TROUBLE = { code: 'ERR_MAILWRIGHT_STORE', reply: { code: 452 } }
const NOW_CLAIM = { lanes: new Set([LANE]), now: 0, leaseMs: 1_000 }

/** A spool whose commits fail while `full.now` is true. */
async function spool() {
  const settings = settingsOf({ directory: await spoolDirectory(), minFree: 0 })
  const opened = await openSpool(settings)
  const whole = await assemble(settings, opened, eventLog(), () => {})
  await whole.files.prepare()
  onTestFinished(async () => {
    await whole.work.idle()
    await whole.db.root.close()
    await opened.lock?.release()
  })
  const full = { now: false }
  const failing = async (): Promise<never> => {
    throw Object.assign(new Error('Commit failed'), { commitError: Promise.reject({ code: 28 }) })
  }
  const parts: StoreParts = {
    ...whole,
    db: {
      ...whole.db,
      messages: new Proxy(whole.db.messages, {
        get: (table, name) => (full.now && name === 'ifNoExists' ? failing : bound(table, name)),
      }),
      entries: new Proxy(whole.db.entries, {
        get: (table, name) => (full.now && name === 'ifVersion' ? failing : bound(table, name)),
      }),
    },
    transaction: async (change) => {
      if (full.now) throw await whole.failure({ commitError: Promise.reject({ code: 28 }) })
      return whole.transaction(change)
    },
  }
  const putting = new Putting(parts)
  return { full, parts, putting, settling: new Settling(parts, putting), claiming: new Claiming(parts) }
}

function bound(table: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(table, name)
  return typeof value === 'function' ? value.bind(table) : value
}

describe('while storage fails', () => {
  it('mail is not taken, is not claimed, and can be put again', async () => {
    const { full, parts, putting, claiming } = await spool()
    full.now = true
    await expect(putting.put(message('a1'), letter(), NOW_CLAIM, CALL)).rejects.toMatchObject(TROUBLE)
    await expect(putting.put(message('b1'), letter(Buffer.alloc(200_000)), NOW_CLAIM, CALL)).rejects.toMatchObject(
      TROUBLE,
    )
    expect(parts.space.refusing()).toMatchObject({ code: 452 })
    expect(parts.leases.live).toBe(0)
    expect(claiming.lanes({ now: 0, limit: 1 })).toEqual([])
    full.now = false
    expect(await putting.put(message('a1'), letter(), NOW_CLAIM, CALL)).toHaveLength(1)
    expect(parts.space.refusing()).toBeNull()
    expect(parts.counts.bytes.read()).toBe(letter().size)
  })

  it('a spooled body is still its owner’s: to put again, or to discard', async () => {
    const { full, parts, putting } = await spool()
    const writing = parts.files.spool()
    await writing.write(Buffer.alloc(200_000, 97))
    const spooled = await writing.finish()
    const source = { ...letter(), size: 200_017, buffered: undefined, spooled, body: () => spooled.read(CALL) }
    full.now = true
    await expect(putting.put(message('a1'), source, undefined, CALL)).rejects.toMatchObject(TROUBLE)
    full.now = false
    await putting.put(message('b1'), source, undefined, CALL)
    await spooled.discard()
    const stored = parts.messages.find('b1')
    let size = 0
    for await (const chunk of stored!.source.body(CALL)) size += chunk.length
    expect(size).toBe(200_000)
  })

  it('claims stay their holders’, who settle again when it is over', async () => {
    const { full, parts, putting, settling, claiming } = await spool()
    for (const id of ['a1', 'a2', 'a3']) await putting.put(message(id), letter(), undefined, CALL)
    const [one, two, three] = claiming.claim({ lane: LANE, now: 0, limit: 3, leaseMs: 1_000 })
    full.now = true
    const also = { message: message('n1'), source: letter(Buffer.alloc(200_000)) }
    await expect(settling.settle(one!, relayed(one!))).rejects.toMatchObject(TROUBLE)
    await expect(settling.settle(two!, deferred(two!, 9))).rejects.toMatchObject(TROUBLE)
    await expect(settling.settle(three!, { ...relayed(three!), also })).rejects.toMatchObject(TROUBLE)
    expect(parts.leases.live).toBe(3)
    full.now = false
    await settling.settle(one!, relayed(one!))
    await settling.settle(two!, deferred(two!, 9))
    expect(parts.counts.deferred.read()).toBe(1)
    await settling.settle(three!, { ...relayed(three!), also })
    expect(parts.leases.live).toBe(0)
    expect([...parts.db.entries.getKeys()]).toEqual([
      ['a2', 0],
      ['n1', 0],
    ])
    expect(parts.counts.bytes.read()).toBe(letter().size + 200_017)
  })
})

describe('a failure of storage', () => {
  it('is answered with 452 when there is no room, and with nothing particular otherwise', async () => {
    for (const code of ['ENOSPC', 'EDQUOT', 28, 122])
      expect(await storageFailure(Object.assign(new Error('x'), { code }))).toMatchObject(TROUBLE)
    const other = await storageFailure(Object.assign(new Error('x'), { code: 'EACCES' }))
    expect(other).toMatchObject({ code: 'ERR_MAILWRIGHT_STORE', reply: undefined })
    expect(await storageFailure(other)).toBe(other)
  })
})
