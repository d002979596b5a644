/** Drawing from a seeded random, in the words of a scenario. */
import { type Random, randomInt } from '@mailwright/core'

/** An integer of at least `least` and at most `most`. */
export function between(random: Random, least: number, most: number): number {
  return least + randomInt(random, most - least + 1)
}

export function chance(random: Random, probability: number): 'yes' | 'no' {
  return random.float() < probability ? 'yes' : 'no'
}

export function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[randomInt(random, choices.length)]!
}

/** So many different ones, in random order. */
export function pickSome<T>(random: Random, choices: readonly T[], count: number): readonly T[] {
  const left = [...choices]
  const picked: T[] = []
  while (picked.length < count && left.length > 0) picked.push(...left.splice(randomInt(random, left.length), 1))
  return picked
}
