/** A whole mail server in a host program: takes mail for one domain, refuses one sender, keeps what it takes in Maildirs. */
import {
  createMta,
  createRouter,
  type Environment,
  type Mta,
  maildir,
  mailIntake,
  messageQueue,
  policy,
  type QueueStore,
  reject,
  rejectUnauthorizedDestination,
  reply,
  restrictions,
  smtpListener,
  smtpTransport,
} from 'mailwright'

const hostname = 'mx.example.org'

export function mailServer(
  store: QueueStore,
  mailRoot: string,
  port: number,
  environment: Partial<Environment> = {},
): Mta {
  const mta = createMta({ name: 'example', environment })
  const mailboxes = { 'ann@example.org': `${mailRoot}/ann` }
  const router = createRouter({
    hostname,
    local: ['example.org'],
    mailboxes,
    aliases: { 'team@example.org': ['ann@example.org', 'bob@example.net'] },
  })
  const transports = { local: maildir({ mailboxes, hostname }), smtp: smtpTransport({ hostname }) }
  const queue = mta.use(messageQueue({ hostname, store, router, transports }))
  const noSpam = policy('no-spam', {
    mail: ({ sender }) => (sender?.domain === 'spam.example' ? reject(reply(550, '5.7.1', 'Not from you')) : undefined),
  })
  const policies = [noSpam, restrictions([rejectUnauthorizedDestination(router)])]
  const intake = mta.use(mailIntake({ hostname, transport: queue, policies }))
  mta.use(smtpListener({ intake, port }))
  return mta
}
