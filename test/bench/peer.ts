/** A mail server under measurement: it relays everything to one next hop. */
export interface Peer {
  readonly name: string
  /** Whether it can run on this machine; a reason when it cannot. */
  available(): string | undefined
  start(nextHopPort: number): Promise<RunningPeer>
}

export interface RunningPeer {
  readonly port: number
  /** The processes that do its work, now. */
  pids(): readonly number[]
  stop(): Promise<void>
}
