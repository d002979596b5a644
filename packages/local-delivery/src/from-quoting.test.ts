import fc from 'fast-check'
import { expect, it } from 'vitest'
import { fromQuoted } from './from-quoting.ts'

async function quoted(...chunks: readonly string[]): Promise<string> {
  async function* source(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield Buffer.from(chunk)
  }
  let text = ''
  for await (const piece of fromQuoted(source())) text += Buffer.from(piece).toString()
  return text
}

it.each([
  ['From here\n', '>From here\n'],
  ['a\nFrom here\nb\n', 'a\n>From here\nb\n'],
  ['From \nFrom \n', '>From \n>From \n'],
  ['>From here\n', '>From here\n'],
  ['from here\n From\nFrom:\nFrom\n', 'from here\n From\nFrom:\nFrom\n'],
  ['a From b\n', 'a From b\n'],
  ['Fro', 'Fro'],
  ['FFrom \n', 'FFrom \n'],
])('%j is kept as %j', async (text, expected) => {
  expect(await quoted(text)).toBe(expected)
})

it('however it comes in pieces, the result is the same', async () => {
  const text = fc.array(fc.constantFrom('From ', 'F', 'Fro', 'From', '\n', 'x', ' ', '>'), { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(text, async (parts) => {
      const whole = parts.join('')
      const expected = whole.replace(/^From /gm, '>From ')
      expect(await quoted(whole)).toBe(expected)
      expect(await quoted(...parts)).toBe(expected)
      expect(await quoted(...whole)).toBe(expected)
    }),
  )
})
