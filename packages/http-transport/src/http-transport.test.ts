import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type Call,
  type DeliveryJob,
  type Duration,
  type MessageSource,
  type Outcome,
  parseMailbox,
  replyLine,
} from '@mailwright/core'
import { messageSource } from '@mailwright/message'
import { manualClock, testEnvironment, testScope } from '@mailwright/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type HttpTransportOptions, httpTransport } from './http-transport.ts'
import { isSignedBy } from './signature.ts'

const call: Call = { signal: new AbortController().signal }
const LETTER = 'Subject: hi\r\n\r\nHello\r\n'
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

interface Request {
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

interface Receiver {
  readonly url: string
  readonly requests: readonly Request[]
}

async function receiver(
  answer: (response: ServerResponse, request: IncomingMessage) => void = (response) => response.end(),
): Promise<Receiver> {
  const requests: Request[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer)
    } catch {
      return
    }
    requests.push({ headers: request.headers, body: Buffer.concat(chunks) })
    answer(response, request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/inbound?key=1`, requests }
}

function job(message: MessageSource = messageSource(Buffer.from(LETTER)), to = ['ann@example.org']): DeliveryJob {
  const recipients = to.map((text, index) => {
    const address = parseMailbox(text)!
    return { id: index + 1, address, original: parseMailbox('alias@example.org')!, notify: ['failure'] as const }
  })
  return {
    id: '01x.a-b',
    envelope: { sender: parseMailbox('sue@example.net')!, recipients, options: { body: '8bitmime' } },
    message,
    arrivedAt: Date.UTC(2026, 0, 1),
    attempt: 2,
  }
}

async function deliver(
  options: Partial<HttpTransportOptions> & Pick<HttpTransportOptions, 'url'>,
  work = job(),
  by = call,
): Promise<string[]> {
  const outcomes = await httpTransport(options).create(testScope()).deliver(work, by)
  return [...outcomes.values()].map(said)
}

const said = (outcome: Outcome): string =>
  [outcome.status, ...(outcome.status === 'deferred' ? [outcome.scope] : []), replyLine(outcome.reply)].join(' ')

const ENVELOPE = {
  id: '01x.a-b',
  sender: 'sue@example.net',
  recipients: [{ address: 'ann@example.org', original: 'alias@example.org', notify: ['failure'] }],
  options: { body: '8bitmime' },
  size: LETTER.length,
  arrivedAt: '2026-01-01T00:00:00.000Z',
  attempt: 2,
}

describe('what is posted', () => {
  it('as a form: the envelope and the message, as any library reads them', async () => {
    const { url, requests } = await receiver()
    expect(await deliver({ url, headers: { authorization: 'Bearer x' } })).toEqual([
      `ok 250 2.0.0 delivered to ${new URL(url).host}`,
    ])
    const [request] = requests
    expect(request!.headers.authorization).toBe('Bearer x')
    const form = await new Response(new Uint8Array(request!.body), {
      headers: { 'content-type': request!.headers['content-type']! },
    }).formData()
    expect(JSON.parse(form.get('envelope') as string)).toEqual(ENVELOPE)
    const message = form.get('message') as File
    expect(await message.text()).toBe(LETTER)
    expect(message.type).toBe('message/rfc822')
  })

  it('as JSON: one document', async () => {
    const { url, requests } = await receiver()
    await deliver({ url, format: 'json' })
    expect(requests[0]!.headers['content-type']).toBe('application/json')
    expect(JSON.parse(requests[0]!.body.toString())).toEqual({
      ...ENVELOPE,
      message: Buffer.from(LETTER).toString('base64'),
    })
  })

  it('streams what is not in memory, octet for octet', async () => {
    const { url, requests } = await receiver()
    const body = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const source: MessageSource = {
      head: Buffer.from('Subject: hi\r\n\r\n'),
      size: 15 + 100 * 256,
      async *body() {
        for (let chunk = 0; chunk < 100; chunk++) yield body
      },
    }
    await deliver({ url, secrets: [SECRET] }, job(source))
    expect(
      requests[0]!.body.includes(Buffer.concat([source.head, ...Array<Buffer>(100).fill(body), Buffer.from('\r\n--')])),
    ).toBe(true)
  })

  it('is signed with every secret, and no other body, id or time passes', async () => {
    const { url, requests } = await receiver()
    const other = 'another secret, long enough'
    await deliver({ url, secrets: [SECRET, other] })
    const { headers, body } = requests[0]!
    const at = Number(headers['webhook-timestamp']) * 1_000
    expect(headers['webhook-id']).toBe('01x.a-b')
    for (const secret of [SECRET, other]) expect(isSignedBy(secret, headers, body, at)).toBe(true)
    expect(isSignedBy('yet another secret', headers, body, at)).toBe(false)
    expect(isSignedBy(SECRET, headers, Buffer.concat([body, Buffer.from('x')]), at)).toBe(false)
    expect(isSignedBy(SECRET, { ...headers, 'webhook-id': '02' }, body, at)).toBe(false)
    expect(isSignedBy(SECRET, headers, body, at + 301_000)).toBe(false)
    expect(isSignedBy(SECRET, headers, body, at - 301_000)).toBe(false)
    expect(isSignedBy(SECRET, { ...headers, 'webhook-timestamp': 'now' }, body, at)).toBe(false)
    expect(isSignedBy(SECRET, {}, body, at)).toBe(false)
  })
})

describe('what is answered', () => {
  it.each<[number, string]>([
    [200, 'ok 250 2.0.0 delivered to HOST'],
    [202, 'ok 250 2.0.0 delivered to HOST'],
    [204, 'ok 250 2.0.0 delivered to HOST'],
    [301, 'deferred destination 451 4.4.0 host HOST answered HTTP 301'],
    [400, 'deferred destination 451 4.4.0 host HOST answered HTTP 400'],
    [401, 'deferred destination 451 4.4.0 host HOST answered HTTP 401'],
    [404, 'deferred destination 451 4.4.0 host HOST answered HTTP 404'],
    [410, 'failed 550 5.1.6 host HOST answered HTTP 410'],
    [413, 'failed 552 5.3.4 host HOST answered HTTP 413'],
    [415, 'failed 554 5.6.1 host HOST answered HTTP 415'],
    [422, 'failed 554 5.6.0 host HOST answered HTTP 422'],
    [429, 'deferred destination 451 4.4.0 host HOST answered HTTP 429'],
    [500, 'deferred destination 451 4.4.0 host HOST answered HTTP 500'],
  ])('HTTP %i: %s', async (status, expected) => {
    const { url, requests } = await receiver((response) => response.writeHead(status, { location: '/elsewhere' }).end())
    expect(await deliver({ url })).toEqual([expected.replace('HOST', new URL(url).host)])
    expect(requests).toHaveLength(1)
  })

  it('of each recipient apart, where the answer says so; what cannot be read is no consent', async () => {
    const { url } = await receiver((response) => {
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
      response.end(
        JSON.stringify({
          recipients: {
            'b@example.org': { status: '5.1.1', text: 'no such\r\nuser' },
            'c@example.org': { status: '4.2.2' },
            'd@example.org': { status: '2.1.5' },
            'e@example.org': { status: 'maybe' },
            'f@example.org': null,
          },
        }),
      )
    })
    const host = new URL(url).host
    const to = ['a', 'b', 'c', 'd', 'e', 'f', '__proto__', 'toString'].map((local) => `${local}@example.org`)
    expect(await deliver({ url }, job(undefined, to))).toEqual([
      `ok 250 2.0.0 delivered to ${host}`,
      `failed 550 5.1.1 host ${host} said: no such user`,
      `deferred recipient 451 4.2.2 host ${host} said: no reason`,
      `ok 250 2.0.0 delivered to ${host}`,
      `deferred recipient 451 4.3.0 host ${host} said: no reason`,
      `deferred recipient 451 4.3.0 host ${host} said: no reason`,
      `ok 250 2.0.0 delivered to ${host}`,
      `ok 250 2.0.0 delivered to ${host}`,
    ])
  })

  it.each(['{', '[]', '"x"', 'null', '{"recipients": 5}'])('with JSON that says nothing (%s): taken', async (text) => {
    const { url } = await receiver((response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(text),
    )
    expect((await deliver({ url }))[0]).toMatch(/^ok/)
  })

  it('without end is read to a limit', async () => {
    const { url } = await receiver((response) => {
      const more = (): void => {
        while (response.write('x'.repeat(10_000)));
      }
      response.on('drain', more)
      more()
    })
    expect((await deliver({ url }))[0]).toMatch(/^ok/)
  })

  it.each<[string, number | undefined]>([
    ['120', 120_000],
    ['Thu, 01 Jan 2026 00:10:00 GMT', 600_000],
    ['soon', undefined],
    ['999999999', 86_400_000],
  ])('with Retry-After %s: not before then', async (retryAfter, expected) => {
    const { url } = await receiver((response) => response.writeHead(503, { 'retry-after': retryAfter }).end())
    const clock = manualClock()
    const transport = httpTransport({ url }).create(testScope({ environment: testEnvironment({ clock }) }))
    const outcome = (await transport.deliver(job(), call)).get(1)!
    expect(outcome.status === 'deferred' && outcome.notBefore).toBe(
      expected === undefined ? undefined : clock.now() + expected,
    )
  })
})

describe('what goes wrong', () => {
  it('nobody listens: the destination is deferred', async () => {
    const { url } = await receiver()
    const nobody = new URL(url)
    nobody.port = '1'
    expect(await deliver({ url: nobody.href })).toEqual(['deferred destination 451 4.4.1 no answer from 127.0.0.1:1'])
  })

  it('a receiver that hangs up: the destination is deferred', async () => {
    const { url } = await receiver((_, request) => request.socket.destroy())
    expect((await deliver({ url }))[0]).toMatch(/^deferred destination 451 4\.4\.1 no answer/)
  })

  it('a receiver that says nothing is given up in time', async () => {
    let asked: () => void
    const came = new Promise<void>((resolve) => (asked = resolve))
    const { url } = await receiver(() => asked())
    const clock = manualClock()
    const timeout: Duration = '10s'
    const transport = httpTransport({ url, timeout }).create(testScope({ environment: testEnvironment({ clock }) }))
    const delivering = transport.deliver(job(), call)
    await came
    await clock.advance('10s')
    expect([...(await delivering).values()].map(said)).toEqual([
      `deferred destination 451 4.4.1 no answer from ${new URL(url).host}`,
    ])
    expect(clock.pending).toBe(0)
  })

  it('a caller that gives up ends the request', async () => {
    const controller = new AbortController()
    const { url } = await receiver(() => controller.abort(new Error('stopping')))
    await expect(deliver({ url }, job(), controller)).rejects.toThrow('stopping')
  })

  it.each(['multipart', 'json'] as const)(
    'a message that ends too early (%s) is never taken for whole',
    async (format) => {
      const { url, requests } = await receiver()
      const short: MessageSource = {
        head: Buffer.from('Subject: hi\r\n\r\n'),
        size: 100,
        async *body() {
          yield Buffer.from('Hello\r\n')
        },
      }
      expect((await deliver({ url, format }, job(short)))[0]).toMatch(/^deferred message 451/)
      expect(requests).toHaveLength(0)
    },
  )

  it('a message too large for JSON fails', async () => {
    const { url } = await receiver()
    const large: MessageSource = { ...messageSource(Buffer.from(LETTER)), size: 40_000_000, buffered: undefined }
    expect((await deliver({ url, format: 'json' }, job(large)))[0]).toMatch(/^failed 552 5\.3\.4/)
  })

  it.each<[string, Partial<HttpTransportOptions>]>([
    ['not a URL', { url: 'ftp://example.org' }],
    ['not a URL', { url: 'example.org' }],
    ['at least 16 octets', { secrets: ['short'] }],
    ['at least 16 octets', { secrets: ['whsec_c2hvcnQ='] }],
  ])('%s: %j', (problem, options) => {
    expect(() => httpTransport({ url: 'https://example.org', ...options })).toThrow(problem)
  })
})

it('requires TLS only where there is some', () => {
  const honoured = (url: string) => httpTransport({ url }).create(testScope()).capabilities
  expect(honoured('https://example.org')).toContain('requiretls')
  expect(honoured('http://example.org')).not.toContain('requiretls')
})
