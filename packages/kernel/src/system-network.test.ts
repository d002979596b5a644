import { once } from 'node:events'
import { hasCode, type Wire } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { systemNetwork } from './system-network.ts'

const call = { signal: new AbortController().signal }

describe('the real network', () => {
  it('carries bytes both ways over loopback', async () => {
    const network = systemNetwork()
    const accepted: Wire[] = []
    const listening = await network.listen({ host: '127.0.0.1', port: 0 }, (wire) => {
      accepted.push(wire)
      wire.end('220 hello\r\n')
    })
    const wire = await network.connect(listening.address, call)
    const [data] = (await once(wire, 'data')) as [Buffer]
    expect(data.toString()).toBe('220 hello\r\n')
    expect(accepted[0]?.remotePort).toBe(wire.localPort)
    wire.destroy()
    await listening.close()
  })

  it('rejects with a coded error when nobody listens, and when the caller gives up', async () => {
    const network = systemNetwork()
    const listening = await network.listen({ host: '127.0.0.1', port: 0 }, (wire) => wire.destroy())
    await listening.close()
    const refused = await network.connect(listening.address, call).catch((error: unknown) => error)
    expect(hasCode(refused, 'ERR_MAILWRIGHT_CONNECTION')).toBe(true)
    const aborted = await network
      .connect(listening.address, { signal: AbortSignal.abort() })
      .catch((error: unknown) => error)
    expect(hasCode(aborted, 'ERR_MAILWRIGHT_CONNECTION')).toBe(true)
  })

  it('rejects when the port is taken', async () => {
    const network = systemNetwork()
    const listening = await network.listen({ host: '127.0.0.1', port: 0 }, () => undefined)
    await expect(network.listen(listening.address, () => undefined)).rejects.toThrow('EADDRINUSE')
    await listening.close()
  })

  it('rejects a TLS handshake with somebody who does not speak it', async () => {
    const network = systemNetwork()
    const listening = await network.listen({ host: '127.0.0.1', port: 0 }, (wire) => wire.end('what?\r\n'))
    const wire = await network.connect(listening.address, call)
    const failed = await network.secure(wire, { verify: false }, call).catch((error: unknown) => error)
    expect(hasCode(failed, 'ERR_MAILWRIGHT_CONNECTION')).toBe(true)
    await listening.close()
  })
})
