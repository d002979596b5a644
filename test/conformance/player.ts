/**
 * Plays one dialogue against a server, in one way of sending: turn by turn or pipelined, whole, byte by byte, or cut in
 * two at a given place. The same dialogue must come to the same in every way. It rejects, with the conversation so far,
 * at the first answer that is not the one the transcript demands.
 */
import { MailwrightError, type Wire } from '@mailwright/core'
import { settle } from '@mailwright/testing'
import type { ConformanceServer, Delivery } from './servers.ts'
import type { Step, WireDialogue } from './transcript.ts'

export interface Manner {
  readonly name: string
  /** `pipelined`: everything up to the next pause of the transcript is sent before any answer is waited for. */
  readonly turns: 'one by one' | 'pipelined'
  /** The writes that the next bytes to send are sent in; `sent` bytes of the connection came before. */
  readonly pieces: (bytes: Buffer, sent: number) => readonly Buffer[]
}

/** What a dialogue came to. */
export interface Outcome {
  /** All the server said, with the identities of messages taken out. */
  readonly said: string
  readonly deliveries: readonly Delivery[]
}

export const TURN_BY_TURN: Manner = { name: 'turn by turn', turns: 'one by one', pieces: (bytes) => [bytes] }
export const PIPELINED: Manner = { name: 'pipelined', turns: 'pipelined', pieces: (bytes) => [bytes] }
/** How much of a turn comes byte by byte. */
const SINGLY = 2_048
/** Long input in pieces of 997 bytes after the first 2048, which come one by one. */
export const BYTE_BY_BYTE: Manner = {
  name: 'byte by byte',
  turns: 'one by one',
  pieces: (bytes) => {
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      const size = at < SINGLY ? 1 : 997
      pieces.push(bytes.subarray(at, at + size))
      at += size
    }
    return pieces
  },
}

/** Pipelined, and cut in two at a byte of what is sent in all. */
export function cutAt(place: number): Manner {
  return {
    name: `pipelined, cut at byte ${place}`,
    turns: 'pipelined',
    pieces: (bytes, sent) => {
      const at = place - sent
      return at > 0 && at < bytes.length ? [bytes.subarray(0, at), bytes.subarray(at)] : [bytes]
    },
  }
}

const MOST_CUTS = 60

/** Every place before, within and after a line end of what the client sends; of a very long dialogue, the first and last. */
export function places({ steps }: WireDialogue): readonly number[] {
  const sent = Buffer.concat(steps.flatMap((step) => (step.kind === 'say' ? [step.bytes] : []))).toString('latin1')
  const found = new Set<number>()
  for (const { index, 0: end } of sent.matchAll(/\r\n|\r|\n/g))
    for (let at = index; at <= index + end.length; at++) if (at > 0 && at < sent.length) found.add(at)
  const all = [...found].sort((one, other) => one - other)
  return all.length <= MOST_CUTS ? all : [...all.slice(0, MOST_CUTS / 2), ...all.slice(-MOST_CUTS / 2)]
}

const never = new AbortController().signal
const PATIENCE_MS = 10_000

/** Plays it. */
export async function play(dialogue: WireDialogue, server: ConformanceServer, manner: Manner): Promise<Outcome> {
  const { listener, net } = server
  let wire = await net.connect(listener.address, { signal: never })
  let unread = ''
  let said = ''
  let over = false
  let late = false
  let sent = 0
  let wake = (): void => {}
  const log: string[] = []
  const hear = (bytes: Buffer): void => {
    unread += bytes.toString('latin1')
    wake()
  }
  const end = (): void => {
    over = true
    wake()
  }
  attach()
  const timer = setTimeout(() => {
    late = true
    wake()
  }, PATIENCE_MS)

  try {
    await run()
    return { said: said.replace(/queued as \w+/g, 'queued as ID'), deliveries: await server.take() }
  } finally {
    clearTimeout(timer)
    wire.destroy()
    await server.take()
  }

  function attach(): void {
    wire.on('data', hear)
    wire.on('end', end)
    wire.on('close', end)
    wire.on('error', end)
  }

  function problem(wanted: string, got: string): MailwrightError {
    const told = [...log, `S: ${got}`].slice(-40).map((line) => `  ${line}`)
    return new MailwrightError('ERR_MAILWRIGHT_UNEXPECTED', `${manner.name}: expected ${wanted}\n${told.join('\n')}`)
  }

  /** Waits until something is true, the connection has ended, or it takes too long. */
  async function until(done: () => boolean): Promise<void> {
    while (!done() && !over && !late)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
  }

  async function nextLine(wanted: string): Promise<string> {
    await until(() => unread.includes('\r\n'))
    const at = unread.indexOf('\r\n')
    if (at < 0) throw problem(wanted, over ? '<closed>' : '<silence>')
    const line = Buffer.from(unread.slice(0, at), 'latin1').toString()
    said += unread.slice(0, at + 2)
    unread = unread.slice(at + 2)
    return line
  }

  async function expectAnswer(wanted: string): Promise<void> {
    const whole = /^(\d{3})\*(?: (.*))?$/.exec(wanted)
    if (whole === null) {
      const line = await nextLine(wanted)
      if (!pattern(wanted).test(line)) throw problem(wanted, line)
      log.push(`S: ${line}`)
      return
    }
    const lines: string[] = []
    do lines.push(await nextLine(wanted))
    while (lines.at(-1)![3] === '-')
    if (lines.some((line) => line.slice(0, 3) !== whole[1])) throw problem(wanted, lines.join('\n     '))
    for (const part of whole[2]?.split(' | ') ?? []) {
      const there = lines.some((line) => pattern(part.replace(/^!/, '')).test(line.slice(4)))
      if (there === part.startsWith('!')) throw problem(wanted, lines.join('\n     '))
    }
    log.push(...lines.map((line) => `S: ${line}`))
  }

  async function send(bytes: Buffer): Promise<void> {
    log.push(`C: ${JSON.stringify(bytes.toString('latin1').slice(0, 500))}`)
    const pieces = manner.pieces(bytes, sent)
    sent += bytes.length
    for (const piece of pieces) {
      if (over || !wire.writable) return
      if (pieces.length === 1) wire.write(piece)
      else await new Promise<void>((resolve) => written(wire, piece, resolve))
    }
  }

  async function act(action: string, argument: string): Promise<void> {
    log.push(`! ${action} ${argument}`)
    if (action === 'wait') await server.clock.advance(argument as '5m')
    else if (action === 'silence') {
      await settle()
      if (unread !== '' || over) throw problem('<silence>', over ? '<closed>' : unread)
    } else if (action === 'stop') {
      void server.stop()
      if (server.medium === 'memory') await settle()
    } else if (action === 'close') wire.end()
    else if (action === 'vanish') {
      if (server.medium === 'memory') await settle()
      wire.destroy()
    } else {
      for (const event of ['data', 'end', 'close', 'error']) wire.removeAllListeners(event)
      wire.pause()
      wire = (await net.secure(wire, { verify: false }, { signal: never })).wire
      attach()
    }
  }

  async function run(): Promise<void> {
    const { steps } = dialogue
    let next = 0
    while (next < steps.length) {
      const group: Step[] = []
      if (steps[next]!.kind === 'do') group.push(steps[next++]!)
      else {
        // The greeting is waited for; after that a group is one turn of the client and the answers to it, or several.
        let turns = 0
        for (; next < steps.length; next++) {
          const step = steps[next]!
          const begins = step.kind === 'say' && steps[next - 1]?.kind !== 'say'
          if (step.kind === 'do' || (begins && group.length > 0 && (turns === 0 || manner.turns === 'one by one')))
            break
          if (begins) turns++
          group.push(step)
        }
      }
      await playGroup(group)
    }
    await finish()
  }

  async function playGroup(group: readonly Step[]): Promise<void> {
    const bytes = Buffer.concat(group.flatMap((step) => (step.kind === 'say' ? [step.bytes] : [])))
    if (bytes.length > 0) await send(bytes)
    for (const step of group) {
      if (step.kind === 'hear') await expectAnswer(step.line)
      else if (step.kind === 'do') await act(step.action, step.argument)
      else if (step.kind === 'closed') {
        await until(() => unread !== '')
        if (!over || unread !== '') throw problem('<closed>', unread === '' ? '<silence>' : unread)
        log.push('S: <closed>')
      }
    }
  }

  /** Nothing more may come, and whether the connection stands must be as the transcript says. */
  async function finish(): Promise<void> {
    const { steps } = dialogue
    const ours = steps.some((step) => step.kind === 'do' && (step.action === 'close' || step.action === 'vanish'))
    const closed = steps.some((step) => step.kind === 'closed')
    if (server.medium === 'memory' && manner === TURN_BY_TURN) {
      await settle()
      if (!closed && !ours && over) throw problem('an open connection', '<closed>')
    }
    if (!ours && wire.writable) wire.end()
    await until(() => false)
    if (unread !== '') throw problem('nothing more', unread)
    if (late) throw problem('the end of the connection', '<silence>')
    if (server.medium === 'memory') while (listener.connections > 0 && !late) await immediate()
    if (late) throw problem('that the server lets go of the connection', '<silence>')
  }
}

/** Resolves when the other side has the bytes, or will never have them. */
function written(wire: Wire, piece: Buffer, done: () => void): void {
  wire.once('close', done)
  wire.write(piece, () => {
    wire.off('close', done)
    done()
  })
}

function immediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** `…` is any text, also none; a blank before it may be missing with it. */
function pattern(wanted: string): RegExp {
  const escaped = wanted.split('…').map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
  return new RegExp(`^${escaped.join('.*')}$`, 's')
}
