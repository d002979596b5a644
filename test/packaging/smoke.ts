/** Runs where only the packed packages are installed: starts the example server, sends a message, finds the file. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lmdbStore, type MailEvent } from 'mailwright'
import { mailServer } from './server.ts'

const home = mkdtempSync(join(tmpdir(), 'smoke-'))
mkdirSync(join(home, 'mail'))
const mta = mailServer(lmdbStore({ directory: join(home, 'spool') }), join(home, 'mail'), 0)
const seen: MailEvent[] = []
let delivered: () => void
const delivery = new Promise<void>((resolve) => {
  delivered = resolve
})
mta.events.subscribe((event) => {
  seen.push(event)
  if (event.type === 'recipient.settled' && event.outcome.status === 'ok') delivered()
})
await mta.start()
const ready = seen.find((event) => event.type === 'listener.ready')
if (ready?.type !== 'listener.ready') throw new Error('no listener')
const client = connect(Number(new URL(ready.url).port), '127.0.0.1')
client.write('EHLO smoke\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n')
client.on('data', (data: Buffer) => {
  if (data.toString().includes('354')) client.end('Subject: smoke\r\n\r\nIt works.\r\n.\r\nQUIT\r\n')
})
await delivery
const [file] = readdirSync(join(home, 'mail/ann/new'))
if (!readFileSync(join(home, 'mail/ann/new', file!), 'utf8').endsWith('\r\nIt works.\r\n'))
  throw new Error('not the message')
await mta.stop()
