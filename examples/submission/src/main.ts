import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { lmdbStore, shutdownSignal } from 'mailwright'
import { submissionService } from './server.ts'
import { storedPassword, usersWithPasswords } from './users.ts'

const [key, cert, password] = process.argv.slice(2)
if (key === undefined || cert === undefined || password === undefined) {
  console.error('usage: node src/main.ts KEY.pem CERT.pem PASSWORD-OF-ANN')
  process.exit(2)
}
const { mta } = submissionService({
  tls: { key: readFileSync(key), cert: readFileSync(cert) },
  auth: usersWithPasswords(new Map([['ann', await storedPassword(password, randomBytes(16))]])),
  store: lmdbStore({ directory: './spool' }),
  ports: { starttls: 5870, implicit: 4650 },
})
mta.events.subscribe((event, at) => console.log(new Date(at).toISOString(), event.type))
await mta.run(shutdownSignal())
