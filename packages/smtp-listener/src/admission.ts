/**
 * Whether a client may come in, and on what terms: connections in progress, the rates of its network, and stress.
 *
 * Stress begins when more connections are in progress than a share of the most there may be, or when the messages in
 * transit fill their memory; it ends well below that, so that it does not come and go with every client. As with
 * Postfix's `stress` parameter, clients then have less time and fewer errors.
 */
import type { Clock } from '@mailwright/core'
import { ClientGate } from './client-gate.ts'
import { ClientRates } from './client-rates.ts'
import { type ConnectionLimits, connectionLimits } from './limits.ts'
import { networkOf } from './network-of.ts'
import type { ListenerConfig } from './options.ts'
import type { Patience } from './patience.ts'
import { ProtocolTests } from './protocol-tests.ts'

/** Why a client was turned away. */
export type Rejection =
  | 'too many connections'
  | 'too many connections from this address'
  | 'connection rate'
  | 'TLS handshake rate'

/** Stress ends this far below where it began, as a share of all connections. */
const RELIEF = 0.1

export class Admission {
  readonly #config: ListenerConfig
  readonly #limits: ConnectionLimits
  readonly #rates: ClientRates | undefined
  readonly #onChange: () => void
  readonly #stressFrom: number
  readonly #stressUntil: number
  #connections = 0
  #crowded = false
  #memoryFull = false

  /** `onChange` is called when stress begins and when it ends. */
  constructor(clock: Clock, config: ListenerConfig, onChange: () => void) {
    this.#config = config
    this.#limits = connectionLimits(config)
    this.#rates = config.rates === undefined ? undefined : new ClientRates(clock, config.rates)
    this.#onChange = onChange
    this.#stressFrom = config.stress.share * config.maxConnections
    this.#stressUntil = Math.max(0, config.stress.share - RELIEF) * config.maxConnections
    this.patience = this.#patience()
  }

  /** Clients have less time and fewer errors. */
  get stressed(): boolean {
    return this.#crowded || this.#memoryFull
  }

  /** How many errors are borne, now. */
  readonly patience: Patience

  /** How long a silent client is waited for, in ms, where it would be `ms` without stress. */
  patient(ms: number): number {
    return this.stressed ? Math.min(ms, this.#config.stress.timeoutMs) : ms
  }

  /** Counts a connection in, or says why it is not. */
  admit(address: string): 'admitted' | Rejection {
    const network = networkOf(address, this.#config.networks)
    const rates = this.#rates
    if (rates !== undefined && !this.#config.exempt(address)) {
      if (rates.count(network, 'connections') === 'over') return 'connection rate'
      const { tls } = this.#config
      if (tls?.mode === 'implicit' && rates.count(network, 'tlsHandshakes') === 'over') return 'TLS handshake rate'
    }
    const admission = this.#limits.admit(address, network)
    if (admission === 'admitted') {
      const before = this.stressed
      if (++this.#connections > this.#stressFrom) this.#crowded = true
      this.#tell(before)
    }
    return admission
  }

  /** A connection that was admitted has ended. */
  release(address: string): void {
    this.#limits.release(networkOf(address, this.#config.networks))
    const before = this.stressed
    if (--this.#connections <= this.#stressUntil) this.#crowded = false
    this.#tell(before)
  }

  /** The messages in transit have no more room, or have it again. */
  memory(state: 'full' | 'free'): void {
    const before = this.stressed
    this.#memoryFull = state === 'full'
    this.#tell(before)
  }

  /** What stands between this client and its mail; undefined where nothing is configured. */
  gate(address: string): ClientGate | undefined {
    const { protocolTests } = this.#config
    if (this.#rates === undefined && protocolTests === undefined) return undefined
    if (this.#config.exempt(address)) return undefined
    const tests = protocolTests === undefined ? undefined : new ProtocolTests(protocolTests.actions)
    return new ClientGate(networkOf(address, this.#config.networks), this.#rates, tests)
  }

  #patience(): Patience {
    const admission = this
    const { softErrorLimit, hardErrorLimit, errorSleepMs, errors, stress } = this.#config
    return {
      soft: softErrorLimit,
      get hard(): number {
        return admission.stressed ? Math.min(hardErrorLimit, stress.hardErrorLimit) : hardErrorLimit
      },
      sleepMs: errorSleepMs,
      errors,
    }
  }

  #tell(before: boolean): void {
    if (this.stressed !== before) this.#onChange()
  }
}
