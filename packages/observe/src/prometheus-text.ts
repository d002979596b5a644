/** The text format of Prometheus, version 0.0.4. Media type: `text/plain; version=0.0.4`. */

export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly samples: readonly Sample[]
}

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** A number of ours that only grows. */
export function counter(name: string, help: string, samples: Metric['samples']): Metric {
  return { name: `mailwright_${name}`, help, type: 'counter', samples }
}

/** A number of ours that tells how things stand. */
export function gauge(name: string, help: string, samples: Metric['samples']): Metric {
  return { name: `mailwright_${name}`, help, type: 'gauge', samples }
}

/**
 * Writes metrics, each with its HELP and TYPE. A metric without samples is announced all the same.
 *
 * @example
 * response.end(prometheusText([{ name: 'up', help: 'Always 1.', type: 'gauge', samples: [{ value: 1 }] }]))
 */
export function prometheusText(metrics: readonly Metric[]): string {
  let text = ''
  for (const { name, help, type, samples } of metrics) {
    text += `# HELP ${name} ${help.replace(/[\\\n]/g, escaped)}\n# TYPE ${name} ${type}\n`
    for (const sample of samples) text += `${name}${labelText(sample.labels)} ${sample.value}\n`
  }
  return text
}

/** Labels in braces, as they stand behind a name; nothing when there are none. */
export function labelText(labels: Sample['labels']): string {
  if (labels === undefined) return ''
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/[\\\n"]/g, escaped)}"`)
  return `{${pairs.join(',')}}`
}

function escaped(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`
}
