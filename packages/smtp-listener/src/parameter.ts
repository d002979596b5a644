/** One parameter of MAIL or RCPT (RFC 5321 §4.1.2), and the refusals of those that cannot be had. */
import { type Refusal, reply } from '@mailwright/core'

export const UNSUPPORTED: Refusal = reply(555, '5.5.4', 'Unsupported parameter')
export const BAD_PARAMETER: Refusal = reply(501, '5.5.4', 'Bad parameter')
export const DUPLICATE: Refusal = reply(501, '5.5.4', 'Parameter given twice')

export interface Parameter {
  /** In capitals. */
  readonly name: string
  /** Empty when there is none. */
  readonly value: string
}

const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^=\s]+))?$/

/** Reads one word; undefined for what is no parameter. */
export function parameter(word: string): Parameter | undefined {
  const parts = PARAMETER.exec(word)
  return parts === null ? undefined : { name: parts[1]!.toUpperCase(), value: parts[2] ?? '' }
}

/** The refusal of a value that its parameter cannot have. */
export function badValue(name: string): Refusal {
  return reply(501, '5.5.4', `Bad value of ${name}`)
}
