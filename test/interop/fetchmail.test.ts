/** fetchmail, by which a server that was away asks for its mail (ETRN, RFC 1985). */
import { memoryStore } from '@mailwright/queue'
import { relayServer } from 'mailwright'
import { createTransport } from 'nodemailer'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePort } from '../bench/ports.ts'
import { missing, runProgram } from './programs.ts'
import { envelopeText, startReceiver } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** Asks the server on a port for the mail of a domain. Rejects with what it says when that is refused. */
function fetchmail(port: number, domain: string): Promise<string> {
  const files = ['--fetchmailrc', '/dev/null', '--pidfile', `${temporaryFolder()}/pid`, '--nosyslog']
  const server = ['--protocol', 'ETRN', '--service', String(port), '--fetchdomains', domain]
  return runProgram('fetchmail', [...files, '--verbose', '--sslproto', '', ...server, '127.0.0.1'])
}

describe.skipIf(missing('fetchmail'))('fetchmail', () => {
  it('has the mail for its domain sent that waits at our relay, and for no other', async () => {
    const port = await freePort()
    const { mta, queue, listener } = relayServer({
      hostname: 'relay.example.org',
      listen: { host: '127.0.0.1', port: 0 },
      nextHop: `[127.0.0.1]:${port}`,
      store: memoryStore(),
      etrn: ['branch.example.org'],
    })
    await mta.start()
    onTestFinished(() => mta.stop())
    const mailer = createTransport({ host: '127.0.0.1', port: listener.address.port })
    const envelope = { from: 'ann@example.net', to: 'bob@branch.example.org' }
    await mailer.sendMail({ envelope, raw: 'Subject: hi\r\n\r\nhi\r\n' })
    // Nobody is there yet.
    await expect.poll(async () => (await queue.entries({ limit: 1 }))[0]?.attempts, { timeout: 10_000 }).toBe(1)

    const branch = await startReceiver({ listener: { port } })
    await expect(fetchmail(listener.address.port, 'example.com')).rejects.toThrow('459 4.7.1')
    expect(branch.mails).toEqual([])
    await fetchmail(listener.address.port, 'branch.example.org').catch((error: unknown) => {
      // It has nothing to fetch by itself, and says so by its exit code.
      expect(String(error)).toMatch(/ended with 1:[\s\S]*250 2\.0\.0 Queuing started/)
    })
    await expect.poll(() => branch.mails.length, { timeout: 10_000 }).toBe(1)
    expect(envelopeText(branch.mails[0]!.envelope)).toBe('ann@example.net -> bob@branch.example.org')
  })
})
