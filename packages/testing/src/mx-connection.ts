/** One connection of a scripted MX: reads, asks the script, answers in order, keeps the mail. */
import { TLSSocket } from 'node:tls'
import type { Clock, Wire } from '@mailwright/core'
import { messageReader } from './message-reader.ts'
import type { MxAnswer, MxCommand, MxStage, MxState } from './mx-script.ts'
import { mxVoice } from './mx-voice.ts'
import type { ReceivedMail } from './scripted-mx.ts'

export interface MxConnectionOptions {
  readonly connection: number
  readonly hostname: string
  readonly protocol: 'smtp' | 'lmtp'
  readonly extensions: readonly string[]
  readonly tls: { readonly key: string; readonly cert: string } | undefined
  readonly clock: Clock | undefined
  readonly log: string[]
  answer(command: MxCommand, state: MxState): MxAnswer
  received(mail: ReceivedMail): void
  violation(text: string): void
  closed(): void
}

interface Envelope {
  readonly sender: string
  readonly parameters: string
  readonly recipients: string[]
  readonly recipientParameters: string[]
}

const STAGES: Readonly<Record<string, MxStage>> = {
  EHLO: 'ehlo',
  HELO: 'helo',
  LHLO: 'lhlo',
  STARTTLS: 'starttls',
  MAIL: 'mail',
  RCPT: 'rcpt',
  DATA: 'data',
  BDAT: 'bdat',
  RSET: 'rset',
  NOOP: 'noop',
  QUIT: 'quit',
}

/** Serves a connection; what it returns hangs up. */
export function mxConnection(start: Wire, options: MxConnectionOptions): () => void {
  const reader = messageReader()
  const counts = new Map<MxStage, number>()
  const gone = new AbortController()
  let wire: Wire = start
  let phase: 'greeting' | 'commands' | 'message' | 'chunk' | 'mute' = 'greeting'
  let secure = false
  let greeted = false
  let envelope: Envelope | undefined
  /** The chunk that a BDAT has announced, and those before it. */
  let announced = { line: '', size: 0, last: false }
  let chunks: Buffer[] = []
  let working = false
  const voice = mxVoice({
    wire: () => wire,
    log: options.log,
    clock: options.clock,
    gone: gone.signal,
    fallSilent: () => {
      phase = 'mute'
    },
  })
  const { give } = voice

  function listenTo(next: Wire): void {
    wire = next
    wire.on('data', hear)
    // A client that hangs up, in whatever way, is not this server's problem.
    wire.on('error', () => {})
    wire.once('close', close)
  }
  function close(): void {
    if (gone.signal.aborted) return
    gone.abort(new Error('the connection is closed'))
    options.closed()
  }

  function hear(bytes: Buffer): void {
    if (phase === 'greeting') options.violation('the client talked before the greeting')
    if (phase === 'mute') return
    reader.push(bytes)
    void work()
  }

  /** Handles what has been heard, one command after the other. */
  async function work(): Promise<void> {
    if (working) return
    working = true
    try {
      while (!gone.signal.aborted && (phase === 'commands' || phase === 'message' || phase === 'chunk')) {
        if (phase === 'message') {
          const data = reader.message()
          if (data === undefined) break
          await endOfMessage(data)
        } else if (phase === 'chunk') {
          const data = reader.bytes(announced.size)
          if (data === undefined) break
          await endOfChunk(data)
        } else {
          const line = reader.line()
          if (line === undefined) break
          options.log.push(`C: ${line}`)
          await handle(line)
        }
      }
    } catch (error) {
      if (!gone.signal.aborted) fail(error)
    } finally {
      working = false
    }
  }

  /** A broken script must be seen: the client loses its connection, and `assertDone` names the reason. */
  function fail(error: unknown): void {
    options.violation(`the script failed: ${error instanceof Error ? error.message : String(error)}`)
    wire.destroy()
  }

  async function greet(): Promise<void> {
    const answer = ask({ stage: 'greeting', line: '', nth: 1 })
    await give(answer, `220 ${options.hostname} ESMTP`)
    if (phase === 'greeting') phase = 'commands'
    await work()
  }

  async function handle(line: string): Promise<void> {
    const verb = line.slice(0, 8).split(/[ :]/)[0]!.toUpperCase()
    const known = STAGES[verb] ?? 'other'
    const stage = known === 'bdat' && !options.extensions.includes('CHUNKING') ? 'other' : known
    const nth = (counts.get(stage) ?? 0) + 1
    counts.set(stage, nth)
    const argument = /^(?:MAIL FROM|RCPT TO):\s*<([^>]*)>\s*(.*)$/i.exec(line)
    if (stage === 'bdat') return bdat(line)
    checkPipelining(stage)
    const answer = ask({ stage, line, nth, address: argument?.[1] })
    switch (stage) {
      case 'ehlo':
      case 'lhlo':
      case 'helo':
        return hello(stage, answer)
      case 'starttls':
        return startTls(answer)
      case 'mail':
        return mail(argument, answer)
      case 'rcpt':
        return rcpt(argument, answer)
      case 'data':
        return data(answer)
      case 'quit':
        await give(answer, '221 2.0.0 bye')
        if (!gone.signal.aborted) wire.end()
        phase = 'mute'
        return
      case 'rset':
        envelope = undefined
        chunks = []
        await give(answer, '250 2.0.0 forgotten')
        return
      default:
        await give(answer, stage === 'noop' ? '250 2.0.0 ok' : '502 5.5.1 unknown command')
    }
  }

  /** Commands that must end a group (RFC 2920 §3.1), and any group at all where pipelining was not offered. */
  function checkPipelining(stage: MxStage): void {
    if (reader.waiting === 0) return
    const offered = greeted && options.extensions.includes('PIPELINING')
    const endsGroup = ['ehlo', 'lhlo', 'helo', 'starttls', 'quit', 'data', 'noop'].includes(stage)
    if (!offered) options.violation(`bytes behind ${stage} although PIPELINING was not offered`)
    else if (endsGroup) options.violation(`bytes behind ${stage}, which must end a group`)
  }

  async function hello(stage: 'ehlo' | 'lhlo' | 'helo', answer: MxAnswer): Promise<void> {
    const wanted = options.protocol === 'lmtp' ? stage === 'lhlo' : stage !== 'lhlo'
    if (!wanted) return void (await give(answer, '500 5.5.1 wrong protocol'))
    const keywords = stage === 'helo' ? [] : [...options.extensions]
    if (stage !== 'helo' && options.tls !== undefined && !secure) keywords.push('STARTTLS')
    const texts = [options.hostname, ...keywords]
    const kept = await give(
      answer,
      texts.map((text, index) => `250${index === texts.length - 1 ? ' ' : '-'}${text}`),
    )
    envelope = undefined
    greeted = kept?.startsWith('2') === true && stage !== 'helo'
  }

  async function startTls(answer: MxAnswer): Promise<void> {
    if (answer.reply !== undefined || options.tls === undefined) {
      await give(answer, '502 5.5.1 no TLS here')
      return
    }
    await give(answer, '220 2.0.0 go ahead')
    if (gone.signal.aborted || phase === 'mute') return
    reader.clear()
    if (answer.garbage !== undefined) {
      phase = 'mute'
      wire.write(answer.garbage)
      return
    }
    const plain = wire
    plain.off('data', hear)
    plain.off('close', close)
    const socket = new TLSSocket(plain as TLSSocket, { isServer: true, ...options.tls })
    plain.on('close', () => socket.destroy())
    secure = true
    greeted = false
    envelope = undefined
    options.log.push('# TLS')
    listenTo(socket)
  }

  async function mail(argument: RegExpExecArray | null, answer: MxAnswer): Promise<void> {
    const usual =
      argument === null ? '501 5.5.4 syntax' : envelope === undefined ? '250 2.1.0 ok' : '503 5.5.1 nested MAIL'
    const kept = await give(answer, usual)
    if (kept?.startsWith('2') !== true || argument === null) return
    envelope = { sender: argument[1]!, parameters: argument[2]!, recipients: [], recipientParameters: [] }
  }

  async function rcpt(argument: RegExpExecArray | null, answer: MxAnswer): Promise<void> {
    const usual =
      envelope === undefined ? '503 5.5.1 MAIL first' : argument === null ? '501 5.5.4 syntax' : '250 2.1.5 ok'
    const kept = await give(answer, usual)
    if (kept?.startsWith('2') !== true || argument === null) return
    envelope?.recipients.push(argument[1]!)
    envelope?.recipientParameters.push(argument[2]!)
  }

  async function data(answer: MxAnswer): Promise<void> {
    const usual =
      envelope === undefined
        ? '503 5.5.1 MAIL first'
        : envelope.recipients.length === 0
          ? '554 5.5.1 no valid recipients'
          : '354 go on'
    // The phase changes before the reply is on its way: the message may be right behind it.
    const kept = await give(answer, usual)
    if (kept?.startsWith('3') === true && phase === 'commands') phase = 'message'
  }

  /** BDAT (RFC 3030): its chunk comes behind it whatever we think of it, and is answered when it is there. */
  async function bdat(line: string): Promise<void> {
    const parts = /^BDAT (\d{1,15})( LAST)?$/i.exec(line)
    if (parts === null) return void (await give({}, '501 5.5.4 syntax'))
    announced = { line, size: Number(parts[1]), last: parts[2] !== undefined }
    phase = 'chunk'
  }

  async function endOfChunk(data: Buffer): Promise<void> {
    phase = 'commands'
    const { line, last } = announced
    if (envelope === undefined) return void (await give({}, '503 5.5.1 MAIL first'))
    if (envelope.recipients.length === 0) return void (await give({}, '554 5.5.1 no valid recipients'))
    chunks.push(data)
    if (last) return endOfMessage(Buffer.concat(chunks))
    options.log.push(`C: <chunk of ${data.length} bytes>`)
    const answer = ask({ stage: 'bdat', line, nth: counts.get('bdat')! })
    const kept = await give(answer, `250 2.0.0 ${data.length} octets`)
    if (kept?.startsWith('2') !== true) envelope = undefined
  }

  async function endOfMessage(data: Buffer): Promise<void> {
    options.log.push(`C: <message of ${data.length} bytes>`)
    const nth = (counts.get('message') ?? 0) + 1
    counts.set('message', nth)
    checkPipelining('message')
    const done = envelope ?? { sender: '', parameters: '', recipients: [], recipientParameters: [] }
    const record = (recipients: readonly string[]): void => {
      if (recipients.length === 0) return
      options.received({ ...done, recipients: [...recipients], data, secure, connection: options.connection })
    }
    phase = 'commands'
    chunks = []
    if (options.protocol === 'lmtp') record(await answerEach(done.recipients, nth))
    else {
      const answer = ask({ stage: 'message', line: '<message>', nth })
      if (answer.record === true) record(done.recipients)
      const kept = await give(answer, '250 2.0.0 taken')
      if (answer.record === undefined && kept?.startsWith('2') === true) record(done.recipients)
    }
    envelope = undefined
  }

  /** LMTP: one reply for each recipient, in order (RFC 2033 §4.2). The script is asked for each by its address. */
  async function answerEach(recipients: readonly string[], nth: number): Promise<readonly string[]> {
    const accepted: string[] = []
    for (const address of recipients) {
      const answer = ask({ stage: 'message', line: '<message>', nth, address }, [address])
      const kept = await give(answer, '250 2.0.0 taken')
      if (answer.record ?? kept?.startsWith('2') === true) accepted.push(address)
    }
    return accepted
  }

  function ask(command: MxCommand, recipients?: readonly string[]): MxAnswer {
    return options.answer(command, {
      connection: options.connection,
      secure,
      sender: envelope?.sender,
      recipients: recipients ?? envelope?.recipients ?? [],
    })
  }

  listenTo(start)
  greet().catch((error: unknown) => {
    if (!gone.signal.aborted) fail(error)
  })
  return voice.hangUp
}
