/** What is under way, so that closing can wait for it. */
export class Work {
  readonly #onTrouble: (error: unknown) => void
  #count = 0
  #waiting: (() => void)[] = []

  constructor(onTrouble: (error: unknown) => void) {
    this.#onTrouble = onTrouble
  }

  get busy(): boolean {
    return this.#count > 0
  }

  begin(): void {
    this.#count += 1
  }

  end(): void {
    this.#count -= 1
    if (this.#count > 0) return
    for (const resume of this.#waiting.splice(0)) resume()
  }

  /** Work nobody waits for. */
  background(work: () => Promise<unknown>): void {
    this.begin()
    work().then(
      () => this.end(),
      (error: unknown) => {
        this.#onTrouble(error)
        this.end()
      },
    )
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#count > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}
