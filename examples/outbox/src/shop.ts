/** A shop: who orders something gets a confirmation. The order and its mail are written together, or neither is. */
import type { Mailbox } from 'mailwright'
import { enqueue } from './enqueue.ts'
import { type Outbox, transact } from './outbox.ts'

export interface Order {
  readonly customer: Mailbox
  readonly article: string
  readonly count: number
}

export interface Shop {
  /** Resolves the order's number. Throws when there is not enough of the article: then there is no order and no mail. */
  order(order: Order): number
  /** How many of an article are left. */
  stock(article: string): number
}

const SALES: Mailbox = { local: 'sales', domain: 'shop.example' }

/** Opens the shop in the database of the outbox, with ten of everything. */
export function openShop(outbox: Outbox): Shop {
  const { db } = outbox
  db.exec(`
    CREATE TABLE IF NOT EXISTS orders (
      number INTEGER PRIMARY KEY, customer TEXT NOT NULL, article TEXT NOT NULL, count INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS stock (article TEXT PRIMARY KEY, left INTEGER NOT NULL CHECK (left >= 0));
    INSERT OR IGNORE INTO stock VALUES ('tea', 10), ('cake', 10);
  `)
  return {
    order: ({ customer, article, count }) =>
      transact(outbox, (tx) => {
        const address = `${customer.local}@${customer.domain}`
        const { lastInsertRowid } = tx.db
          .prepare('INSERT INTO orders (customer, article, count) VALUES (?, ?, ?)')
          .run(address, article, count)
        const number = Number(lastInsertRowid)
        enqueue(tx, {
          from: SALES,
          to: [customer],
          subject: `Your order ${number}`,
          text: `Thank you. ${count} × ${article} will be on its way soon.\n`,
        })
        // The last statement may still say no: the mail above is then taken back with the order.
        tx.db.prepare('UPDATE stock SET left = left - ? WHERE article = ?').run(count, article)
        return number
      }),
    stock: (article) => Number(db.prepare('SELECT left FROM stock WHERE article = ?').get(article)?.left ?? 0),
  }
}
