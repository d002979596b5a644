/**
 * Every stage of a dialogue, and every way a server can fail there: one table of what becomes of the mail. A cell says `R`
 * deferred for the recipient, `M` for the message, `D` for the destination, `F` failed, with the enhanced code; `ok` that
 * it was delivered all the same.
 */
import { testAuthority } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import type { Answer } from './testing-support/scripted-server.ts'
import { summary, world } from './testing-support/world.ts'

/** The columns, from left to right. */
const WAYS: readonly (readonly [string, Answer])[] = [
  ['4xx', '450 4.2.9 not now'],
  ['5xx', '550 5.2.9 not ever'],
  ['421', { say: '421 4.3.9 closing\r\n', and: 'close' }],
  ['334', '334 tell me more'],
  ['closes', { and: 'close' }],
  ['resets', { and: 'reset' }],
  ['silent', { and: 'silence' }],
  ['rubbish', { say: 'HTTP/1.1 400 Bad Request\r\n', and: 'silence' }],
  ['half', { say: '250-half of', and: 'close' }],
  ['endless', { say: '250-more\r\n'.repeat(500), and: 'silence' }],
]

// biome-ignore format: a table is read by its columns
const ROWS: readonly (readonly [string, string])[] = [
  //                        4xx     | 5xx     | 421     | 334     | closes  | resets  | silent  | rubbish | half    | endless
  ['<greeting>',          'D 4.2.9 | D 4.0.0 | D 4.3.9 | D 4.0.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['EHLO',                'D 4.2.9 | ok      | D 4.3.9 | D 4.0.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['HELO',                'D 4.2.9 | D 4.0.0 | D 4.3.9 | D 4.0.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['LHLO/LMTP',           'D 4.2.9 | D 4.0.0 | D 4.3.9 | D 4.0.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['STARTTLS/may',        'ok      | ok      | ok      | ok      | ok      | ok      | ok      | ok      | ok      | ok'],
  ['STARTTLS/required',   'D 4.2.9 | D 4.0.0 | D 4.3.9 | D 4.0.0 | D 4.7.5 | D 4.7.5 | D 4.7.5 | D 4.7.5 | D 4.7.5 | D 4.7.5'],
  ['MAIL',                'M 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['MAIL/pipelined',      'M 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['MAIL/LMTP',           'M 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['RCPT',                'R 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['RCPT/pipelined',      'R 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['RCPT/LMTP',           'R 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['DATA',                'M 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['DATA/pipelined',      'M 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['DATA/LMTP',           'M 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | D 4.4.2 | D 4.4.2 | D 4.4.2 | D 4.5.0 | D 4.4.2 | D 4.5.0'],
  ['<message>',           'M 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | M 4.4.2 | M 4.4.2 | M 4.4.2 | M 4.5.0 | M 4.4.2 | M 4.5.0'],
  ['<message>/pipelined', 'M 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | M 4.4.2 | M 4.4.2 | M 4.4.2 | M 4.5.0 | M 4.4.2 | M 4.5.0'],
  ['<message>/LMTP',      'R 4.2.9 | F 5.2.9 | D 4.3.9 | D 4.5.0 | M 4.4.2 | M 4.4.2 | M 4.4.2 | M 4.5.0 | M 4.4.2 | M 4.5.0'],
]

const tls = testAuthority().issue({ names: ['mx.example.org'] })
const LETTERS: Readonly<Record<string, string>> = { recipient: 'R', message: 'M', destination: 'D' }

/** What becomes of one message, in a cell's words, and whether the server may have it twice. */
async function fare(row: string, answer: Answer): Promise<{ readonly found: string; readonly line: string }> {
  const [stage = '', mode] = row.split('/')
  const lmtp = mode === 'LMTP' ? ({ protocol: 'lmtp', nextHop: '[192.0.2.25]:25' } as const) : {}
  const capabilities = mode === 'pipelined' ? ['PIPELINING'] : ['8BITMIME']
  const { deliver, environment, end } = await world(
    { ...lmtp, tls: mode === 'required' ? 'encrypt' : 'may' },
    {
      ...lmtp,
      capabilities,
      ...(stage === 'STARTTLS' ? { tls } : {}),
      answer: (command) =>
        command.startsWith(stage) ? answer : stage === 'HELO' && command.startsWith('EHLO') ? '500 what?' : undefined,
    },
  )
  const [line = ''] = summary(await deliver())
  await end()
  expect(environment.clock.pending).toBe(0)
  const [status, scope = '', , enhanced] = line.split(' ')
  if (status === 'ok') return { found: 'ok', line }
  return { found: status === 'failed' ? `F ${line.split(' ')[2]}` : `${LETTERS[scope]} ${enhanced}`, line }
}

describe.each(ROWS)('%s', (row, cells) => {
  it.each(WAYS.map(([way, answer], at) => ({ way, answer, cell: cells.split('|')[at]!.trim() })))(
    '$way: $cell',
    async ({ answer, cell }) => {
      const { line, found } = await fare(row, answer)
      expect(found, line).toBe(cell)
      // Once the message is gone, only an answer says that it was not taken.
      if (cell.startsWith('M 4.4.2')) expect(line).toContain('may be delivered twice')
    },
  )
})
