/**
 * xtext (RFC 3461 §4): how a parameter carries any text. Only what is printable once decoded is taken: such a text ends up
 * in header fields and notices.
 */
const XTEXT = /^(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[2-7][0-9A-F])*$/

/** Whether the text is xtext of printable ASCII. */
export function isXtext(text: string): boolean {
  return XTEXT.test(text) && !text.includes('+7F')
}

/**
 * The text that stands encoded; undefined for what is no xtext of printable ASCII.
 *
 * @example
 * xtextDecoded('ann+2Bnews@example.org') // 'ann+news@example.org'
 */
export function xtextDecoded(text: string): string | undefined {
  if (!isXtext(text)) return undefined
  return text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
