/** The outside world as arguments: with these four, a whole server runs in a unit test on a manual clock. */
import type { Clock } from './clock.ts'
import type { Network } from './network.ts'
import type { Random } from './random.ts'
import type { Resolver } from './resolver.ts'

export interface Environment {
  readonly clock: Clock
  readonly random: Random
  readonly dns: Resolver
  readonly net: Network
}
