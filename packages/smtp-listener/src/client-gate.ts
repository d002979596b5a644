/**
 * What stands between one client and a stage of its session, whoever it wants to mail: the rates of its network, and
 * what it was caught at before. A connection has one only where rates or protocol tests are configured.
 * It answers and counts; saying it, and telling the dialogue, is for `Manners`.
 */
import { type Refusal, type Reply, reply } from '@mailwright/core'
import type { ClientRates, Counted } from './client-rates.ts'
import type { ProtocolTests } from './protocol-tests.ts'

/** Where the gate is asked. */
export type GatedStage = 'mail' | 'rcpt' | 'auth' | 'starttls'

export interface Barrier {
  readonly reply: Refusal
  readonly reason: string
}

function tooMuch(answer: Reply<450> | Reply<454>, reason: string): Barrier {
  return { reply: answer, reason }
}

const BARRIERS: Readonly<Record<GatedStage, Barrier>> = {
  mail: tooMuch(reply(450, '4.7.1', 'Too much mail from you, please try again later'), 'message rate'),
  rcpt: tooMuch(reply(450, '4.7.1', 'Too many recipients from you, please try again later'), 'recipient rate'),
  auth: tooMuch(
    reply(450, '4.7.1', 'Too many failed authentications, please try again later'),
    'failed authentication rate',
  ),
  starttls: tooMuch(reply(454, '4.7.0', 'Too many TLS handshakes, please try again later'), 'TLS handshake rate'),
}
const COUNTED: Readonly<Record<Exclude<GatedStage, 'auth'>, Counted>> = {
  mail: 'messages',
  rcpt: 'recipients',
  starttls: 'tlsHandshakes',
}

export class ClientGate {
  readonly #rates: ClientRates | undefined
  readonly #network: string
  readonly tests: ProtocolTests | undefined

  constructor(network: string, rates: ClientRates | undefined, tests: ProtocolTests | undefined) {
    this.#network = network
    this.#rates = rates
    this.tests = tests
  }

  /** Counts the stage, and says what is in the way of it. */
  barrier(stage: GatedStage): Barrier | undefined {
    const rates = this.#rates
    if (rates !== undefined) {
      const found =
        stage === 'auth'
          ? rates.next(this.#network, 'failedAuthentications')
          : rates.count(this.#network, COUNTED[stage])
      if (found === 'over') return BARRIERS[stage]
    }
    return stage === 'rcpt' ? this.tests?.barrier() : undefined
  }

  /** The client could not prove who it is. */
  authenticationFailed(): void {
    this.#rates?.count(this.#network, 'failedAuthentications')
  }
}
