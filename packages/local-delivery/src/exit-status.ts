/**
 * What the end of a command says of a delivery: its exit status, by sysexits.h, unless its output begins with an enhanced
 * status code (RFC 3463), which then says it better, as Postfix has it. What nobody knows is temporary.
 */
import {
  type DeferredOutcome,
  type EnhancedCode,
  type FailedOutcome,
  type OkOutcome,
  type Outcome,
  reply,
  wireText,
} from '@mailwright/core'

/** How a command ended. */
export interface CommandEnd {
  /** Null when a signal ended it. */
  readonly status: number | null
  readonly signal: string | null
  /** The beginning of what it wrote, to either output. */
  readonly output: string
}

const DELIVERED: OkOutcome = { status: 'ok', action: 'delivered', reply: reply(250, '2.0.0', 'delivered to command') }
const SYSEXITS: Readonly<Record<number, readonly [string, string]>> = {
  64: ['5.3.0', 'command line usage error'],
  65: ['5.6.0', 'data format error'],
  66: ['5.3.0', 'cannot open input'],
  67: ['5.1.1', 'user unknown'],
  68: ['5.1.2', 'host name unknown'],
  69: ['5.3.0', 'service unavailable'],
  70: ['5.3.0', 'internal software error'],
  71: ['4.3.0', 'system resource problem'],
  72: ['5.3.0', 'critical system file missing'],
  73: ['5.2.0', 'cannot create user output file'],
  74: ['5.3.0', 'input/output error'],
  75: ['4.3.0', 'temporary failure'],
  76: ['5.5.0', 'remote error in protocol'],
  77: ['5.7.0', 'permission denied'],
  78: ['5.3.5', 'local configuration error'],
}
/** At the start of the output; 2 says nothing here, since the command did not succeed. */
const ENHANCED = /^([45])(\.\d{1,3}\.\d{1,3})(?=\s|$)/
const LONGEST_TEXT = 400

/** The outcome for a recipient. */
export function commandOutcome({ status, signal, output }: CommandEnd): Outcome {
  if (status === 0) return DELIVERED
  const said = wireText(output.trim()).slice(0, LONGEST_TEXT)
  const enhanced = ENHANCED.exec(said)
  if (enhanced !== null) return outcomeOf(enhanced[0], said.slice(enhanced[0].length).trim() || 'command failed')
  const [code, meaning] = SYSEXITS[status ?? -1] ?? ['4.3.0', ended(status, signal)]
  return outcomeOf(code, said === '' ? meaning : `${meaning}. Command output: ${said}`)
}

function ended(status: number | null, signal: string | null): string {
  return status === null ? `command ended by ${signal ?? 'a signal'}` : `command ended with status ${status}`
}

function outcomeOf(code: string, text: string): DeferredOutcome | FailedOutcome {
  return code.startsWith('5')
    ? { status: 'failed', reply: reply(550, code as EnhancedCode<5>, text) }
    : { status: 'deferred', scope: 'recipient', reply: reply(451, code as EnhancedCode<4>, text) }
}
