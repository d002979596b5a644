import {
  formatMailbox,
  type Mailbox,
  MailwrightError,
  parseMailbox,
  type Routing,
  replyLine,
  toRefusal,
} from '@mailwright/core'
import { mailbox } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { createRouter, type RouterOptions } from './router.ts'

const call = { signal: new AbortController().signal }

function said(routing: Routing): string {
  if (routing.kind === 'send') return `${routing.lane.transport}:${routing.lane.destination}`
  if (routing.kind === 'refuse') return replyLine(routing.reply)
  const kept = routing.keep === undefined ? '' : ` keep ${routing.keep.transport}`
  return `-> ${routing.into.map(formatMailbox).join(' ')}${kept}`
}

function routes(options: RouterOptions): (address: string | Mailbox) => Promise<string> {
  const router = createRouter(options)
  return async (address) =>
    said(await router.route(typeof address === 'string' ? mailbox(address) : address, null, call))
}

function asks(options: RouterOptions): (address: string) => Promise<string> {
  const router = createRouter(options)
  return async (address) => {
    const { kind, refusal } = await router.destination(parseMailbox(address)!, call)
    return refusal === null ? kind : `${kind} ${replyLine(refusal)}`
  }
}

describe('address classes', () => {
  const options: RouterOptions = {
    hostname: 'mx.example.org',
    local: ['example.org', 'Bücher.example'],
    mailboxes: new Set(['Ann@example.org', '@xn--bcher-kva.example']),
    relayDomains: ['branch.example', '.branch.example'],
    relayRecipients: { 'bob@branch.example': 'OK', '@a.branch.example': 'OK' },
  }

  it('mail for a local domain goes to the local transport, all in one lane', async () => {
    const route = routes(options)
    expect(await route('ann@example.org')).toBe('local:')
    expect(await route('ANN@EXAMPLE.ORG')).toBe('local:')
    expect(await route('anybody@bücher.example')).toBe('local:')
    expect(await route('anybody@xn--bcher-kva.example')).toBe('local:')
  })

  it('a name that a local domain does not have is refused', async () => {
    expect(await routes(options)('eve@example.org')).toBe('550 5.1.1 User unknown')
    expect(await asks(options)('eve@example.org')).toBe('ours 550 5.1.1 User unknown')
    expect(await asks(options)('ann@example.org')).toBe('ours')
  })

  it('every name exists in a local domain without a table', async () => {
    expect(await routes({ local: ['example.org'] })('whoever@example.org')).toBe('local:')
  })

  it('mail for a relay domain goes to its own next hop, if the recipient exists', async () => {
    const route = routes(options)
    expect(await route('bob@branch.example')).toBe('smtp:branch.example')
    expect(await route('eve@branch.example')).toBe('550 5.1.1 User unknown')
    expect(await route('whoever@a.branch.example')).toBe('smtp:a.branch.example')
    const ask = asks(options)
    expect(await ask('bob@branch.example')).toBe('relay')
    expect(await ask('eve@branch.example')).toBe('relay 550 5.1.1 User unknown')
    expect(await asks({ relayDomains: ['branch.example'] })('eve@branch.example')).toBe('relay')
    expect(await asks({ relayDomains: ['branch.example'] })('eve@sub.branch.example')).toBe('elsewhere')
  })

  it('all other mail goes where its domain says', async () => {
    expect(await routes(options)('x@Elsewhere.example')).toBe('smtp:elsewhere.example')
    expect(await routes(options)('x@bücher.invalid')).toBe('smtp:xn--bcher-kva.invalid')
    expect(await routes(options)('x@[192.0.2.1]')).toBe('smtp:[192.0.2.1]')
    expect(await asks(options)('x@elsewhere.example')).toBe('elsewhere')
  })

  it('a relayhost takes everything that is not local', async () => {
    const route = routes({ ...options, relayhost: '[smarthost.example.net]:587', relayTransport: 'relay' })
    expect(await route('ann@example.org')).toBe('local:')
    expect(await route('bob@branch.example')).toBe('relay:[smarthost.example.net]:587')
    expect(await route('x@elsewhere.example')).toBe('smtp:[smarthost.example.net]:587')
  })

  it('transports can have other names', async () => {
    const route = routes({ local: ['example.org'], localTransport: 'lmtp', defaultTransport: 'outbound' })
    expect(await route('ann@example.org')).toBe('lmtp:')
    expect(await route('x@elsewhere.example')).toBe('outbound:elsewhere.example')
  })

  it('a domain in two classes is a mistake', () => {
    expect(() => createRouter({ local: ['Example.org'], relayDomains: ['example.org'] })).toThrow(
      'both a local and a relay',
    )
  })
})

describe('postmaster', () => {
  it('a bare postmaster is at the host name if that is local, else at the first local domain', async () => {
    const bare = parseMailbox('Postmaster')!
    const named = { hostname: 'mx.example.org', local: ['example.org', 'mx.example.org'], mailboxes: {} }
    expect((await createRouter(named).explain(bare, call))[0]?.text).toBe('Postmaster@mx.example.org')
    const unnamed = { ...named, local: ['example.org'] }
    expect((await createRouter(unnamed).explain(bare, call))[0]?.text).toBe('Postmaster@example.org')
    expect(await routes(unnamed)(bare)).toBe('local:')
    expect(await asks(unnamed)('postmaster')).toBe('ours')
  })

  it('can be an alias', async () => {
    const options = { local: ['example.org'], mailboxes: {}, aliases: { postmaster: 'admin@example.net' } }
    expect(await routes(options)(parseMailbox('postmaster')!)).toBe('-> admin@example.net')
  })

  it('of a host without local domains is at its name, and nowhere without one', async () => {
    expect(await routes({ hostname: 'relay.example.org' })(parseMailbox('postmaster')!)).toBe('smtp:relay.example.org')
    expect(await routes({})(parseMailbox('postmaster')!)).toBe('550 5.1.1 User unknown')
    expect(await asks({})('postmaster')).toBe('ours 550 5.1.1 User unknown')
  })
})

describe('subaddresses', () => {
  it('belong to the mailbox without the extension, unless listed themselves', async () => {
    const options = {
      local: ['example.org'],
      mailboxes: { 'ann@example.org': 'OK' },
      transports: { 'ann+big@example.org': 'archive:' },
    }
    expect(await routes(options)('ann+news@example.org')).toBe('local:')
    expect(await routes(options)('ann+big@example.org')).toBe('archive:example.org')
    expect(await routes({ ...options, recipientDelimiter: '' })('ann+news@example.org')).toBe('550 5.1.1 User unknown')
    expect(await routes({ ...options, recipientDelimiter: '-=' })('ann=news-x@example.org')).toBe('local:')
  })

  it('a local part that begins with the delimiter has no extension', async () => {
    expect(await routes({ local: ['example.org'], mailboxes: { '+x@example.org': 'OK' } })('+x@example.org')).toBe(
      'local:',
    )
  })
})

describe('aliases', () => {
  const local = ['example.org']

  it('stand for others, here or elsewhere, by whole address or by bare name', async () => {
    const route = routes({
      local,
      aliases: { 'sales@example.org': 'ann@example.org, bob@example.net', root: ['ann', 'carl@example.com'] },
    })
    expect(await route('Sales@Example.org')).toBe('-> ann@example.org bob@example.net')
    expect(await route('root@example.org')).toBe('-> ann@example.org carl@example.com')
    expect(await route('root@elsewhere.example')).toBe('smtp:elsewhere.example')
  })

  it('of aliases are followed to the end, and nobody is named twice', async () => {
    const route = routes({
      local,
      aliases: { all: 'staff, bob@example.net', staff: 'ann, carl, bosses', bosses: 'BOB@example.net, ann' },
    })
    expect(await route('all@example.org')).toBe('-> ann@example.org carl@example.org BOB@example.net')
  })

  it('exist for foreign addresses too, which does not make them ours', async () => {
    const options = { local, aliases: { 'old@elsewhere.example': 'new@elsewhere.example' } }
    expect(await routes(options)('old@elsewhere.example')).toBe('-> new@elsewhere.example')
    expect(await asks(options)('old@elsewhere.example')).toBe('elsewhere')
  })

  it('make an address exist', async () => {
    const options = { local, mailboxes: {}, aliases: { sales: 'bob@example.net' } }
    expect(await asks(options)('sales@example.org')).toBe('ours')
    expect(await asks(options)('ann@example.org')).toBe('ours 550 5.1.1 User unknown')
  })

  it('that name their own address keep it', async () => {
    const options = {
      local,
      mailboxes: { 'ann@example.org': 'OK' },
      aliases: { ann: 'ann, bob@example.net', bob: 'bob' },
    }
    expect(await routes(options)('ann@example.org')).toBe('-> bob@example.net keep local')
    expect(await routes({ local, aliases: options.aliases })('bob@example.org')).toBe('local:')
  })

  it('that name their own address without a mailbox still serve the others', async () => {
    const route = routes({ local, mailboxes: {}, aliases: { ann: 'ann, bob@example.net' } })
    expect(await route('ann@example.org')).toBe('-> bob@example.net')
  })

  it('that lead to one that keeps itself name it once', async () => {
    const route = routes({ local, aliases: { team: 'ann', ann: 'ann, bob@example.net' } })
    expect(await route('team@example.org')).toBe('-> ann@example.org bob@example.net')
  })

  it('in a circle serve those outside it, and refuse when there is nobody', async () => {
    const route = routes({ local, aliases: { a: 'b', b: 'c, out@example.net', c: 'a', x: 'y', y: 'x' } })
    expect(await route('a@example.org')).toBe('-> out@example.net')
    expect(await route('x@example.org')).toBe('550 5.4.6 Alias loop')
  })

  it('carry the extension over, unless they name it, catch all, or must not', async () => {
    const aliases = { ann: 'bob@example.net', 'ann+vip': 'carl@example.net', '@example.org': 'rest@example.net' }
    const route = routes({ local, aliases })
    expect(await route('ann+news@example.org')).toBe('-> bob+news@example.net')
    expect(await route('ann+vip@example.org')).toBe('-> carl@example.net')
    expect(await route('zoe+x@example.org')).toBe('-> rest@example.net')
    expect(await routes({ local, aliases, unmatchedExtension: 'drop' })('ann+news@example.org')).toBe(
      '-> bob@example.net',
    )
  })

  it('that catch all do not hide a mailbox that exists, and can move a domain', async () => {
    const options = { local, mailboxes: { 'ann@example.org': 'OK' }, aliases: { '@example.org': '@example.net' } }
    expect(await routes(options)('ann@example.org')).toBe('local:')
    expect(await routes(options)('Bob@example.org')).toBe('-> Bob@example.net')
    expect(await asks(options)('bob@example.org')).toBe('ours')
  })

  it('beyond a thousand addresses or aliases are a temporary failure', async () => {
    const many = Array.from({ length: 1_001 }, (_, index) => `user${index}@example.net`)
    expect(await routes({ local, aliases: { most: many.slice(1) } })('most@example.org')).toContain('user1000')
    await expect(async () => routes({ local, aliases: { many } })('many@example.org')).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_CONFIG',
      reply: { code: 451, enhanced: '4.6.0' },
    })
    const chain = Object.fromEntries(Array.from({ length: 1_200 }, (_, index) => [`a${index}`, `a${index + 1}`]))
    await expect(async () => routes({ local, aliases: chain })('a0@example.org')).rejects.toThrow('1000')
  })

  it('with a target that is no address, or none, are a temporary failure', async () => {
    for (const target of ['"|/bin/sh', ':include:/etc/list', 'a@b@', '', ' , ']) {
      const error: unknown = await routes({ local, aliases: { x: target } })('x@example.org').catch((e: unknown) => e)
      expect(error, target).toMatchObject({ code: 'ERR_MAILWRIGHT_CONFIG' })
      expect(toRefusal(error).code).toBe(451)
    }
  })
})

describe('the relay-hole guard', () => {
  const options: RouterOptions = { local: ['example.org'], relayDomains: ['branch.example'] }

  it('refuses routing characters in local parts of domains of ours', async () => {
    for (const address of [
      'user%elsewhere.example@example.org',
      'elsewhere.example!user@example.org',
      '"user@elsewhere.example"@example.org',
      'user%elsewhere.example@branch.example',
    ]) {
      expect(await routes(options)(address)).toMatch(/^550 5\.7\.1 /)
      expect(await asks(options)(address)).toMatch(/ 550 5\.7\.1 /)
    }
    expect(await asks({ ...options, mailboxes: {} })('a%b@example.org')).toMatch(/5\.7\.1/)
    expect(await asks({ ...options, mailboxes: { '@example.org': 'OK' } })('a%b@example.org')).toMatch(/5\.7\.1/)
  })

  it('leaves an address alone that is listed as it stands, and those of others', async () => {
    expect(await asks({ ...options, mailboxes: { 'a%b@example.org': 'OK' } })('a%b@example.org')).toBe('ours')
    expect(await asks(options)('a%b@elsewhere.example')).toBe('elsewhere')
  })

  it('refuses a local part that a program could take for an option', async () => {
    expect(await routes(options)('-rf@example.org')).toMatch(/^550 5\.1\.3 /)
  })
})

describe('the transport table', () => {
  const options: RouterOptions = {
    local: ['example.org'],
    relayhost: '[smarthost.example.net]',
    transports: {
      'ann@example.net': 'smtp:[direct.example.net]:26',
      'example.net': ':[hub.example.net]',
      '.example.com': 'slow:',
      'keep.example': ':',
      'moved.example': 'error:5.1.6 User has moved',
      'gone.example': 'error:',
      'closed.example': 'retry:4.3.2 Closed for now',
      'bracket.example': '[gate.example]:2525',
      'lists.example.org': 'local:',
      'wrong.example': 'smtp',
    },
  }
  const cases = [
    ['ann@example.net', 'smtp:[direct.example.net]:26'],
    ['ann+x@example.net', 'smtp:[direct.example.net]:26'],
    ['bob@example.net', 'smtp:[hub.example.net]'],
    ['x@a.b.example.com', 'slow:a.b.example.com'],
    ['x@example.com', 'smtp:[smarthost.example.net]'],
    ['x@keep.example', 'smtp:[smarthost.example.net]'],
    ['x@moved.example', '550 5.1.6 User has moved'],
    ['x@gone.example', '550 5.0.0 Address not served here'],
    ['x@closed.example', '450 4.3.2 Closed for now'],
    ['x@bracket.example', 'smtp:[gate.example]:2525'],
    ['x@lists.example.org', 'local:'],
  ] as const

  it.each(cases)('sends %s by %s', async (address, expected) => {
    expect(await routes(options)(address)).toBe(expected)
  })

  it('takes everything with a star, local mail too', async () => {
    const route = routes({ local: ['example.org'], transports: { '*': 'hold:[hub]' } })
    expect(await route('x@anywhere.example')).toBe('hold:[hub]')
    expect(await route('x@example.org')).toBe('hold:[hub]')
  })

  it('defers mail for a value that makes no sense', async () => {
    await expect(async () => routes(options)('x@wrong.example')).rejects.toThrow('needs a colon')
  })
})

describe('tables', () => {
  it('a table that fails throws, and is never "not found"', async () => {
    const broken = (): never => {
      throw new MailwrightError('ERR_MAILWRIGHT_STORE', 'the database is down')
    }
    const late = { get: () => Promise.reject(new Error('the database is down')) }
    for (const table of [broken, late]) {
      for (const options of [{ mailboxes: table }, { aliases: table }, { transports: table }]) {
        const router = createRouter({ local: ['example.org'], ...options })
        await expect(async () => router.route(mailbox('ann@example.org'), null, call)).rejects.toThrow('is down')
        if (!('transports' in options))
          await expect(async () => router.destination(mailbox('ann@example.org'), call)).rejects.toThrow('is down')
      }
      const router = createRouter({ relayDomains: ['example.org'], relayRecipients: table })
      await expect(async () => router.destination(mailbox('ann@example.org'), call)).rejects.toThrow('is down')
    }
  })

  it('in memory are answered without a promise', () => {
    const router = createRouter({ local: ['example.org'], mailboxes: { 'ann@example.org': 'OK' }, aliases: new Map() })
    expect(router.route(mailbox('ann@example.org'), null, call)).toEqual({
      kind: 'send',
      lane: { transport: 'local', destination: '' },
    })
    expect(router.destination(mailbox('ann@example.org'), call)).toEqual({ kind: 'ours', refusal: null })
  })

  it('can be functions of the address, asked once more without the extension', async () => {
    const asked: string[] = []
    const mailboxes = async (address: Mailbox): Promise<string | undefined> => {
      asked.push(address.local)
      return address.local === 'ann' ? '/var/mail/ann' : undefined
    }
    const ask = asks({ local: ['example.org'], mailboxes })
    expect(await ask('ann+x@example.org')).toBe('ours')
    expect(await ask('bob@example.org')).toBe('ours 550 5.1.1 User unknown')
    expect(asked).toEqual(['ann+x', 'ann', 'bob'])
  })

  it('can answer late', async () => {
    const get = async (key: string): Promise<string | undefined> => (key === 'ann@example.org' ? 'bob' : undefined)
    expect(await routes({ local: ['example.org'], aliases: { get } })('ann@example.org')).toBe('-> bob@example.org')
  })
})

it('explains itself step by step', async () => {
  const router = createRouter({
    local: ['example.org'],
    mailboxes: { 'ann@example.org': 'OK' },
    aliases: { ann: 'ann, bob@example.net' },
    transports: { 'example.org': 'lmtp:[backend]:24' },
  })
  expect(await router.explain(mailbox('ann+x@example.org'), call)).toEqual([
    { rule: 'address', text: 'ann+x@example.org' },
    { rule: 'alias', text: 'stands for bob+x@example.net' },
    { rule: 'class', text: 'example.org is a local domain' },
    { rule: 'recipient', text: 'in the table as ann@example.org' },
    { rule: 'nexthop', text: 'local:' },
    { rule: 'transports', text: 'example.org: lmtp:[backend]:24' },
    { rule: 'result', text: 'expand into bob+x@example.net, and keep by lmtp:[backend]:24' },
  ])
  const relaying = createRouter({ relayhost: '[hub]' })
  expect((await relaying.explain(mailbox('x@example.com'), call)).map((step) => step.text)).toEqual([
    'x@example.com',
    'example.com is elsewhere',
    'relayhost [hub]',
    'send by smtp:[hub]',
  ])
  const refused = await createRouter({ local: ['example.org'], mailboxes: {} }).explain(mailbox('x@example.org'), call)
  expect(refused.slice(-2).map((step) => step.text)).toEqual(['not in the table', 'refuse: 550 5.1.1 User unknown'])
})
