import type { MailOptions, Outcome } from '@mailwright/core'
import { testScope } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { smtpTransport } from './smtp-transport.ts'
import { job, summary, world } from './testing-support/world.ts'

describe('a job without a lane', () => {
  it('goes to each recipient’s domain', async () => {
    const { deliver, server, end } = await world(
      {},
      {},
      {
        zones: {
          'example.org': { MX: [[10, 'mx.example.org']] },
          'mx.example.org': { A: ['192.0.2.25'] },
          'example.com': 'no-name',
        },
      },
    )
    const to = ['bob@example.org', 'cid@example.com', 'postmaster', 'dan@example.org']
    expect(summary(await deliver(job({ to, destination: '' }))).map((line) => line.slice(0, 16))).toEqual([
      'ok 250 2.0.0 hos',
      'failed 550 5.1.2',
      'failed 550 5.1.2',
      'ok 250 2.0.0 hos',
    ])
    expect(server.visits[0]!.commands.filter((command) => command.startsWith('RCPT'))).toHaveLength(2)
    await end()
  })

  it('and without recipients has no outcomes', async () => {
    const { deliver, end } = await world()
    expect([...(await deliver(job({ to: [] })))]).toEqual([])
    await end()
  })
})

describe('what a sender wants to hear', () => {
  const options: MailOptions = { ret: 'hdrs', envid: 'QQ+2B1' }
  const wishes = { notify: ['success', 'delay'], orcpt: 'rfc822;ann+2Bx@example.org' } as const

  async function sent(capabilities: readonly string[]): Promise<readonly [string[], Outcome]> {
    const { deliver, server, end } = await world({}, { capabilities: ['PIPELINING', ...capabilities] })
    const plain = job({ options })
    const recipients = plain.envelope.recipients.map((each) => ({ ...each, ...wishes }))
    const outcomes = await deliver({ ...plain, envelope: { ...plain.envelope, recipients } })
    await end()
    const commands = server.visits[0]!.commands.filter((command) => /^(MAIL|RCPT)/.test(command))
    return [commands, [...outcomes.values()][0]!]
  }

  it('goes on to a server that offers DSN, which reports it from then on', async () => {
    const [[mail, rcpt], outcome] = await sent(['DSN'])
    expect(mail).toMatch(/ RET=HDRS ENVID=QQ\+2B1$/)
    expect(rcpt).toMatch(/ NOTIFY=SUCCESS,DELAY ORCPT=rfc822;ann\+2Bx@example\.org$/)
    expect(outcome).toMatchObject({ status: 'ok', reportedBy: 'next-hop' })
  })

  it('is kept from one that does not, and remains ours to report', async () => {
    const [commands, outcome] = await sent([])
    expect(commands.join()).not.toMatch(/RET|ENVID|NOTIFY|ORCPT/)
    expect(outcome).toMatchObject({ status: 'ok', action: 'relayed' })
    expect(outcome).not.toMatchObject({ reportedBy: 'next-hop' })
  })
})

describe('options', () => {
  it.each([
    [{ hostname: '' }],
    [{ hostname: 'a b' }],
    [{ hostname: 'a\r\nMAIL' }],
    [{ hostname: 'a', port: 0 }],
    [{ hostname: 'a', nextHop: '[x' }],
    [{ hostname: 'a', maxConnectionsPerDestination: 0 }],
    [{ hostname: 'a', timeouts: { mail: -1 } }],
  ])('that cannot work are refused: %j', (options) => {
    expect(() => smtpTransport(options)).toThrow(expect.objectContaining({ code: 'ERR_MAILWRIGHT_CONFIG' }))
  })

  it('promise senders what is passed on or refused, and binary mail only where that is wanted', () => {
    const { capabilities } = smtpTransport({ hostname: 'a' }).create(testScope())
    expect([...capabilities!]).toEqual(['deliverby', 'dsn', 'mt-priority', 'requiretls', 'smtputf8'])
    const binary = smtpTransport({ hostname: 'a', binaryMime: 'offered' }).create(testScope())
    expect(binary.capabilities).toEqual(new Set([...capabilities!, 'binarymime']))
  })

  it('name the transport', () => {
    expect(smtpTransport({ hostname: 'a' }).name).toBe('smtp')
    expect(smtpTransport({ hostname: 'a', name: 'relay' }).name).toBe('relay')
  })
})
