/** The seed of a run: another one each time, so that every run looks elsewhere; `CRASH_SEED` repeats one. */
import { randomBytes } from 'node:crypto'

export function crashSeed(what: string): number {
  const given = process.env.CRASH_SEED
  const seed = given === undefined ? randomBytes(4).readUInt32LE() : Number(given)
  // Said before anything can go wrong.
  console.log(`seed of the ${what} crashes: ${seed} (CRASH_SEED=${seed} repeats the choices, if not the moments)`)
  return seed
}
