/** What clients say, well behaved or not, and how they wait for the answers. */
import type { Random } from '@mailwright/core'
import { dotStuffer } from '@mailwright/message'
import type { RawClient } from '../support/raw-client.ts'
import type { Ledger, Letter } from './ledger.ts'

export interface Scene {
  readonly random: Random
  readonly ledger: Ledger
}

export const HELLO = 'EHLO client.example\r\n'
export const ENVELOPE = 'MAIL FROM:<ann@example.net>\r\nRCPT TO:<bob@example.org>\r\n'
/** Sent at a time in a flood. */
const SPILL = 65_536

/** Waits for the greeting and introduces itself. */
export async function greet(client: RawClient): Promise<void> {
  await client.reply()
  client.send(HELLO)
  await client.reply()
}

/** Sends commands in one write and waits for as many replies. */
export async function ask(client: RawClient, commands: string): Promise<(string | undefined)[]> {
  client.send(commands)
  const replies: (string | undefined)[] = []
  for (let count = commands.split('\r\n').length - 1; count > 0; count--) replies.push(await client.reply())
  return replies
}

/** A letter as it goes over the wire, final dot included. */
export function stuffed({ bytes }: Letter): Buffer {
  const stuffer = dotStuffer()
  return Buffer.concat([stuffer.push(bytes), stuffer.end()])
}

/** Sends a letter as a decent client does. True when the server took it; that is a promise. */
export async function submit(client: RawClient, { ledger }: Scene, letter: Letter): Promise<boolean> {
  const go = (await ask(client, `${ENVELOPE}DATA\r\n`)).at(-1)
  if (go?.startsWith('354') !== true) return false
  await client.pour(stuffed(letter))
  const taken = (await client.reply())?.startsWith('250') === true
  if (taken) ledger.promise(letter)
  return taken
}

/** Sends until the server has had enough, at most `limit` bytes. */
export async function flood(client: RawClient, piece: string, limit: number): Promise<void> {
  const block = Buffer.from(piece.repeat(Math.ceil(SPILL / piece.length)))
  for (let sent = 0; sent < limit && (await client.pour(block)); sent += block.length);
  await client.ended()
}

/** The first bytes of a TLS 1.3 handshake (RFC 8446 §4.1.2), as a client sends it that expects implicit TLS. */
export function clientHello(random: Random): Buffer {
  const body = Buffer.from(random.bytes(300))
  return Buffer.concat([Buffer.from([0x16, 0x03, 0x01, 0x01, 0x30, 0x01, 0x00, 0x01, 0x2c, 0x03, 0x03]), body])
}
