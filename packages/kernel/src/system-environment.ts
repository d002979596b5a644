import type { Environment } from '@mailwright/core'
import { systemClock } from './system-clock.ts'
import { systemNetwork } from './system-network.ts'
import { systemRandom } from './system-random.ts'
import { systemResolver } from './system-resolver.ts'

/** The real outside world. */
export function systemEnvironment(): Environment {
  return { clock: systemClock(), random: systemRandom(), dns: systemResolver(), net: systemNetwork() }
}
