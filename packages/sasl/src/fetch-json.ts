/** One question over HTTPS, answered in JSON: with a time-out, a limit, and no redirects. Rejects for anything but 200. */
import { type Call, type Clock, MailwrightError } from '@mailwright/core'

export type Fetch = typeof globalThis.fetch

export interface FetchLimits {
  readonly timeoutMs: number
  readonly maxBytes: number
}

/** Asks. The question ends with the call, where one is given. */
export async function fetchJson(
  fetch: Fetch,
  url: string,
  init: RequestInit,
  { timeoutMs, maxBytes }: FetchLimits,
  clock: Clock,
  call?: Call,
): Promise<unknown> {
  const patience = new AbortController()
  const timer = clock.after(timeoutMs, () => patience.abort(new Error(`no answer in ${timeoutMs} ms`)))
  const signal = call === undefined ? patience.signal : AbortSignal.any([call.signal, patience.signal])
  try {
    const response = await fetch(url, { ...init, redirect: 'error', signal })
    if (response.status !== 200) {
      await response.body?.cancel()
      throw new Error(`status ${response.status}`)
    }
    return JSON.parse(await limited(response, maxBytes))
  } catch (cause) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONNECTION', `no usable answer from ${new URL(url).host}`, { cause })
  } finally {
    timer.cancel()
  }
}

async function limited(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxBytes) throw new Error(`more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** An address that secrets may go to. */
export function secureUrl(url: string): string {
  if (URL.parse(url)?.protocol === 'https:') return url
  throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not an https address: ${url}`)
}
