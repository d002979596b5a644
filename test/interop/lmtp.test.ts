/** Mail by LMTP into the mailboxes of a real Dovecot, and to our own listener. */
import { type Block, parseMailbox, type Transport } from '@mailwright/core'
import { mailIntake } from '@mailwright/intake'
import { createMta } from '@mailwright/kernel'
import { messageSource } from '@mailwright/message'
import { acceptAll } from '@mailwright/policy'
import { smtpListener } from '@mailwright/smtp-listener'
import { lmtpTransport } from '@mailwright/smtp-transport'
import { scriptedTransport } from '@mailwright/testing'
import { expect, it, onTestFinished } from 'vitest'
import { startDovecotLmtp } from './dovecot-lmtp.ts'
import { missing } from './programs.ts'
import { temporaryFolder } from './temporary-folder.ts'

const TEXT = 'Subject: dots\r\n\r\n.one\r\n..two\r\nend\r\n'

/** Delivers one message to these recipients, and gives what became of each. */
async function deliver(transport: Transport, to: readonly string[], text = TEXT): Promise<readonly string[]> {
  const outcomes = await transport.deliver(
    {
      id: '01',
      envelope: {
        sender: parseMailbox('sender@example.net')!,
        recipients: to.map((address, id) => {
          const mailbox = parseMailbox(address)!
          return { id, address: mailbox, original: mailbox }
        }),
        options: {},
      },
      message: messageSource(Buffer.from(text)),
      arrivedAt: 0,
      attempt: 1,
    },
    { signal: AbortSignal.timeout(30_000) },
  )
  return to.map((_, id) => {
    const outcome = outcomes.get(id)!
    return `${outcome.status} ${outcome.status === 'ok' ? outcome.action : outcome.reply.enhanced}`
  })
}

async function started(block: Block<Transport>): Promise<Transport> {
  const mta = createMta({ name: 'lmtp client' })
  const transport = mta.use(block)
  await mta.start()
  onTestFinished(() => mta.stop())
  return transport
}

it.skipIf(missing('dovecot'))('Dovecot takes mail for each of its users, and answers for each', async () => {
  const dovecot = await startDovecotLmtp(temporaryFolder(), ['ann', 'bob'])
  const hostname = 'mail.example.org'
  const transport = await started(lmtpTransport({ hostname, nextHop: `unix:${dovecot.socket}` }))
  const to = ['ann@example.org', 'nobody@example.org', 'bob@example.org']
  expect(await deliver(transport, to)).toEqual(['ok delivered', 'failed 5.1.1', 'ok delivered'])
  for (const user of ['ann', 'bob']) {
    const mail = dovecot.mailOf(user)
    expect(mail).toHaveLength(1)
    expect(mail[0]!.replaceAll('\r\n', '\n')).toContain('\n.one\n..two\nend\n')
  }
  // And once more on the same connection, with nobody to take it, and then with somebody.
  expect(await deliver(transport, ['nobody@example.org'])).toEqual(['failed 5.1.1'])
  expect(await deliver(transport, ['ann@example.org'], `A: b\r\n\r\n${'line of mail\r\n'.repeat(20_000)}`)).toEqual([
    'ok delivered',
  ])
  expect(dovecot.mailOf('ann')).toHaveLength(2)
})

it.each<readonly [string, (folder: string) => { readonly path: string } | { readonly port: number }]>([
  ['a socket', (folder) => ({ path: `${folder}/lmtp` })],
  ['TCP', () => ({ port: 0 })],
])('Our own listener answers for each recipient, through %s', async (_, place) => {
  const mta = createMta({ name: 'lmtp server' })
  const behind = scriptedTransport({ outcomes: { 'full@example.org': '452 4.2.2 over quota', '*': 'ok' } })
  const intake = mta.use(mailIntake({ hostname: 'mx.example.org', transport: behind, policies: [acceptAll()] }))
  const where = place(temporaryFolder())
  const listener = mta.use(smtpListener({ intake, protocol: 'lmtp', unixPeers: 'loopback', ...where }))
  await mta.start()
  onTestFinished(() => mta.stop())
  const nextHop = 'path' in where ? `unix:${where.path}` : `[127.0.0.1]:${listener.address.port}`
  const transport = await started(lmtpTransport({ hostname: 'relay.example.net', nextHop }))
  const to = ['ann@example.org', 'full@example.org', 'bob@example.org']
  expect(await deliver(transport, to)).toEqual(['ok delivered', 'deferred 4.2.2', 'ok delivered'])
})
