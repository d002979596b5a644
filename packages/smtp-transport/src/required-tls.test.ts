import { testAuthority, type Zones } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { job, summary, world } from './testing-support/world.ts'

const authority = testAuthority()
const REFUSED = /^failed 550 5\.7\.30 /
const SENT = /^ok 250 /

interface Given {
  /** Whom the certificate names. */
  readonly names?: readonly string[]
  readonly destination?: string
  readonly secureDns?: boolean
  readonly capabilities?: readonly string[]
  readonly trusted?: string
}

/** Mail that demands TLS all the way: what becomes of it, and what the server heard. */
async function demand(given: Given): Promise<{ readonly line: string; readonly mail: string | undefined }> {
  const { names = ['mx.example.org'], destination = 'example.org', secureDns = true } = given
  const zones: Zones = {
    'example.org': { MX: [[10, 'mx.example.org']], secure: secureDns },
    'mx.example.org': { A: ['192.0.2.25'] },
  }
  const { capabilities = ['REQUIRETLS'], trusted = authority.ca } = given
  const { deliver, server, end } = await world(
    {},
    { tls: authority.issue({ names }), capabilities },
    { zones, trusted },
  )
  const line = summary(await deliver(job({ destination, options: { requireTls: true } })))[0]!
  await end()
  return { line, mail: server.visits[0]!.commands.find((command) => command.startsWith('MAIL')) }
}

describe('mail that demands TLS', () => {
  it.each<readonly [string, Given]>([
    ['whose name secure DNS gave', {}],
    ['that the operator named', { destination: '[mx.example.org]', secureDns: false }],
  ])('goes on to a server %s, with the demand', async (_whom, given) => {
    const { line, mail } = await demand(given)
    expect(line).toMatch(SENT)
    expect(mail).toBe('MAIL FROM:<ann@example.net> REQUIRETLS')
  })

  it.each<readonly [string, Given]>([
    ['whose name anybody may have given', { secureDns: false }],
    ['with a certificate for another name', { names: ['mx.example.com'] }],
    ['with a certificate that nobody vouches for', { trusted: testAuthority().ca }],
    ['that does not promise to demand it further', { capabilities: ['PIPELINING'] }],
  ])('is returned rather than given to a server %s', async (_whom, given) => {
    const { line, mail } = await demand(given)
    expect(line).toMatch(REFUSED)
    expect(mail).toBeUndefined()
  })
})
