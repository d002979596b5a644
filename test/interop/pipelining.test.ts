/** A client on Python's asyncio that pipelines as far as it may, and further (RFC 2920): replies come in order, one each. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { missing, runProgram } from './programs.ts'
import { envelopeText, type Receiver, startReceiver } from './receiver.ts'

/** What is written at once, and how many replies it is owed. */
type Write = readonly [text: string, replies: number]

async function talk({ port }: Receiver, writes: readonly Write[]): Promise<readonly (readonly string[])[]> {
  const script = join(import.meta.dirname, 'pipelining-client.py')
  const printed = await runProgram('python3', [script], JSON.stringify({ port, writes }))
  const replies = JSON.parse(printed) as { readonly code: number; readonly lines: readonly string[] }[][]
  return replies.slice(1).map((each) => each.map(({ code, lines }) => `${code} ${lines.at(-1)}`))
}

const lines = (...each: readonly string[]): string => each.map((line) => `${line}\r\n`).join('')
const FIRST = lines('MAIL FROM:<ann@example.net>', 'RCPT TO:<bob@example.org>', 'RCPT TO:<nobody@example.org>', 'DATA')
const SECOND = lines('MAIL FROM:<eve@example.net>', 'RCPT TO:<carol@example.org>', 'RCPT TO:<dave@example.org>', 'DATA')

describe.skipIf(missing('python3'))('a client that pipelines', () => {
  it('writes a message and the next envelope in one go, and replies come in order', async () => {
    const receiver = await startReceiver({
      listener: { exempt: () => false, protocolTests: { pipelining: 'drop', earlyTalker: 'drop' } },
    })
    const [hello, first, second, last] = await talk(receiver, [
      ['EHLO client.example\r\n', 1],
      [FIRST, 4],
      [`Subject: one\r\n\r\n..\r\n.\r\n${SECOND}`, 5],
      ['Subject: two\r\n\r\n.\r\nQUIT\r\n', 2],
    ])
    expect(hello).toHaveLength(1)
    expect(first).toEqual([
      '250 2.1.0 Ok',
      '250 2.1.5 Ok',
      '550 5.1.1 No such mailbox',
      '354 End data with <CR><LF>.<CR><LF>',
    ])
    expect(second!.map((reply) => reply.slice(0, 9))).toEqual([
      '250 2.0.0',
      '250 2.1.0',
      '250 2.1.5',
      '250 2.1.5',
      '354 End d',
    ])
    expect(last!.map((reply) => reply.slice(0, 9))).toEqual(['250 2.0.0', '221 2.0.0'])
    expect(receiver.mails.map(({ envelope, bytes }) => [envelopeText(envelope), bytes.toString()])).toEqual([
      ['ann@example.net -> bob@example.org', 'Subject: one\r\n\r\n.\r\n'],
      ['eve@example.net -> carol@example.org dave@example.org', 'Subject: two\r\n\r\n'],
    ])
  })

  it('writes from EHLO to DATA in one go, which is more than it may, and is answered in order all the same', async () => {
    const receiver = await startReceiver()
    const [all] = await talk(receiver, [
      [`EHLO client.example\r\n${FIRST}Subject: one\r\n\r\n.\r\n${SECOND}Subject: two\r\n\r\n.\r\nQUIT\r\n`, 12],
    ])
    expect(all!.map((reply) => reply.slice(0, 3)).join(' ')).toBe('250 250 250 550 354 250 250 250 250 354 250 221')
    expect(receiver.mails).toHaveLength(2)
  })

  it('writes chunks and the next envelope in one go', async () => {
    const receiver = await startReceiver()
    const envelope = FIRST.replace('DATA\r\n', '')
    const chunk = 'Subject: one\r\n\r\n'
    const [, replies] = await talk(receiver, [
      ['EHLO client.example\r\n', 1],
      [`${envelope}BDAT ${chunk.length}\r\n${chunk}BDAT 4 LAST\r\n.\r\n.MAIL FROM:<eve@example.net>\r\nQUIT\r\n`, 7],
    ])
    expect(replies!.map((reply) => reply.slice(0, 3)).join(' ')).toBe('250 250 550 250 250 250 221')
    expect(receiver.mails[0]!.bytes.toString()).toBe(`${chunk}.\r\n.`)
  })
})
