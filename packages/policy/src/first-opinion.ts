/** Asking one after the other until one has an opinion: without a promise for as long as the answers come without one. */
import type { Answer, Awaitable, Decision, Edit } from '@mailwright/core'

/** What a hold is worth when nobody has an opinion beside it. */
export type HoldRule = 'stands alone' | 'needs acceptance'

interface Tally {
  held: Decision | undefined
  edits: Edit[]
}

/** The first acceptance or refusal, with the edits asked for on the way; undefined when there is neither. */
export function firstOpinion<T>(
  asked: readonly T[],
  ask: (one: T) => Answer,
  holdRule: HoldRule,
): Awaitable<Decision | undefined> {
  const tally: Tally = { held: undefined, edits: [] }
  for (let index = 0; index < asked.length; index++) {
    const answer = ask(asked[index]!)
    if (answer instanceof Promise) return firstOpinionLater(answer, asked, index + 1, ask, holdRule, tally)
    const opinion = opinionIn(answer, tally)
    if (opinion !== undefined) return opinion
  }
  return silence(tally, holdRule)
}

async function firstOpinionLater<T>(
  first: Promise<Decision | undefined | void>,
  asked: readonly T[],
  from: number,
  ask: (one: T) => Answer,
  holdRule: HoldRule,
  tally: Tally,
): Promise<Decision | undefined> {
  let opinion = opinionIn(await first, tally)
  for (let index = from; opinion === undefined && index < asked.length; index++)
    opinion = opinionIn(await ask(asked[index]!), tally)
  return opinion ?? silence(tally, holdRule)
}

/** The answer if it ends the asking; otherwise it is counted. */
function opinionIn(answer: Decision | undefined | void, tally: Tally): Decision | undefined {
  if (!answer) return undefined
  const { kind } = answer.verdict
  if (kind !== 'next' && kind !== 'hold')
    return kind === 'accept' ? withTally(tally.held ?? answer, answer, tally) : answer
  if (answer.edits !== undefined) tally.edits.push(...answer.edits)
  if (kind === 'hold') tally.held ??= answer
  return undefined
}

function withTally(decisive: Decision, last: Decision, tally: Tally): Decision {
  if (tally.edits.length === 0 && decisive === last) return last
  return { ...decisive, edits: [...tally.edits, ...(last.edits ?? [])] }
}

function silence(tally: Tally, holdRule: HoldRule): Decision | undefined {
  if (tally.held !== undefined && holdRule === 'stands alone') return { ...tally.held, edits: tally.edits }
  return tally.edits.length > 0 ? { verdict: { kind: 'next' }, edits: tally.edits } : undefined
}
