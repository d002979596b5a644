/** One way to a next hop. Messages that must not share a connection go by different ways. */
import type { SmtpCredentials } from './credentials.ts'

export interface Way {
  /** Tells ways apart. */
  readonly key: string
  /** The next hop, as lanes write it. */
  readonly destination: string
  /** Who we are to the servers there. */
  readonly credentials?: SmtpCredentials | undefined
  /** Servers that had their chance, as `host[address]:port`: connections are made to others. */
  readonly avoiding?: ReadonlySet<string> | undefined
}

/** The way that most mail goes: to a next hop, as nobody in particular. */
export function plainWay(destination: string): Way {
  return { key: destination, destination }
}
