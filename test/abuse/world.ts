/** The abused server in a world of its own: time stands still unless the test moves it, and the network is memory. */
import { type ManualClock, type MemoryNetwork, testEnvironment } from '@mailwright/testing'
import { expect } from 'vitest'
import { type Guards, installGuards } from './guards.ts'
import type { Scene } from './speech.ts'
import { startTarget, type Target, type TargetOptions } from './target.ts'

export interface World {
  readonly clock: ManualClock
  readonly net: MemoryNetwork
  readonly target: Target
  readonly scene: Scene
  readonly guards: Guards
  /**
   * Stops the server and checks the books: every promise kept, nothing corrupt, no error nobody handled, no timer and no
   * connection left over.
   */
  close(): Promise<void>
}

export async function openWorld(options: TargetOptions = {}): Promise<World> {
  const guards = installGuards()
  const environment = testEnvironment()
  const { clock, net } = environment
  const target = await startTarget({ environment, ...options })
  return {
    clock,
    net,
    target,
    scene: { random: environment.random, ledger: target.ledger },
    guards,
    async close(): Promise<void> {
      await clock.until(target.stop())
      await clock.settle()
      guards.remove()
      expect(guards.caught).toEqual([])
      expect(target.ledger.missing()).toEqual([])
      expect(target.ledger.corrupt).toBe(0)
      expect(clock.pending).toBe(0)
      net.assertQuiet()
    },
  }
}
