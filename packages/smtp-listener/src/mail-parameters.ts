/**
 * The parameters of MAIL: SIZE (RFC 1870), BODY (RFC 6152, RFC 3030), SMTPUTF8 (RFC 6531), RET and ENVID (RFC 3461), AUTH
 * (RFC 4954), REQUIRETLS (RFC 8689), MT-PRIORITY (RFC 6710), BY (RFC 2852), HOLDFOR and HOLDUNTIL (RFC 4865).
 *
 * One that was not offered, is there twice, or has a value its RFC does not know is refused. What a value is worth,
 * whether this client may have a priority, is not decided here.
 */
import { type Capability, type MailOptions, parseMailbox, type Refusal, reply } from '@mailwright/core'
import { BAD_PARAMETER, badValue, DUPLICATE, parameter, UNSUPPORTED } from './parameter.ts'
import type { MailTerms, Parsed } from './parameters.ts'
import { deliverBy, heldFor, heldUntil } from './times.ts'
import { isXtext, xtextDecoded } from './xtext.ts'

export interface MailParameters {
  readonly options: MailOptions
  readonly declaredSize?: number | undefined
}

type Draft = { -readonly [K in keyof MailOptions]: MailOptions[K] }

const BAD_PRIORITY: Refusal = reply(501, '5.5.2', 'Bad value of MT-PRIORITY')
const LONGEST_ENVID = 100
const LONGEST_SUBMITTER = 500

/** What a parameter rests on, where that is more than EHLO. */
const NEEDS: Readonly<Record<string, Capability>> = {
  SMTPUTF8: 'smtputf8',
  RET: 'dsn',
  ENVID: 'dsn',
  REQUIRETLS: 'requiretls',
  'MT-PRIORITY': 'mt-priority',
  BY: 'deliverby',
  HOLDFOR: 'futurerelease',
  HOLDUNTIL: 'futurerelease',
}

/** Reads everything behind the path of MAIL. */
export function mailParameters(text: string, terms: MailTerms): Parsed<MailParameters> {
  const options: Draft = {}
  let declaredSize: number | undefined
  for (const word of text.split(' ')) {
    if (word === '') continue
    const given = parameter(word)
    if (given === undefined) return { refusal: BAD_PARAMETER }
    if (given.name === 'SIZE') {
      if (declaredSize !== undefined) return { refusal: DUPLICATE }
      if (!/^\d{1,20}$/.test(given.value)) return { refusal: badValue('SIZE') }
      declaredSize = Number(given.value)
      continue
    }
    const refusal = take(options, given.name, given.value, terms)
    if (refusal !== undefined) return { refusal }
  }
  return { command: { options, declaredSize } }
}

/** Reads one parameter into the options, or gives the refusal. */
function take(options: Draft, name: string, value: string, terms: MailTerms): Refusal | undefined {
  const needs = NEEDS[name]
  if (needs !== undefined && !terms.offers(needs)) return UNSUPPORTED
  switch (name) {
    case 'BODY': {
      const body = value.toLowerCase()
      if (body !== '7bit' && body !== '8bitmime' && body !== 'binarymime') return badValue(name)
      if (body === 'binarymime' && !terms.offers('binarymime')) return UNSUPPORTED
      return put(options, 'body', body, name)
    }
    case 'SMTPUTF8':
      return value === '' ? put(options, 'smtputf8', true, name) : BAD_PARAMETER
    case 'REQUIRETLS':
      return value === '' ? put(options, 'requireTls', true, name) : BAD_PARAMETER
    case 'RET': {
      const ret = value.toLowerCase()
      return ret === 'full' || ret === 'hdrs' ? put(options, 'ret', ret, name) : badValue(name)
    }
    case 'ENVID':
      return isEnvelopeId(value) ? put(options, 'envid', value, name) : badValue(name)
    case 'AUTH':
      return terms.submitters === 'not offered' ? UNSUPPORTED : putSubmitter(options, value, terms)
    case 'MT-PRIORITY':
      return putPriority(options, value)
    case 'BY':
      return put(options, 'deliverBy', deliverBy(value, terms.now()), name)
    case 'HOLDFOR':
      return put(options, 'notBefore', heldFor(value, terms.now()), name)
    case 'HOLDUNTIL':
      return put(options, 'notBefore', heldUntil(value, terms.now()), name)
    default:
      return UNSUPPORTED
  }
}

/** Has a code of its own for what cannot be read (RFC 6710 §4.1). */
function putPriority(options: Draft, value: string): Refusal | undefined {
  const priority = /^(?:-?[1-9]|0)$/.test(value) ? Number(value) : undefined
  return put(options, 'priority', priority, 'MT-PRIORITY') && BAD_PRIORITY
}

/** The word of a client that did not authenticate is not passed on (RFC 4954 §5). */
function putSubmitter(options: Draft, value: string, terms: MailTerms): Refusal | undefined {
  if (value === '<>') return put(options, 'submitter', '', 'AUTH')
  const submitter = value.length <= LONGEST_SUBMITTER ? xtextDecoded(value) : undefined
  const mailbox = submitter === undefined ? undefined : parseMailbox(submitter)
  if (mailbox === undefined || mailbox.domain === '') return badValue('AUTH')
  return put(options, 'submitter', terms.submitters === 'believed' ? submitter : '', 'AUTH')
}

function isEnvelopeId(value: string): boolean {
  return value !== '' && value.length <= LONGEST_ENVID && isXtext(value)
}

/** A value that could not be read is undefined. */
function put<K extends keyof Draft>(options: Draft, key: K, value: Draft[K], name: string): Refusal | undefined {
  if (value === undefined) return badValue(name)
  if (options[key] !== undefined) return DUPLICATE
  options[key] = value
  return undefined
}
