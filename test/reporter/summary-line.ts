import type { Reporter, TestModule } from 'vitest/node'

/**
 * Prints one plain line after every run, `N passed, N failed, N skipped`, for people and programs that read only the end.
 * A module that could not be loaded, and an error outside any test, count as failures.
 */
export default class SummaryLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0
    let failed = unhandledErrors.length
    const skipped: string[] = []
    for (const module of modules) {
      if (module.errors().length > 0) failed += 1
      for (const test of module.children.allTests()) {
        const result = test.result()
        if (result.state === 'passed') passed += 1
        else if (result.state === 'failed') failed += 1
        else skipped.push(`${test.fullName}${'note' in result && result.note ? ` (${result.note})` : ''}`)
      }
    }
    for (const name of skipped) console.log(`skipped: ${name}`)
    console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`)
  }
}
