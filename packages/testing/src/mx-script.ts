/** What a scripted MX is told to do: data where it can be, a function where a simulation decides. */
import { MailwrightError } from '@mailwright/core'

/** The places of a dialogue where something can be scripted. `message` is the final dot, or the last chunk of BDAT. */
export type MxStage =
  | 'greeting'
  | 'ehlo'
  | 'helo'
  | 'lhlo'
  | 'starttls'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'bdat'
  | 'message'
  | 'rset'
  | 'noop'
  | 'quit'
  | 'other'

/** What the server has just heard. */
export interface MxCommand {
  readonly stage: MxStage
  /** The line as it came, or `<message>`. */
  readonly line: string
  /** The address of MAIL or RCPT, without brackets. */
  readonly address?: string | undefined
  /** Counts commands of this stage on this connection, from 1. */
  readonly nth: number
}

/** Where the dialogue stands. */
export interface MxState {
  /** Counts connections to this MX, from 1. */
  readonly connection: number
  readonly secure: boolean
  readonly sender: string | undefined
  readonly recipients: readonly string[]
}

/** How to answer. Without any of them the MX answers as a healthy one does. */
export interface MxAnswer {
  /** `'450 4.2.0 later'`, or the whole lines of a multi-line reply: `['250-one', '250 two']`. */
  readonly reply?: string | readonly string[] | undefined
  /** Bytes to send as they are, in place of a reply: rubbish, over-long lines, half a reply. */
  readonly raw?: string | Uint8Array | undefined
  /** Says nothing, now and for ever after on this connection. */
  readonly silent?: boolean | undefined
  /** Hangs up: before the reply, after it, or with a reset before it. */
  readonly drop?: 'before' | 'after' | 'reset' | undefined
  /** At `message`: whether the mail counts as received. Default: if the reply is positive and is sent. */
  readonly record?: boolean | undefined
  /** Thinks so long first, in ms of the clock. */
  readonly delayMs?: number | undefined
  /** Sends one byte each so many ms of the clock. */
  readonly dripMs?: number | undefined
  /** At `starttls`: answers 220 and then talks this instead of TLS. */
  readonly garbage?: string | undefined
}

/** A step of a script: the first that matches and is not used up answers. */
export interface MxStep extends MxAnswer {
  readonly at: MxStage
  /** Only the so-manieth command of this stage on a connection, from 1. */
  readonly nth?: number | undefined
  /** Only this address (without case), for `mail` and `rcpt`; for `message`, if it is among the recipients. */
  readonly address?: string | undefined
  /** Only on this connection, from 1. */
  readonly connection?: number | undefined
  /** Used up after so many times. Default: lasts. */
  readonly times?: number | undefined
}

export type MxScript = readonly MxStep[] | ((command: MxCommand, state: MxState) => MxAnswer | undefined)

export interface PreparedScript {
  answer(command: MxCommand, state: MxState): MxAnswer
  /** Steps that never answered, as text. */
  unused(): readonly string[]
}

/** Makes a script ready to be asked. */
export function prepareScript(script: MxScript): PreparedScript {
  if (typeof script === 'function') {
    return { answer: (command, state) => script(command, state) ?? {}, unused: () => [] }
  }
  const used = script.map(() => 0)
  return {
    answer(command: MxCommand, state: MxState): MxAnswer {
      const index = script.findIndex(
        (step, at) => used[at]! < (step.times ?? Infinity) && isMeant(step, command, state),
      )
      if (index < 0) return {}
      used[index]!++
      return script[index]!
    },
    unused: () => script.filter((_, at) => used[at] === 0).map((step) => JSON.stringify(step)),
  }
}

function isMeant(step: MxStep, command: MxCommand, state: MxState): boolean {
  if (step.at !== command.stage) return false
  if (step.nth !== undefined && step.nth !== command.nth) return false
  if (step.connection !== undefined && step.connection !== state.connection) return false
  if (step.address === undefined) return true
  const meant = step.address.toLowerCase()
  return command.stage === 'message'
    ? state.recipients.some((recipient) => recipient.toLowerCase() === meant)
    : command.address?.toLowerCase() === meant
}

/** The lines of a scripted reply. Throws when it is none: a typo in a script must not look like a server's fault. */
export function replyLines(answer: string | readonly string[]): readonly string[] {
  const lines = typeof answer === 'string' ? [answer] : answer
  lines.forEach((line, index) => {
    if (!(index === lines.length - 1 ? /^\d{3}( |$)/ : /^\d{3}-/).test(line))
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `not a reply line (use raw for rubbish): ${line}`)
  })
  return lines
}
