/** xtext (RFC 3461 §4): how a parameter carries any text. */
import { isUtf8 } from 'node:buffer'

/** Only what is printable once decoded is taken: such a text ends up in header fields and notices. */
const XTEXT = /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[2-7][0-9A-F])*$/

const XTEXT_OF_OCTETS = /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[2-9A-F][0-9A-F])*$/
const UNPRINTABLE = /[\x7f-\x9f\u2028\u2029]/

/** Whether the text is xtext of printable ASCII. */
export function isXtext(text: string): boolean {
  return XTEXT.test(text) && !text.includes('+7F')
}

/** Whether the text is xtext of printable UTF-8: `j+C3+BCrgen`. No RFC has it; Postfix sends it where it means jürgen. */
export function isXtextOfUtf8(text: string): boolean {
  if (!XTEXT_OF_OCTETS.test(text)) return false
  const octets = Buffer.from(octetsOf(text), 'latin1')
  return isUtf8(octets) && !UNPRINTABLE.test(octets.toString())
}

/**
 * The text that stands encoded; undefined for what is no xtext of printable ASCII.
 *
 * @example
 * xtextDecoded('ann+2Bnews@example.org') // 'ann+news@example.org'
 */
export function xtextDecoded(text: string): string | undefined {
  if (!isXtext(text)) return undefined
  return octetsOf(text)
}

function octetsOf(xtext: string): string {
  return xtext.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
