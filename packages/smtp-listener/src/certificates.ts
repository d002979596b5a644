/**
 * The certificates of a listener, made ready for handshakes, and which of them a client gets (SNI, RFC 6066 §3).
 * Made anew as a whole when they change. A name nobody prepared for gets the listener's own certificate: a client that
 * only wants encryption is served, and one that verifies says itself what is wrong.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import { type Awaitable, MailwrightError } from '@mailwright/core'
import type { ListenerTls, TlsCertificate } from './options.ts'

const TICKET_KEYS = 48
const SERVERNAME = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/

export class Certificates {
  /** For clients that ask for no name, or for one we do not know. */
  readonly fallback: SecureContext
  readonly #rest: SecureContextOptions
  readonly #byName = new Map<string, SecureContext>()
  readonly #ask: ((servername: string) => Awaitable<TlsCertificate | undefined>) | undefined
  readonly #prepared = new WeakMap<TlsCertificate, SecureContext>()

  /** Throws `ERR_MAILWRIGHT_CONFIG` for what cannot be used. Nothing of a key is in the message. */
  constructor(tls: ListenerTls, hostname: string) {
    this.#rest = sharedOptions(tls, hostname)
    this.fallback = this.#prepare(tls)
    const { contexts = {} } = tls
    if (typeof contexts === 'function') {
      this.#ask = contexts
      return
    }
    for (const [name, certificate] of Object.entries(contexts)) {
      this.#byName.set(name.toLowerCase(), this.#prepare(certificate))
    }
  }

  /** What a client gets that asks for a name. Rejects when the function that was given for that does. */
  find(asked: string): Awaitable<SecureContext> {
    const name = asked.toLowerCase()
    if (this.#ask !== undefined) return SERVERNAME.test(name) ? this.#askFor(name, this.#ask) : this.fallback
    if (this.#byName.size === 0) return this.fallback
    return this.#byName.get(name) ?? this.#byName.get(`*${name.slice(name.indexOf('.'))}`) ?? this.fallback
  }

  async #askFor(
    name: string,
    ask: (servername: string) => Awaitable<TlsCertificate | undefined>,
  ): Promise<SecureContext> {
    const certificate = await ask(name)
    if (certificate === undefined) return this.fallback
    let context = this.#prepared.get(certificate)
    if (context === undefined) {
      context = this.#prepare(certificate)
      this.#prepared.set(certificate, context)
    }
    return context
  }

  #prepare({ key, cert }: TlsCertificate): SecureContext {
    try {
      return createSecureContext({ ...this.#rest, key: pem(key), cert: pem(cert) })
    } catch (cause) {
      const problem = 'smtpListener: the certificate or its key, or an option of tls, cannot be used'
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', problem, { cause })
    }
  }
}

/** What all certificates of a listener have in common: a session begun with one name may go on with another. */
function sharedOptions(tls: ListenerTls, hostname: string): SecureContextOptions {
  const { ca, minVersion = 'TLSv1.2', ciphers, groups, ticketKeys = randomBytes(TICKET_KEYS) } = tls
  if (ticketKeys.length !== TICKET_KEYS) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `smtpListener: ticketKeys are ${TICKET_KEYS} bytes`)
  }
  return {
    minVersion,
    honorCipherOrder: true,
    // A session carries what was found about its client's certificate: whoever trusts others does not resume it.
    sessionIdContext: createHash('sha256')
      .update(hostname)
      .update(ca ?? '')
      .digest('hex')
      .slice(0, 32),
    ticketKeys: Buffer.from(ticketKeys),
    ...(ca === undefined ? {} : { ca: pem(ca) }),
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(groups === undefined ? {} : { ecdhCurve: groups.join(':') }),
  }
}

function pem(text: string | Uint8Array): string | Buffer {
  return typeof text === 'string' ? text : Buffer.from(text)
}
