import { describe, expect, it } from 'vitest'
import { leafParts } from './mime-parts.ts'

/** The leaves of a message, as type and text. */
function leaves(text: string): readonly string[] {
  return leafParts(Buffer.from(text.replaceAll('\n', '\r\n'))).map(
    ({ type, content }) => `${type}: ${content.toString().replaceAll('\r\n', '|')}`,
  )
}

describe('the parts of a message', () => {
  it('are what stands between lines of the boundary', () => {
    const text =
      'Content-Type: multipart/mixed; boundary="b"\n\nwords for nobody\n--b\n\nIt is --b here,\n--bc there.\n' +
      '--b \t\nContent-Type: TEXT/html; charset=x\n\n<p>\n\n--b--\nmore words\n--b\n\nnothing\n'
    expect(leaves(text)).toEqual(['text/plain: It is --b here,|--bc there.', 'text/html: <p>|'])
  })

  it('are one, where there is no multipart', () => {
    expect(leaves('Subject: hi\n\nHello\n')).toEqual(['text/plain: Hello|'])
    expect(leaves('Content-Type: multipart/mixed\n\nHello\n')).toEqual(['multipart/mixed: Hello|'])
    expect(leaves('')).toEqual(['text/plain: '])
  })

  it('are opened in each other, and messages are not', () => {
    const inner = 'Content-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--i\n\ntwo\n--i--'
    const text = `Content-Type: multipart/mixed; boundary=o\n\n--o\n${inner}\n--o\nContent-Type: message/rfc822\n\n${inner}\n--o--\n`
    const [one, two, message, ...more] = leaves(text)
    expect([one, two]).toEqual(['text/plain: one', 'text/plain: two'])
    expect(message).toMatch(/^message\/rfc822: Content-Type: multipart/)
    expect(more).toEqual([])
  })

  it('are at most a hundred', () => {
    expect(leaves(`Content-Type: multipart/mixed; boundary=b\n\n${'--b\n\nx\n'.repeat(500)}`)).toHaveLength(100)
  })
})
