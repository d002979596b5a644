/** A whole mail server in a host program: takes mail for one domain, refuses one sender, keeps what it takes in Maildirs. */
import * as mw from 'mailwright'

export function mailServer(store: mw.QueueStore, root: string, port: number, world?: Partial<mw.Environment>): mw.Mta {
  const hostname = 'mx.example.org'
  const mta = mw.createMta({ name: 'example', environment: world ?? {} })
  const mailboxes = { 'ann@example.org': `${root}/ann` }
  const aliases = { 'team@example.org': ['ann@example.org', 'bob@example.net'] }
  const router = mw.createRouter({ hostname, local: ['example.org'], mailboxes, aliases })
  const transports = { local: mw.maildir({ mailboxes, hostname }), smtp: mw.smtpTransport({ hostname }) }
  const queue = mta.use(mw.messageQueue({ hostname, store, router, transports }))

  const notFromYou = mw.reject(mw.reply(550, '5.7.1', 'Not from you'))
  const noSpam = mw.policy('no-spam', {
    mail: ({ sender }) => (sender?.domain === 'spam.example' ? notFromYou : undefined),
  })
  const policies = [noSpam, mw.restrictions([mw.rejectUnauthorizedDestination(router)])]
  const intake = mta.use(mw.mailIntake({ hostname, transport: queue, policies }))
  mta.use(mw.smtpListener({ intake, port }))
  return mta
}
