import { type Routing, reply } from '@mailwright/core'
import { mailbox, recipients } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { entriesOf, type Routed, routeAll } from './routing.ts'
import { CALL, type Routes, routerOf } from './testing-support/queue-bench.ts'

const SENDER = mailbox('sender@example.net')
const UNKNOWN = reply(550, '5.1.1', 'no such user')

function into(...addresses: readonly string[]): Routing {
  return { kind: 'expand', into: addresses.map(mailbox) }
}

function refuse(): Routing {
  return { kind: 'refuse', reply: UNKNOWN }
}

/** Where mail for these goes: `address -> lane`, or the refusal. */
async function routes(table: Routes, ...to: readonly string[]): Promise<string[]> {
  return lines(await routeAll(routerOf(table), SENDER, recipients(...to), CALL))
}

function lines(routed: readonly Routed[]): string[] {
  return routed.map(({ recipient, lane, refusal }) => {
    const { local, domain } = recipient.address
    return `${local}@${domain} -> ${lane ?? `${refusal?.code} ${refusal?.enhanced}`}`
  })
}

describe('a recipient', () => {
  it('goes to the lane its router names, whether the router answers at once or later', async () => {
    const later = { 'bob@example.org': async (): Promise<Routing> => ({ kind: 'send', lane: LOCAL }) }
    expect(await routes({}, 'ann@example.org')).toEqual(['ann@example.org -> smtp:example.org'])
    expect(await routes(later, 'bob@example.org')).toEqual(['bob@example.org -> local:'])
    expect(await routes(later, 'ann@example.org', 'bob@example.org')).toEqual([
      'ann@example.org -> smtp:example.org',
      'bob@example.org -> local:',
    ])
  })

  it('is looked up once, also when it is refused', async () => {
    let asked = 0
    const table = {
      'ann@example.org': (): Routing => {
        asked += 1
        return refuse()
      },
    }
    expect(await routes(table, 'ann@example.org')).toEqual(['ann@example.org -> 550 5.1.1'])
    expect(asked).toBe(1)
  })

  it('named twice gets the message once, whatever the case of the name', async () => {
    expect(await routes({}, 'ann@example.org', 'Ann@Example.org')).toEqual(['ann@example.org -> smtp:example.org'])
  })

  it('is not refused because a table failed', async () => {
    const broken = {
      'ann@example.org': (): Routing => {
        throw new Error('no table')
      },
    }
    await expect(routes(broken, 'ann@example.org')).rejects.toThrow('no table')
    await expect(routes(broken, 'bob@example.org', 'ann@example.org')).rejects.toThrow('no table')
  })
})

const LOCAL = { transport: 'local', destination: '' }

describe('an alias', () => {
  it('sends to everybody it stands for, through other aliases too', async () => {
    const table = {
      'all@example.org': into('staff@example.org', 'eve@example.com'),
      'staff@example.org': into('ann@example.org', 'bob@example.org'),
    }
    expect(await routes(table, 'all@example.org')).toEqual([
      'eve@example.com -> smtp:example.com',
      'ann@example.org -> smtp:example.org',
      'bob@example.org -> smtp:example.org',
    ])
  })

  it('gives new recipients ids of their own, and keeps what the client said of the old one', async () => {
    const [ann, all] = recipients('ann@example.org', 'all@example.org')
    const asked = { ...all!, id: 7, orcpt: 'rfc822;all@example.org', notify: ['failure'] as const }
    const table = { 'all@example.org': into('bob@example.org', 'eve@example.org') }
    const routed = await routeAll(routerOf(table), SENDER, [ann!, asked], CALL)
    expect(routed.map(({ recipient }) => recipient.id)).toEqual([1, 8, 9])
    expect(routed[1]?.recipient).toEqual({ ...asked, id: 8, address: mailbox('bob@example.org') })
  })

  it('may keep a copy for its own address', async () => {
    const table: Routes = {
      'ann@example.org': { kind: 'expand', into: [mailbox('bob@example.org')], keep: LOCAL },
    }
    expect(await routes(table, 'ann@example.org')).toEqual([
      'ann@example.org -> local:',
      'bob@example.org -> smtp:example.org',
    ])
  })

  it('sends once to an address that is reached in two ways', async () => {
    const table = {
      'one@example.org': into('ann@example.org', 'bob@example.org'),
      'two@example.org': into('bob@example.org', 'ann@example.org'),
    }
    expect(await routes(table, 'one@example.org', 'two@example.org', 'ann@example.org')).toEqual([
      'ann@example.org -> smtp:example.org',
      'bob@example.org -> smtp:example.org',
    ])
  })

  it('that leads back to itself is refused, and the others it stands for are served', async () => {
    const table = {
      'one@example.org': into('two@example.org'),
      'two@example.org': into('one@example.org', 'ann@example.org'),
    }
    expect(await routes(table, 'one@example.org')).toEqual([
      'one@example.org -> 550 5.4.6',
      'ann@example.org -> smtp:example.org',
    ])
  })

  it('that stands for nobody is refused: no mail is lost without a word', async () => {
    expect(await routes({ 'all@example.org': into() }, 'all@example.org')).toEqual(['all@example.org -> 550 5.3.5'])
  })

  it('may stand for a thousand addresses, and is refused as a whole beyond', async () => {
    const many = (count: number): Routing =>
      into(...Array.from({ length: count }, (_, index) => `user${index}@example.org`))
    expect(await routes({ 'all@example.org': many(1_000) }, 'all@example.org')).toHaveLength(1_000)
    expect(await routes({ 'all@example.org': many(1_001) }, 'all@example.org', 'ann@example.org')).toEqual([
      'all@example.org -> 550 5.4.6',
      'ann@example.org -> smtp:example.org',
    ])
  })

  it('may stand for a thousand beside another that does', async () => {
    const many = (name: string): Routing =>
      into(...Array.from({ length: 1_000 }, (_, index) => `${name}${index}@example.org`))
    const table = { 'one@example.org': many('a'), 'two@example.org': many('b') }
    expect(await routes(table, 'one@example.org', 'two@example.org')).toHaveLength(2_000)
  })
})

describe('the entries of a message', () => {
  const routed = (lane: string | undefined, ...ids: readonly number[]): Routed[] =>
    ids.map((id) => ({
      recipient: { ...recipients('ann@example.org')[0]!, id },
      lane,
      refusal: lane === undefined ? UNKNOWN : undefined,
    }))
  const shape = (entries: ReturnType<typeof entriesOf>): unknown =>
    entries.map(({ lane, recipients }) => [lane, recipients.map(({ id }) => id)])

  it('hold those who share a lane, in lots no larger than an attempt takes', () => {
    const all = [...routed('smtp:a', 1, 2), ...routed('smtp:b', 3), ...routed('smtp:a', 4, 5, 6)]
    expect(shape(entriesOf(all, 2, 0, undefined))).toEqual([
      ['smtp:a', [1, 2]],
      ['smtp:a', [4, 5]],
      ['smtp:a', [6]],
      ['smtp:b', [3]],
    ])
  })

  it('hold the refused together in a lane of their refusal', () => {
    const all = [...routed('smtp:a', 1), ...routed(undefined, 2, 3)]
    expect(shape(entriesOf(all, 50, 0, undefined))).toEqual([
      ['smtp:a', [1]],
      ['error:550 5.1.1 no such user', [2, 3]],
    ])
  })

  it('are due at once, and say so when they are held', () => {
    expect(entriesOf(routed('smtp:a', 1), 50, 7, undefined)[0]).not.toHaveProperty('held')
    const held = entriesOf([...routed('smtp:a', 1), ...routed('smtp:b', 2)], 50, 7, 'look at it')
    expect(held.map(({ dueAt, held }) => [dueAt, held])).toEqual([
      [7, 'look at it'],
      [7, 'look at it'],
    ])
  })
})
