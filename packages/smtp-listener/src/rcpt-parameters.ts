/** The parameters of RCPT: NOTIFY and ORCPT (RFC 3461 §4.1 and §4.2, RFC 6533 §3). */
import type { Notify } from '@mailwright/core'
import { BAD_PARAMETER, badValue, DUPLICATE, parameter, UNSUPPORTED } from './parameter.ts'
import type { MailTerms, Parsed } from './parameters.ts'
import { isXtext, isXtextOfUtf8 } from './xtext.ts'

export interface RcptParameters {
  readonly notify?: readonly Notify[]
  readonly orcpt?: string
}

const LONGEST_ORCPT = 500
const ORCPT = /^[A-Za-z0-9][A-Za-z0-9-]{0,63};(.+)$/
const NOT_ASCII = /[\u00a0-\u{10ffff}]/gu

/** Reads everything behind the path of RCPT. */
export function rcptParameters(
  text: string,
  mode: 'ascii' | 'international',
  terms: MailTerms,
): Parsed<RcptParameters> {
  let notify: readonly Notify[] | undefined
  let orcpt: string | undefined
  for (const word of text.split(' ')) {
    if (word === '') continue
    const given = parameter(word)
    if (given === undefined) return { refusal: BAD_PARAMETER }
    const { name, value } = given
    if ((name !== 'NOTIFY' && name !== 'ORCPT') || !terms.offers('dsn')) return { refusal: UNSUPPORTED }
    if (name === 'NOTIFY') {
      if (notify !== undefined) return { refusal: DUPLICATE }
      notify = notices(value)
      if (notify === undefined) return { refusal: badValue(name) }
    } else {
      if (orcpt !== undefined) return { refusal: DUPLICATE }
      if (!isOriginal(value, mode)) return { refusal: badValue(name) }
      orcpt = value
    }
  }
  return { command: { ...(notify && { notify }), ...(orcpt !== undefined && { orcpt }) } }
}

/** NEVER alone, or any of the others, each once. */
function notices(value: string): readonly Notify[] | undefined {
  const wanted = value.toLowerCase().split(',')
  if (value.toLowerCase() === 'never') return ['never']
  if (new Set(wanted).size < wanted.length) return undefined
  return wanted.every(isNotice) ? wanted : undefined
}

function isNotice(word: string): word is Notify {
  return word === 'success' || word === 'failure' || word === 'delay'
}

/** `rfc822;xtext`, also of UTF-8; and with SMTPUTF8 `utf-8;` with characters as they are (RFC 6533 §3). */
function isOriginal(value: string, mode: 'ascii' | 'international'): boolean {
  const address = ORCPT.exec(value)?.[1]
  if (address === undefined || Buffer.byteLength(value) > LONGEST_ORCPT) return false
  const direct = mode === 'international' && /^utf-8;/i.test(value)
  const encoded = direct ? address.replace(NOT_ASCII, '') : address
  return isXtext(encoded) || isXtextOfUtf8(encoded)
}
