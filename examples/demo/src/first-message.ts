import {
  createMta,
  type DeliveryJob,
  formatMailbox,
  idMaker,
  mailDate,
  memorySource,
  type Outcome,
  smtpTransport,
} from 'mailwright'
import { ANN } from './servers.ts'

/** Sends one message to the demo's mailbox by SMTP: the client is a transport as any other. */
export async function sendFirstMessage(port: number): Promise<Outcome | undefined> {
  const sender = createMta({ name: 'sender' })
  const smtp = sender.use(smtpTransport({ hostname: 'sender.demo.example' }))
  await sender.start()
  try {
    const { clock, random } = sender.environment
    const now = clock.now()
    const id = idMaker(clock, random).next()
    const head = `From: <demo@demo.example>\r\nTo: <${formatMailbox(ANN)}>\r\nSubject: Hello from Mailwright\r\nDate: ${mailDate(now)}\r\nMessage-ID: <${id}@demo.example>\r\n\r\n`
    const job: DeliveryJob = {
      id,
      envelope: {
        sender: { local: 'demo', domain: 'demo.example' },
        recipients: [{ id: 1, address: ANN, original: ANN }],
        options: {},
      },
      message: memorySource(
        Buffer.from(head),
        Buffer.from('This came by SMTP, through two durable queues, into a Maildir.\r\n'),
      ),
      arrivedAt: now,
      lane: { transport: 'smtp', destination: `[127.0.0.1]:${port}` },
      attempt: 1,
    }
    return (await smtp.deliver(job, { signal: AbortSignal.timeout(10_000) })).get(1)
  } finally {
    await sender.stop()
  }
}
