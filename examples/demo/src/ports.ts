import { systemNetwork } from 'mailwright'

/** The port asked for if it is free on loopback, or 0 for any other. */
export async function preferPort(port: number): Promise<number> {
  try {
    const probe = await systemNetwork().listen({ host: '127.0.0.1', port }, (wire) => wire.destroy())
    await probe.close()
    return port
  } catch {
    return 0
  }
}
