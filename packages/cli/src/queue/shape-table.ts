/** The age of mail by lane, in the columns of `qshape`. */
import type { LaneShape } from '@mailwright/core'

/** Rows for people: ages in minutes above, a total, and a row for each lane. */
export function shapeTable(lanes: readonly LaneShape[], ages: readonly number[]): string {
  const minutes = ages.map((age) => String(Math.round(age / 60_000)))
  const total = minutes.map((_, column) => sum(lanes.map((each) => each.ages[column]!)))
  const older = sum(lanes.map((each) => each.ages.at(-1)!))
  const rows: readonly (readonly string[])[] = [
    ['', 'T', ...minutes, `${minutes.at(-1) ?? '0'}+`],
    ['TOTAL', String(sum(lanes.map((each) => each.entries))), ...[...total, older].map(String)],
    ...lanes.map((each) => [each.lane, String(each.entries), ...each.ages.map(String)]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column]!)).join('  ')).join('\n')
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0)
}
