/** The server of a crowd, in a process of its own: tells its parent its port, and what memory it takes when asked. */
import { startTarget } from './target.ts'

/** What the parent may ask for, and what it hears. */
export interface ServerFigures {
  readonly port: number
  /** Resident memory in MB. */
  readonly rss: number
  readonly connections: number
  readonly stressed: 'yes' | 'no'
}

const target = await startTarget({ listener: { maxConnections: 12_000 } })

process.on('message', () => tell())
process.on('disconnect', () => process.exit(0))
tell()

function tell(): void {
  const { listener } = target
  const figures: ServerFigures = {
    port: listener.address.port,
    rss: Math.round(process.memoryUsage.rss() / 1_048_576),
    connections: listener.connections,
    stressed: listener.stressed ? 'yes' : 'no',
  }
  process.send?.(figures)
}
