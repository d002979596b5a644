/**
 * Delivery by HTTP: each message is posted to a URL of the operator's, signed, and tried again by the queue until somebody
 * takes it. Every attempt at a message has the same `webhook-id`, so that a receiver that was cut off after it had taken
 * the message can tell. Redirections are not followed: mail goes where the operator said.
 */
import {
  type Block,
  type Call,
  type Capability,
  type DeferredOutcome,
  type DeliveryJob,
  type Duration,
  type Environment,
  MailwrightError,
  milliseconds,
  type Outcome,
  type RecipientId,
  reply,
  sameOutcome,
  type Transport,
  toOutcome,
} from '@mailwright/core'
import { type HttpAnswer, outcomesOf } from './answer.ts'
import { type Format, requestBody } from './request-body.ts'
import { secretBytes, signatureHeaders } from './signature.ts'

export interface HttpTransportOptions {
  /** Where messages are posted. No address becomes part of it. */
  readonly url: string
  /** Secrets of at least 16 octets, as text or as `whsec_` and base64; the request is signed with each. Default: not signed. */
  readonly secrets?: readonly string[]
  /** `multipart`: a form of envelope and message, streamed (default); `json`: one document, up to 32 MiB. */
  readonly format?: Format
  /** More header fields, e.g. `Authorization`. */
  readonly headers?: Readonly<Record<string, string>>
  /** For one request. Default 60 s. */
  readonly timeout?: Duration
  /** The transport's name, when it is not `'http'`. */
  readonly name?: string
  /** How requests are made. Default: Node's `fetch`. */
  readonly fetch?: typeof fetch
}

/** Octets of an answer's body that are read. */
const ANSWER_LIMIT = 65_536
const HONOURED: readonly Capability[] = ['binarymime', 'dsn', 'smtputf8']

/**
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for a URL that is none, or a secret that is too short.
 * @example
 * const tickets = mta.use(httpTransport({ name: 'tickets', url: 'https://desk.example.org/inbound', secrets: [secret] }))
 */
export function httpTransport(options: HttpTransportOptions): Block<Transport> {
  const url = parseUrl(options.url)
  const secrets = (options.secrets ?? []).map(secretBytes)
  const timeoutMs = milliseconds(options.timeout ?? '60s')
  const settings: Settings = { ...options, url, timeoutMs, secretBytes: secrets }
  return { name: options.name ?? 'http', create: ({ environment }) => transport(settings, environment) }
}

interface Settings extends Omit<HttpTransportOptions, 'url'> {
  readonly url: URL
  readonly timeoutMs: number
  readonly secretBytes: readonly Uint8Array[]
}

function transport(settings: Settings, environment: Environment): Transport {
  const { url } = settings
  const { clock } = environment
  // By https the way is as safe as its certificates, which fetch verifies.
  const secure: readonly Capability[] = url.protocol === 'https:' ? ['requiretls'] : []
  return {
    name: settings.name ?? 'http',
    capabilities: new Set([...HONOURED, ...secure]),
    async deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
      try {
        return outcomesOf(await post(settings, job, environment, call), job, url.host, clock.now())
      } catch (error) {
        call.signal.throwIfAborted()
        return sameOutcome(job.envelope, failure(error, url.host))
      }
    },
  }
}

async function post(
  settings: Settings,
  job: DeliveryJob,
  { clock, random }: Environment,
  call: Call,
): Promise<HttpAnswer> {
  const { url, format = 'multipart', headers, timeoutMs } = settings
  const request = settings.fetch ?? fetch
  const late = new AbortController()
  const timer = clock.after(timeoutMs, () => late.abort(new MailwrightError('ERR_MAILWRIGHT_TIMEOUT', 'no answer')))
  const signal = AbortSignal.any([call.signal, late.signal])
  try {
    const body = await requestBody(format, job, random, { signal })
    const signed =
      settings.secretBytes.length === 0
        ? {}
        : await signatureHeaders(settings.secretBytes, job.id, clock.now(), body.chunks())
    const answer = await request(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { ...headers, ...signed, 'content-type': body.contentType },
      body: ReadableStream.from(body.chunks()),
      duplex: 'half',
      signal,
    } as RequestInit)
    return {
      status: answer.status,
      contentType: answer.headers.get('content-type') ?? '',
      retryAfter: answer.headers.get('retry-after') ?? undefined,
      text: await beginningOf(answer),
    }
  } catch (error) {
    // fetch may wrap the reason it was stopped for.
    late.signal.throwIfAborted()
    throw error
  } finally {
    timer.cancel()
  }
}

async function beginningOf({ body }: Response): Promise<string> {
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let size = 0
  // Leaving the loop ends the transfer.
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size > ANSWER_LIMIT) break
  }
  return Buffer.concat(chunks).subarray(0, ANSWER_LIMIT).toString('utf8')
}

/** No answer: theirs to mend, or the way's. A message that cannot be read, or is too large for JSON, is ours. */
function failure(error: unknown, host: string): Outcome {
  if (error instanceof MailwrightError && error.code === 'ERR_MAILWRIGHT_LIMIT')
    return { status: 'failed', reply: reply(552, '5.3.4', `the message is too large for ${host}`) }
  if (error instanceof MailwrightError && error.code !== 'ERR_MAILWRIGHT_TIMEOUT') return toOutcome(error)
  const cause = error instanceof TypeError ? error.cause : undefined
  // A body that failed while it was sent comes wrapped.
  if (cause instanceof MailwrightError) return toOutcome(cause)
  const outcome: DeferredOutcome = {
    status: 'deferred',
    scope: 'destination',
    reply: reply(451, '4.4.1', `no answer from ${host}`),
    cause: error,
  }
  return outcome
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `httpTransport: not a URL of http or https: ${text}`)
  return url
}
