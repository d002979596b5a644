import type { Answer, Decision } from '@mailwright/core'

/** The answer to a question that is asked for each recipient and is the same for all of them. */
export interface KeptAnswer {
  /** The kept answer if the question is the one it was given to, else a new one. An answer that failed is not kept. */
  once(question: string, ask: () => Answer): Answer
  forget(): void
}

export function keptAnswer(): KeptAnswer {
  let answered: string | undefined
  let kept: Decision | undefined
  return {
    once(question: string, ask: () => Answer): Answer {
      if (answered === question) return kept
      const keep = (decision: Decision | undefined | void): Decision | undefined => {
        answered = question
        kept = decision ?? undefined
        return kept
      }
      const answer = ask()
      return answer instanceof Promise ? answer.then(keep) : keep(answer)
    },
    forget(): void {
      answered = undefined
    },
  }
}
