/**
 * Words of any language in header fields (RFC 2047): base64 of UTF-8, in pieces that split no character. Texts of ours
 * and of templates, so that a header field is ASCII whatever it says.
 */

/** Octets of text in one encoded word: with its frame it stays below 75 characters (RFC 2047 §2). */
const PIECE = 42
/** More of a name or subject than anybody reads. */
const LONGEST = 300

/**
 * Unstructured text, such as a subject, as it may stand in any field. ASCII stays as it is. Line breaks and other
 * control characters become blanks, and what is longer than 300 characters is cut.
 *
 * @example
 * encodedText('Unzustellbar: Grüße') // '=?utf-8?B?VW56dXN0ZWxsYmFyOiBHcsO8w59l?='
 */
export function encodedText(text: string): string {
  const clean = oneLine(text)
  return /[^\x20-\x7e]|=\?/.test(clean) ? encoded(clean) : clean
}

/** A display name before an address (RFC 5322 §3.4), quoted or encoded where it must be. */
export function encodedPhrase(text: string): string {
  const clean = oneLine(text)
  if (/[^\x20-\x7e]|=\?/.test(clean)) return encoded(clean)
  return /^[\w !#$%&'*+\-/=?^`{|}~]*$/.test(clean) ? clean : `"${clean.replace(/["\\]/g, '\\$&')}"`
}

function oneLine(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  return clean.slice(0, LONGEST).toWellFormed()
}

function encoded(text: string): string {
  const words: string[] = []
  let piece = ''
  for (const character of text) {
    if (Buffer.byteLength(piece + character) > PIECE) {
      words.push(piece)
      piece = ''
    }
    piece += character
  }
  words.push(piece)
  return words.map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join(' ')
}
