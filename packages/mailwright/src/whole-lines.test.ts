import { expect, it } from 'vitest'
import { type WholeLines, wholeLines } from './whole-lines.ts'

function collector(): { readonly lines: WholeLines; readonly passed: string[] } {
  const passed: string[] = []
  return { passed, lines: wholeLines((bytes) => void passed.push(Buffer.from(bytes).toString())) }
}

it('the end of a log line is waited for', () => {
  const { lines, passed } = collector()
  lines.write(Buffer.from('one\ntwo\nthr'))
  lines.write(Buffer.from('ee'))
  lines.write(Buffer.from('\nfour'))
  expect(passed).toEqual(['one\ntwo\n', 'three\n'])
})

it('a line that a dying process did not end is ended for it', () => {
  const { lines, passed } = collector()
  lines.write(Buffer.from('last wor'))
  lines.end()
  lines.end()
  expect(passed).toEqual(['last wor\n'])
})

it('a line without end is not kept for ever', () => {
  const { lines, passed } = collector()
  lines.write(Buffer.alloc(65_536, 'x'))
  expect(passed).toEqual([])
  lines.write(Buffer.from('x'))
  expect(passed.join('').length).toBe(65_537)
})
