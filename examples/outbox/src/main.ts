import { parseMailbox, shutdownSignal } from 'mailwright'
import { mailServer } from './mail-server.ts'
import { openOutbox } from './outbox.ts'
import { openShop } from './shop.ts'

const [path, address, article = 'tea'] = process.argv.slice(2)
const customer = parseMailbox(address ?? '')
if (path === undefined || !customer) {
  console.error('usage: node src/main.ts SHOP.db CUSTOMER@DOMAIN [tea|cake]')
  process.exit(2)
}
const outbox = openOutbox(path)
const shop = openShop(outbox)
const { mta } = mailServer(outbox)
mta.events.subscribe((event, at) => console.log(new Date(at).toISOString(), event.type))
console.log(`order ${shop.order({ customer, article, count: 1 })}; ${shop.stock(article)} left`)
await mta.run(shutdownSignal())
outbox.db.close()
