import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Block, Transport } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { discardTransport, maildir } from '@mailwright/local-delivery'
import { acceptAll } from '@mailwright/policy'
import { smtpListener } from '@mailwright/smtp-listener'
import { type Command, hostAndPort, UsageError } from '../command.ts'
import { logLevel } from '../log-level.ts'
import { serve } from '../serve.ts'
import { mailWindow } from '../sink/mail-window.ts'
import { webServer } from '../sink/web-server.ts'

/** Takes everything: for development. */
export const sink: Command = {
  usage: 'sink --listen HOST:PORT [--lmtp] [--maildir DIR] [--http HOST:PORT] [--log-level LEVEL]',
  summary: 'Takes every message (for development), keeps it in a Maildir, shows it in a web page.',
  async run(args): Promise<void> {
    const { values } = parseArgs({
      args: [...args],
      options: {
        listen: { type: 'string' },
        lmtp: { type: 'boolean', default: false },
        maildir: { type: 'string' },
        http: { type: 'string' },
        'log-level': { type: 'string', default: 'info' },
      },
    })
    if (values.listen === undefined) throw new UsageError(`usage: mailwright ${sink.usage}`)
    const name = hostname()
    const mta = createMta({ name: 'sink' })
    const kept =
      values.maildir === undefined
        ? discardTransport()
        : mta.use(oneCopy(maildir({ mailboxes: everyoneIn(values.maildir), hostname: name })))
    const window = mailWindow(kept)
    const intake = mta.use(mailIntake({ hostname: name, transport: window, policies: [acceptAll()] }))
    mta.use(
      smtpListener({ intake, protocol: values.lmtp ? 'lmtp' : 'smtp', ...hostAndPort(values.listen, '--listen') }),
    )
    if (values.http !== undefined) mta.use(webServer(hostAndPort(values.http, '--http'), window.seen))
    await serve(mta, logLevel(values['log-level']))
  },
}

/** One Maildir for whoever the mail is for. */
function everyoneIn(directory: string): () => string {
  const path = resolve(directory)
  return () => path
}

/** A message to several recipients is kept once: they all share the Maildir. */
function oneCopy(block: Block<Transport>): Block<Transport> {
  return {
    name: block.name,
    create(scope) {
      const inner = block.create(scope)
      return {
        ...inner,
        name: inner.name,
        async deliver(job, call) {
          const [first] = job.envelope.recipients
          const outcomes = await inner.deliver(
            { ...job, envelope: { ...job.envelope, recipients: job.envelope.recipients.slice(0, 1) } },
            call,
          )
          const outcome = first === undefined ? undefined : outcomes.get(first.id)
          return outcome === undefined
            ? outcomes
            : new Map(job.envelope.recipients.map((recipient) => [recipient.id, outcome]))
        },
      }
    },
  }
}
