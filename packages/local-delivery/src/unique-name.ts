/** File names that no other delivery uses, on this host or another (https://cr.yp.to/proto/maildir.html). */
import type { Clock, Random } from '@mailwright/core'

export interface UniqueNames {
  next(): string
}

/**
 * Names of the form `time.MmicrosecondsPpidQcountRmark.host`. The mark is random and tells apart two of these makers in
 * one process.
 *
 * @example
 * uniqueNames('mx.example.org', clock, random, process.pid).next() // '1795368179.M059000P812Q1R9f3a77c1.mx.example.org'
 */
export function uniqueNames(hostname: string, clock: Clock, random: Random, pid: number): UniqueNames {
  const host = hostname.replaceAll('/', '\\057').replaceAll(':', '\\072')
  const mark = Buffer.from(random.bytes(4)).toString('hex')
  let count = 0
  return {
    next(): string {
      const now = clock.now()
      const microseconds = String(Math.floor(now % 1_000) * 1_000).padStart(6, '0')
      return `${Math.floor(now / 1_000)}.M${microseconds}P${pid}Q${++count}R${mark}.${host}`
    },
  }
}
