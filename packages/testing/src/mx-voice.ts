/** How a scripted MX answers: in time or late, at once or byte by byte, wholly, in part, or by hanging up. */
import { type Clock, MailwrightError, sleep, type Wire } from '@mailwright/core'
import { type MxAnswer, replyLines } from './mx-script.ts'

export interface MxVoiceOptions {
  /** The wire as it is now: TLS changes it. */
  wire(): Wire
  readonly log: string[]
  readonly clock: Clock | undefined
  /** Aborts when the connection is closed. */
  readonly gone: AbortSignal
  /** Called when nothing more is to be said on this connection. */
  fallSilent(): void
}

export interface MxVoice {
  /**
   * Gives the scripted answer, or the usual one where the script has none. The last line of what the client was told, or
   * undefined when it got no whole reply. Throws for a script that makes no sense.
   */
  give(answer: MxAnswer, usual: string | readonly string[]): Promise<string | undefined>
  hangUp(how?: 'before' | 'reset'): void
}

export function mxVoice(options: MxVoiceOptions): MxVoice {
  const { log, clock, gone } = options

  async function give(answer: MxAnswer, usual: string | readonly string[]): Promise<string | undefined> {
    if (answer.delayMs !== undefined) await pause(answer.delayMs)
    if (answer.silent) {
      options.fallSilent()
      log.push('# silent')
      return undefined
    }
    if (answer.drop === 'before' || answer.drop === 'reset') {
      options.fallSilent()
      log.push(`# hung up (${answer.drop})`)
      hangUp(answer.drop)
      return undefined
    }
    const lines = replyLines(answer.reply ?? usual)
    const last = lines.at(-1)!
    if (answer.raw === undefined) log.push(...lines.map((line) => `S: ${line}`))
    else log.push(`S: <${answer.raw.length} raw bytes>`)
    await speak(Buffer.from(answer.raw ?? lines.map((line) => `${line}\r\n`).join('')), answer.dripMs)
    if (answer.drop === 'after' || last.startsWith('421') || last.startsWith('521')) {
      options.fallSilent()
      options.wire().end()
    }
    return answer.raw === undefined ? last : undefined
  }

  async function speak(bytes: Buffer, dripMs: number | undefined): Promise<void> {
    if (dripMs === undefined) options.wire().write(bytes)
    else {
      // Nothing is waited for after the last byte: the client may talk as soon as it has the whole reply.
      for (const [index, byte] of bytes.entries()) {
        if (index > 0) await pause(dripMs)
        options.wire().write(Buffer.from([byte]))
      }
    }
  }

  async function pause(ms: number): Promise<void> {
    if (clock === undefined)
      throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'a scripted MX that takes time needs a clock')
    await sleep(clock, ms, gone)
  }

  function hangUp(how: 'before' | 'reset' = 'before'): void {
    // A wire under TLS, and a stream that is no socket, can only be closed.
    const wire = options.wire() as Wire & { resetAndDestroy?: () => unknown; encrypted?: boolean }
    if (how === 'reset' && wire.resetAndDestroy !== undefined && wire.encrypted !== true) wire.resetAndDestroy()
    else wire.destroy()
  }

  return { give, hangUp }
}
