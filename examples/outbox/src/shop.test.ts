import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fakeDns, manualClock, memoryNetwork, type ScriptedMx, scriptedMx } from '@mailwright/testing'
import { type Environment, systemClock, systemRandom } from 'mailwright'
import { describe, expect, it, onTestFinished } from 'vitest'
import { enqueue } from './enqueue.ts'
import { type MailServer, mailServer } from './mail-server.ts'
import { type Outbox, openOutbox, transact } from './outbox.ts'
import { openShop, type Shop } from './shop.ts'

const ANN = { local: 'ann', domain: 'customers.example' }

interface World {
  readonly shop: Shop
  readonly outbox: Outbox
  readonly mx: ScriptedMx
  readonly clock: ReturnType<typeof manualClock>
  readonly environment: Partial<Environment>
  /** Starts what sends the mail. */
  serve(): Promise<MailServer>
  /** Another process opens the database, the first being gone. */
  again(): { readonly shop: Shop; readonly outbox: Outbox }
}

/** A shop on a real file, and the customers' mail exchanger in memory. */
async function world(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'mailwright-shop-'))
  const path = join(folder, 'shop.db')
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const clock = manualClock(systemClock().now() + 1_000)
  const network = memoryNetwork({ clock })
  const dns = fakeDns(
    { 'customers.example': { MX: [[10, 'mx.customers.example']] }, 'mx.customers.example': { A: ['192.0.2.25'] } },
    { clock },
  )
  const mx = await scriptedMx({ network, clock, host: '192.0.2.25', hostname: 'mx.customers.example' })
  const environment = { clock, dns, net: network, random: systemRandom() }
  let outbox = openOutbox(path)
  onTestFinished(() => outbox.db.close())
  return {
    shop: openShop(outbox),
    outbox,
    mx,
    clock,
    environment,
    async serve(): Promise<MailServer> {
      const server = mailServer(outbox, environment)
      await server.mta.start()
      onTestFinished(() => clock.until(server.mta.stop()))
      await clock.settle()
      return server
    },
    again(): { readonly shop: Shop; readonly outbox: Outbox } {
      outbox.db.close()
      outbox = openOutbox(path)
      return { shop: openShop(outbox), outbox }
    },
  }
}

describe('a shop', () => {
  it('confirms an order', async () => {
    const { shop, mx, clock, serve } = await world()
    const { queue } = await serve()
    expect(shop.order({ customer: ANN, article: 'tea', count: 2 })).toBe(1)
    await clock.settle()
    expect(mx.messages.map(({ sender, recipients }) => ({ sender, recipients }))).toEqual([
      { sender: 'sales@shop.example', recipients: ['ann@customers.example'] },
    ])
    const text = Buffer.from(mx.messages[0]!.data).toString()
    expect(text).toContain('Subject: Your order 1\r\n')
    expect(text).toContain('\r\n\r\nThank you. 2 × tea will be on its way soon.\r\n')
    expect(await queue.stats()).toMatchObject({ messages: 0, entries: 0 })
    expect(shop.stock('tea')).toBe(8)
  })

  it('sends nothing about an order that was rolled back, however late that was', async () => {
    const { shop, outbox, mx, clock, serve } = await world()
    const { queue } = await serve()
    expect(() => shop.order({ customer: ANN, article: 'tea', count: 11 })).toThrow(/CHECK constraint/)
    expect(await queue.stats()).toMatchObject({ messages: 0, entries: 0 })
    await clock.advance('1h')
    expect(mx.messages).toEqual([])
    expect(outbox.db.prepare('SELECT COUNT(*) AS orders FROM orders').get()).toEqual({ orders: 0 })
    expect(shop.stock('tea')).toBe(10)
  })

  it('sends the confirmation when it went down between the order and the mail', async () => {
    const { shop, mx, serve, again } = await world()
    shop.order({ customer: ANN, article: 'cake', count: 1 })
    const { shop: reopened } = again()
    expect(reopened.stock('cake')).toBe(9)
    expect(mx.messages).toEqual([])
    await serve()
    expect(mx.messages).toHaveLength(1)
  })

  it('wakes its mail server once for all mail of a transaction, and not for a transaction without', async () => {
    const { outbox } = await world()
    let wakes = 0
    outbox.onMail.add(() => {
      wakes += 1
    })
    const mail = { from: ANN, to: [ANN], subject: 'hello', text: 'hello\n' } as const
    transact(outbox, (tx) => [enqueue(tx, mail), enqueue(tx, mail)])
    expect(wakes).toBe(1)
    transact(outbox, () => 'nothing')
    expect(wakes).toBe(1)
  })

  it('asks each domain once, and sends to all of its recipients together', async () => {
    const { outbox, mx, serve } = await world()
    const bob = { local: 'bob', domain: 'Customers.Example' }
    transact(outbox, (tx) => enqueue(tx, { from: ANN, to: [ANN, bob], subject: 'Grüße, ganz herzliche', text: 'ö' }))
    await serve()
    expect(mx.messages.map(({ recipients }) => recipients)).toEqual([
      ['ann@customers.example', 'bob@Customers.Example'],
    ])
    const text = Buffer.from(mx.messages[0]!.data).toString()
    expect(text).toMatch(/^Subject: =\?utf-8\?B\?[^\r\n]+\?=\r\n =\?utf-8/m)
  })

  it('does not let a customer write header lines', async () => {
    const { outbox } = await world()
    const mail = { from: ANN, to: [ANN], subject: 'x\r\nBcc: eve@example.org', text: '' } as const
    expect(() => transact(outbox, (tx) => enqueue(tx, mail))).toThrow('a subject is one line')
  })
})
