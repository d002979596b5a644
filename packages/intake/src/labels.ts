/**
 * Labels that policies put on a message: what the host knows it by, for limits, statistics and operators. They travel
 * with the envelope and are in no header. Bounded, because they are stored with every message and name lines and limits.
 */
import { type Edit, type Labels, type MailOptions, MailwrightError } from '@mailwright/core'

const MOST_LABELS = 16
const LONGEST_NAME = 64
const LONGEST_VALUE = 256

/**
 * The options of the envelope with the labels of `edits`; of two with one name the later counts. The same options when
 * there are none.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for more than 16 labels, a name that is not 1 to 64 printable ASCII
 * characters without `=` and blanks, and a value of over 256 characters or with control characters.
 */
export function withLabels(options: MailOptions, edits: readonly Edit[]): MailOptions {
  let labels: Record<string, string> | undefined
  for (const edit of edits) {
    if (edit.edit !== 'label') continue
    assertLabel(edit.label, edit.value)
    labels ??= Object.assign(Object.create(null), options.labels) as Record<string, string>
    labels[edit.label] = edit.value
  }
  if (labels === undefined) return options
  if (Object.keys(labels).length > MOST_LABELS) throw wrong(`more than ${MOST_LABELS} labels`)
  const kept: Labels = { ...labels }
  return { ...options, labels: kept }
}

function assertLabel(label: string, value: string): void {
  if (label.length > LONGEST_NAME || !/^[!-<>-~]+$/.test(label)) throw wrong('not the name of a label')
  if (value.length > LONGEST_VALUE || /\p{Cc}|\p{Cs}|[\u2028\u2029]/u.test(value))
    throw wrong(`not a value of the label ${label}`)
}

function wrong(problem: string): MailwrightError {
  return new MailwrightError('ERR_MAILWRIGHT_CONFIG', `${problem}, by a policy`)
}
