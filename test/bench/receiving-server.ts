/**
 * A server that takes mail and throws it away, in a process of its own: ours, or smtp-server as it comes. Tells its
 * parent its port. The first argument says which.
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type net from 'node:net'
import { join } from 'node:path'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { discardTransport } from '@mailwright/local-delivery'
import { acceptAll } from '@mailwright/policy'
import { smtpListener } from '@mailwright/smtp-listener'

const LARGEST = 64_000_000

process.on('disconnect', () => process.exit(0))
process.send?.(process.argv[2] === 'smtp-server' ? await startStock() : await startOurs())

async function startOurs(): Promise<number> {
  const mta = createMta({ name: 'receiving' })
  const intake = mta.use(
    mailIntake({
      hostname: 'mx.example.org',
      transport: discardTransport(),
      policies: [acceptAll()],
      maxSize: LARGEST,
    }),
  )
  const listener = mta.use(smtpListener({ intake, port: 0 }))
  await mta.start()
  return listener.address.port
}

/** As much of smtp-server's options as is used here. */
interface StockOptions {
  readonly authOptional: boolean
  readonly disabledCommands: readonly string[]
  readonly disableReverseLookup: boolean
  onData(stream: NodeJS.ReadableStream, session: unknown, callback: () => void): void
}

/** Only the listener's package may import smtp-server; here it is a peer to be measured. */
async function startStock(): Promise<number> {
  const require = createRequire(join(import.meta.dirname, '../../packages/smtp-listener/package.json'))
  const { SMTPServer } = require('smtp-server') as { readonly SMTPServer: new (options: StockOptions) => net.Server }
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    onData(stream, _session, callback) {
      stream.resume()
      stream.on('end', () => callback())
    },
  })
  const socket = server.listen(0, '127.0.0.1')
  await once(socket, 'listening')
  return (socket.address() as net.AddressInfo).port
}
