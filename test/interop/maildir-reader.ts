/** What a sink or an exchanger put into a Maildir, and what of it was added on the way. */
import { mkdirSync, readdirSync, readFileSync, watch } from 'node:fs'
import { join } from 'node:path'

export interface MaildirReader {
  /** Waits for mail to each of these addresses, and gives every message to them, by address. */
  mailTo(addresses: readonly string[], patienceMs?: number): Promise<ReadonlyMap<string, readonly Buffer[]>>
}

/** Reads a Maildir, which is made if it is missing. */
export function maildirReader(folder: string): MaildirReader {
  const arrivals = join(folder, 'new')
  for (const name of ['tmp', 'new', 'cur']) mkdirSync(join(folder, name), { recursive: true })
  const seen = new Map<string, Buffer[]>()
  const known = new Set<string>()

  function look(): void {
    for (const name of readdirSync(arrivals)) {
      if (known.has(name)) continue
      known.add(name)
      const bytes = readFileSync(join(arrivals, name))
      const address = /^Delivered-To: (.*)\r$/m.exec(bytes.toString('utf8', 0, 2_000))?.[1] ?? 'nobody'
      seen.set(address, [...(seen.get(address) ?? []), bytes])
    }
  }

  return {
    mailTo(addresses, patienceMs = 30_000): Promise<ReadonlyMap<string, readonly Buffer[]>> {
      return new Promise((resolve, reject) => {
        const check = (): void => {
          look()
          if (!addresses.every((address) => seen.has(address))) return
          end()
          resolve(new Map(addresses.map((address) => [address, seen.get(address)!])))
        }
        const watcher = watch(arrivals, check)
        const timer = setTimeout(() => {
          end()
          const absent = addresses.filter((address) => !seen.has(address))
          reject(new Error(`no mail to ${absent.join(', ')} after ${patienceMs} ms`))
        }, patienceMs)
        const end = (): void => {
          clearTimeout(timer)
          watcher.close()
        }
        check()
      })
    },
  }
}

/** One host's Received field. */
export interface Hop {
  readonly by: string
  /** `ESMTP`, `SMTP`, `ESMTPS`, `LMTP`. */
  readonly with: string
}

export interface Delivered {
  readonly from: string
  readonly to: string
  readonly originalTo: string
  /** Last host first. */
  readonly hops: readonly Hop[]
  /** What is below the fields that were added. */
  readonly rest: Buffer
}

const DELIVERY = /^Return-Path: <(.*)>\r\nX-Original-To: (.*)\r\nDelivered-To: (.*)\r\n/
const DATE = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \\d{1,2} \\w{3} \\d{4} \\d\\d:\\d\\d:\\d\\d \\+0000'
const RECEIVED = new RegExp(
  `^Received: from \\S+ \\(\\[[0-9.]+\\]\\)(?:\\r\\n\\t\\(TLS\\S+ \\S+\\))?\\r\\n\\tby (\\S+) with (\\S+) id \\w+\\r\\n\\tfor <(.*)>;\\r\\n\\t${DATE}\\r\\n`,
)

/**
 * Takes off the fields of the final delivery and of `hops` hosts, which must be there, exactly and in this order. Throws
 * when they are not.
 */
export function withoutTrace(bytes: Buffer, hops: number): Delivered {
  // Addresses may be UTF-8; lengths are of bytes.
  const top = bytes.toString('latin1', 0, 4_000)
  const delivery = DELIVERY.exec(top)
  if (delivery === null) throw new Error(`not the fields of a delivery:\n${top.slice(0, 400)}`)
  let at = delivery[0].length
  const [from, originalTo, to] = delivery.slice(1).map((text) => Buffer.from(text, 'latin1').toString()) as [
    string,
    string,
    string,
  ]
  const found: Hop[] = []
  while (found.length < hops) {
    const received = RECEIVED.exec(top.slice(at))
    if (received === null) throw new Error(`not a Received field:\n${top.slice(at, at + 400)}`)
    at += received[0].length
    found.push({ by: received[1]!, with: received[2]! })
  }
  return { from, to, originalTo, hops: found, rest: bytes.subarray(at) }
}
