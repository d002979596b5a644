import { type Call, type MessageSource, throwIfAborted } from '@mailwright/core'
import { messageSource } from '@mailwright/message'
import { afterEach, describe, expect, it } from 'vitest'
import type { ServerOptions } from './testing-support/scripted-server.ts'
import { job, summary, type World, world } from './testing-support/world.ts'

/** What text may not have: lines that end otherwise, dots, zeroes, no end of the last line. */
const BINARY = 'Content-Transfer-Encoding: binary\r\n\r\n.\n..\r\n.\r\n\0\r\r\u00ffend'
const ENVELOPE = ['MAIL FROM:<ann@example.net> SIZE=53 BODY=BINARYMIME', 'RCPT TO:<bob@example.org>']
const CHUNKING = ['CHUNKING', 'BINARYMIME', 'SIZE']

const worlds: World[] = []
afterEach(async () => {
  for (const each of worlds.splice(0)) await each.end()
})

async function server(options: ServerOptions = {}): Promise<World> {
  const made = await world({}, { capabilities: ['PIPELINING', ...CHUNKING], ...options })
  worlds.push(made)
  return made
}

const bytes = Buffer.from(BINARY, 'latin1')
const inMemory = messageSource(bytes)

/** The same message, read a few bytes at a time. */
function spooled(size = bytes.length): MessageSource {
  const { head } = inMemory
  return {
    head,
    size,
    async *body(call: Call): AsyncGenerator<Uint8Array> {
      for (let at = head.length; at < bytes.length; at += 3) {
        throwIfAborted(call)
        yield bytes.subarray(at, at + 3)
      }
    },
  }
}

const binary = (message: MessageSource = inMemory, to?: readonly string[]) =>
  job({ message, options: { body: 'binarymime' }, ...(to === undefined ? {} : { to }) })

describe('binary mail', () => {
  it.each<readonly [string, MessageSource]>([
    ['in memory', inMemory],
    ['on disk', spooled()],
  ])('%s arrives byte for byte', async (_where, message) => {
    const { deliver, server: mx } = await server()
    expect(summary(await deliver(binary(message)))).toEqual([expect.stringMatching(/^ok 250 2\.0\.0 /)])
    expect(mx.messages).toEqual([BINARY])
    const [visit] = mx.visits
    expect(visit!.commands).toEqual(['<greeting>', 'EHLO relay.example.net', ...ENVELOPE, 'BDAT 53 LAST', '<message>'])
  })

  it('sends its envelope in one piece, and itself when somebody is accepted', async () => {
    const { deliver, server: mx } = await server()
    await deliver(binary())
    const [, envelope, ...message] = mx.visits[0]!.pieces
    expect(envelope).toBe(`${ENVELOPE.join('\r\n')}\r\n`)
    expect(message.join('')).toBe(`BDAT 53 LAST\r\n${BINARY}`)
  })

  it('goes line by line to a server without pipelining', async () => {
    const { deliver, server: mx } = await server({ capabilities: CHUNKING })
    expect(summary(await deliver(binary()))).toEqual([expect.stringMatching(/^ok /)])
    expect(mx.messages).toEqual([BINARY])
  })

  it('is not sent when nobody is accepted, and the next mail is none the worse', async () => {
    for (const capabilities of [CHUNKING, ['PIPELINING', ...CHUNKING]]) {
      const { deliver, server: mx } = await server({
        capabilities,
        answer: (command) => (command.startsWith('RCPT TO:<eve') ? '550 5.1.1 no such user' : undefined),
      })
      const refused = await deliver(binary(inMemory, ['eve@example.org']))
      expect(summary(refused)).toEqual([expect.stringMatching(/^failed 550 5\.1\.1 /)])
      expect(summary(await deliver(binary()))).toEqual([expect.stringMatching(/^ok /)])
      expect(mx.messages).toEqual([BINARY])
      expect(mx.visits[0]!.commands).toContain('RSET')
    }
  })

  it('has the outcome that the server gives it', async () => {
    const { deliver } = await server({
      answer: (command) => (command === '<message>' ? '552 5.3.4 too big' : undefined),
    })
    expect(summary(await deliver(binary()))).toEqual([expect.stringMatching(/^failed 552 5\.3\.4 /)])
  })

  it('that turns out longer or shorter than it was said to be is not taken for whole', async () => {
    for (const size of [bytes.length - 2, bytes.length + 2]) {
      const { deliver, server: mx } = await server()
      const outcomes = await deliver(binary(spooled(size)))
      expect(summary(outcomes)).toEqual([expect.stringMatching(/^deferred message 451 4\.3\.0 /)])
      expect(mx.messages).toEqual([])
    }
  })

  it('goes over a connection that other mail has used, and the other way round', async () => {
    const { deliver, server: mx } = await server()
    await deliver(job())
    await deliver(binary())
    await deliver(job())
    expect(mx.visits).toHaveLength(1)
    expect(mx.messages).toEqual(['Subject: hi\r\n\r\nHello\r\n', BINARY, 'Subject: hi\r\n\r\nHello\r\n'])
  })

  it('is returned where the server does not take it', async () => {
    const { deliver, server: mx } = await server({ capabilities: ['PIPELINING', 'CHUNKING'] })
    expect(summary(await deliver(binary()))).toEqual([expect.stringMatching(/^failed 554 5\.6\.3 /)])
    expect(mx.messages).toEqual([])
  })
})
