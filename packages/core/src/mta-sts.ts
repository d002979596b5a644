/** MTA-STS (RFC 8461): what a domain says of its mail exchangers, for those who deliver to it. */
import type { Awaitable, Call } from './call.ts'

export interface StsPolicy {
  /** `enforce`: deliver by verified TLS to these hosts or not at all; `testing`: report what would not do. */
  readonly mode: 'enforce' | 'testing' | 'none'
  /** Names of exchangers, lower case: `mx.example.org`, or `*.example.org` for one label more. */
  readonly mx: readonly string[]
}

export interface StsPolicies {
  /**
   * The policy of a domain (A-labels, lower case), fetched or remembered. Undefined when it has none, or when none can
   * be had: then mail goes as if there were none (RFC 8461 §3.3). Rejects only when the signal aborts.
   */
  find(domain: string, call: Call): Awaitable<StsPolicy | undefined>
}
