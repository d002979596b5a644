/**
 * Who sent a webhook: an HMAC over its id, its time and its body, as the Standard Webhooks specification has it
 * (https://www.standardwebhooks.com), so that receivers find libraries for it in every language.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { MailwrightError } from '@mailwright/core'

/** Header fields of a signed request. */
export interface SignatureHeaders {
  /** The same for every attempt at a message: whoever has seen it has had the message. */
  readonly 'webhook-id': string
  /** Seconds since the epoch. */
  readonly 'webhook-timestamp': string
  readonly 'webhook-signature': string
}

/** How far a receiver's clock may be off, seconds. */
const TOLERANCE = 300
const PREFIX = 'whsec_'

/**
 * The octets of a secret: `whsec_` and base64, or any text.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for one that is too short to keep anybody out.
 */
export function secretBytes(secret: string): Uint8Array {
  const bytes = secret.startsWith(PREFIX) ? Buffer.from(secret.slice(PREFIX.length), 'base64') : Buffer.from(secret)
  if (bytes.length < 16)
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'httpTransport: a secret needs at least 16 octets')
  return bytes
}

/** Signs a body that comes in pieces, with every secret: receivers change from one to the next without a gap. */
export async function signatureHeaders(
  secrets: readonly Uint8Array[],
  id: string,
  now: number,
  body: AsyncIterable<Uint8Array>,
): Promise<SignatureHeaders> {
  const timestamp = String(Math.floor(now / 1_000))
  const hmacs = secrets.map((secret) => createHmac('sha256', secret).update(`${id}.${timestamp}.`))
  for await (const chunk of body) for (const hmac of hmacs) hmac.update(chunk)
  const signatures = hmacs.map((hmac) => `v1,${hmac.digest('base64')}`)
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') }
}

/**
 * Whether a request was signed with this secret, not long ago: for receivers written in TypeScript.
 *
 * @param body the octets as they came, before anything has read them
 * @param now ms since the epoch
 * @example
 * if (!isSignedBy(secret, request.headers, body, Date.now())) response.writeHead(401).end()
 */
export function isSignedBy(
  secret: string,
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  body: Uint8Array,
  now: number,
): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string') return false
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(now / 1_000 - Number(timestamp)) > TOLERANCE) return false
  const expected = createHmac('sha256', secretBytes(secret)).update(`${id}.${timestamp}.`).update(body).digest()
  return signatures.split(' ').some((signature) => {
    const [version, value = ''] = signature.split(',')
    const given = Buffer.from(value, 'base64')
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected)
  })
}
