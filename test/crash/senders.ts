/**
 * Clients that send as fast as they are served, until the server dies under them. They keep the books: what was answered
 * with 250 is promised; what was on its way when the connection broke may arrive or not.
 */
import { connect } from 'node:net'
import { type Random, randomInt } from '@mailwright/core'
import { writeLetter } from '../support/letter.ts'
import { rawClient } from '../support/raw-client.ts'

/** Of 100 messages, how many are too large to be kept in the database. */
const LARGE = 12
/** How long a client waits for any answer. */
const PATIENCE_MS = 5_000

export interface Senders {
  /** Message-IDs that the server has taken responsibility for. */
  readonly acknowledged: ReadonlySet<string>
  /** Messages begun. */
  readonly sent: number
  /** Sends with so many clients until the server is gone. */
  until(port: number, clients: number): Promise<void>
  /** Sends so many messages one after the other; rejects when one is refused. */
  send(port: number, count: number): Promise<void>
}

export function senders(random: Random, recipients: readonly string[]): Senders {
  const acknowledged = new Set<string>()
  let sent = 0

  /** One connection, until it breaks or so many messages are sent. Returns how many were taken. */
  async function connection(port: number, most: number): Promise<number> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    // A connection may be lost between two processes: nobody will ever answer it.
    socket.setTimeout(PATIENCE_MS, () => socket.destroy())
    const client = rawClient(socket)
    let taken = 0
    if ((await client.reply()) === undefined) return taken
    client.send('EHLO sender.example\r\n')
    await client.reply()
    while (!client.over && taken < most) {
      const id = `${++sent}@crash`
      const size = randomInt(random, 100) < LARGE ? 131_072 + randomInt(random, 200_000) : randomInt(random, 8_000)
      const recipient = recipients[sent % recipients.length]!
      client.send(`MAIL FROM:<ann@sender.example>\r\nRCPT TO:<${recipient}>\r\nDATA\r\n`)
      for (let count = 0; count < 3; count++) await client.reply()
      const letter = writeLetter(id, size, random).toString('latin1').replace(/^\./gm, '..')
      await client.pour(`${letter}.\r\n`)
      if ((await client.reply())?.startsWith('250') !== true) break
      acknowledged.add(id)
      taken++
    }
    client.leave('destroy')
    return taken
  }

  return {
    acknowledged,
    get sent(): number {
      return sent
    },
    async until(port: number, clients: number): Promise<void> {
      await Promise.all(Array.from({ length: clients }, () => connection(port, Number.POSITIVE_INFINITY)))
    },
    async send(port: number, count: number): Promise<void> {
      if ((await connection(port, count)) < count) throw new Error('a message was refused')
    },
  }
}
