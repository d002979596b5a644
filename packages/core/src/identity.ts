/** Message and session ids: unique, in order of time, short, safe in file names and log lines. */
import type { Clock } from './clock.ts'
import { type Random, randomInt } from './random.ts'

const DIGITS = '0123456789bcdfghjkmnpqrstvwxyz'

/** Makes ids. Two makers with different randomness do not collide: each id ends in its maker's random mark. */
export interface IdMaker {
  next(): string
}

/**
 * Ids of 9 digits of time (base 30, ms), 3 of count, and 5 of the maker's mark. No vowels: no words by accident.
 *
 * @example
 * const ids = idMaker(clock, random)
 * ids.next() // '01nt6b2kx000q7w4z'
 */
export function idMaker(clock: Clock, random: Random): IdMaker {
  const mark = digits(randomInt(random, 30 ** 5), 5)
  let last = 0
  let count = 0
  let prefix = ''
  return {
    next(): string {
      const now = clock.now()
      if (now > last) {
        last = now
        count = 0
        prefix = digits(now, 9)
      } else if (++count === 30 ** 3) {
        // More than 27,000 ids in a millisecond, or a clock set back: borrow from the future rather than repeat.
        last += 1
        count = 0
        prefix = digits(last, 9)
      }
      return prefix + digits(count, 3) + mark
    },
  }
}

function digits(value: number, width: number): string {
  let text = ''
  let rest = value
  for (let place = 0; place < width; place++) {
    text = DIGITS[rest % 30]! + text
    rest = Math.floor(rest / 30)
  }
  return text
}
