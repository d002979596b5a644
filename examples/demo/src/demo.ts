/**
 * The demo: a relay and a mail exchanger in one process, on loopback, with durable queues and a Maildir. It sends itself
 * one message, tells its life, and runs until Ctrl-C. `--home DIR` says where its files go (default `.demo`).
 */
import { mkdirSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { shutdownSignal } from 'mailwright'
import { sendFirstMessage } from './first-message.ts'
import { tellLife } from './life-line.ts'
import { preferPort } from './ports.ts'
import { demoExchanger, demoRelay } from './servers.ts'

const { values } = parseArgs({ options: { home: { type: 'string', default: '.demo' } } })
const home = resolve(values.home)
mkdirSync(join(home, 'mail'), { recursive: true })
const shutdown = shutdownSignal()
const firstMessage = Promise.withResolvers<void>()
shutdown.addEventListener('abort', () => firstMessage.resolve(), { once: true })

const exchanger = demoExchanger(home, await preferPort(2525))
const newMail = join(home, 'mail/ann/new')
tellLife(exchanger.mta, console.log)
exchanger.mta.events.subscribe((event) => {
  if (event.type !== 'recipient.settled' || event.outcome.status !== 'ok' || event.lane.transport !== 'local') return
  const newest = readdirSync(newMail).sort().at(-1)
  if (newest !== undefined) console.log(`${'file'.padEnd(17)} ${join(newMail, newest)}`)
  firstMessage.resolve()
})
await exchanger.mta.start()
const relay = demoRelay(home, await preferPort(2526), exchanger.listener.address.port)
tellLife(relay.mta, console.log)
await relay.mta.start()

const { port } = relay.listener.address
console.log(`
Mailwright demo
  relay           ${relay.listener.url}   takes mail from this host and sends it on to
  mail exchanger  ${exchanger.listener.url}   which keeps mail for ann@demo.example in
  Maildir         ${join(home, 'mail/ann')}

Sending itself a first message:
`)
await sendFirstMessage(port)
await firstMessage.promise

console.log(`
Try:
  swaks --server 127.0.0.1:${port} --from you@demo.example --to ann@demo.example
  python3 -c "import smtplib; smtplib.SMTP('127.0.0.1', ${port}).sendmail('you@demo.example', ['hello@demo.example', 'nobody@demo.example'], 'Subject: two\\r\\n\\r\\nOne arrives, one bounces.')"
  node_modules/.bin/mailwright queue stats --spool ${join(values.home, 'spool-relay')}

Ctrl-C ends it.
`)

if (!shutdown.aborted) await new Promise((done) => shutdown.addEventListener('abort', done, { once: true }))
await relay.mta.stop()
await exchanger.mta.stop()
