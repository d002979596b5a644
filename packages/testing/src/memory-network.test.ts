import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { hasCode, type Wire } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { testAuthority } from './certificate-authority.ts'
import { manualClock } from './manual-clock.ts'
import { type MemoryNetworkOptions, memoryNetwork } from './memory-network.ts'
import type { MemoryWire } from './memory-wire.ts'
import { settle } from './settle.ts'

const call = { signal: new AbortController().signal }
const MX = { host: '192.0.2.10', port: 25 }

async function pair(options: MemoryNetworkOptions = {}) {
  const network = memoryNetwork(options)
  const accepted: MemoryWire[] = []
  const listening = await network.listen(MX, (wire) => accepted.push(wire as MemoryWire))
  const connecting = network.connect(MX, call)
  const client = (await connecting) as MemoryWire
  await listening.close()
  return { network, client, server: accepted[0]! }
}

/** Records what a wire does, in a form that can be compared. */
function watched(wire: Wire): string[] {
  const log: string[] = []
  wire.on('data', (bytes: Buffer) => log.push(bytes.toString()))
  wire.on('end', () => log.push('<end>'))
  wire.on('error', (error: NodeJS.ErrnoException) => log.push(`<${error.code}>`))
  wire.on('close', () => log.push('<close>'))
  return log
}

describe('the in-memory network', () => {
  it('joins a client to whoever listens, and both know the addresses', async () => {
    const { client, server, network } = await pair()
    expect([client.remoteAddress, client.remotePort]).toEqual(['192.0.2.10', 25])
    expect([server.localAddress, server.localPort]).toEqual(['192.0.2.10', 25])
    expect(client.localAddress).toBe('192.0.2.1')
    expect([server.remoteAddress, server.remotePort]).toEqual([client.localAddress, client.localPort])
    expect(network.attempts).toEqual([{ from: { host: '192.0.2.1', port: client.localPort }, to: MX }])
  })

  it('connects from the address asked for, to any address of a wildcard, by v6 and by path', async () => {
    const network = memoryNetwork()
    const seen: unknown[] = []
    const accept = (wire: Wire): void => void seen.push(`${wire.remoteAddress} -> ${wire.localAddress}`)
    await network.listen({ host: '0.0.0.0', port: 25 }, accept)
    await network.listen({ host: '2001:db8::25', port: 25 }, accept)
    await network.listen({ host: '/run/lmtp', port: 0 }, accept)
    await network.connect({ ...MX, localAddress: '192.0.2.99' }, call)
    await network.connect({ host: '2001:db8::25', port: 25 }, call)
    await network.connect({ host: '/run/lmtp', port: 0 }, call)
    expect(seen).toEqual(['192.0.2.99 -> 192.0.2.10', '192.0.2.1 -> 2001:db8::25', '192.0.2.1 -> /run/lmtp'])
  })

  it('gives a free port for port 0 and refuses a port that is taken', async () => {
    const network = memoryNetwork()
    const one = await network.listen({ host: '127.0.0.1', port: 0 }, () => {})
    const two = await network.listen({ host: '127.0.0.1', port: 0 }, () => {})
    expect(one.address.port).not.toBe(two.address.port)
    await expect(network.listen(one.address, () => {})).rejects.toThrow('address in use')
    await one.close()
    const again = await network.listen(one.address, () => {})
    await one.close()
    expect(network.listening).toBe(2)
    await again.close()
  })

  it('refuses a connection where nobody listens', async () => {
    const error = await memoryNetwork()
      .connect(MX, call)
      .catch((reason: unknown) => reason)
    expect(hasCode(error, 'ERR_MAILWRIGHT_CONNECTION')).toBe(true)
    expect(error).toMatchObject({ reply: { enhanced: '4.4.1' } })
  })

  it('carries bytes both ways, later and in order', async () => {
    const { client, server } = await pair()
    const heard = watched(server)
    client.write('EHLO ')
    client.write('example.org')
    client.write('\r\n')
    expect(heard).toEqual([])
    await settle()
    expect(heard.join('')).toBe('EHLO example.org\r\n')
    const answered = watched(client)
    server.write('250 hello\r\n')
    await settle()
    expect(answered).toEqual(['250 hello\r\n'])
    expect([client.bytesWritten, client.bytesRead]).toEqual([18, 11])
  })

  it('sends corked writes, and writes behind one under way, as one', async () => {
    const { client, server } = await pair()
    watched(server)
    client.cork()
    client.write('MAIL FROM:<>\r\n')
    client.write('RCPT TO:<ann@example.org>\r\n')
    client.uncork()
    await settle()
    expect(client.writes).toBe(1)
    for (let line = 0; line < 10; line++) client.write(`line ${line}\r\n`)
    await settle()
    expect(client.writes).toBe(3)
  })

  it('hands the reader a copy: a writer may use its buffer again', async () => {
    const { client, server } = await pair()
    const heard = watched(server)
    const buffer = Buffer.from('first')
    client.write(buffer)
    buffer.write('later')
    await settle()
    client.write(buffer)
    buffer.fill(0)
    await settle()
    expect(heard).toEqual(['first', 'later'])
  })

  it('stops the writer while the reader does not read', async () => {
    const { client, server } = await pair()
    const big = Buffer.alloc(1_000_000, 'x')
    let written = 0
    for (let count = 0; count < 20; count++) client.write(big, () => written++)
    expect(client.write('y')).toBe(false)
    await settle()
    expect(written).toBeLessThan(20)
    const heard = text(server)
    client.end()
    expect((await heard).length).toBe(20_000_001)
    expect(written).toBe(20)
  })

  it('closes both ends when one side ends, after everything has arrived', async () => {
    const { client, server, network } = await pair()
    const [said, heard] = [watched(client), watched(server)]
    server.end('221 bye\r\n')
    await settle()
    expect(said).toEqual(['221 bye\r\n', '<end>', '<close>'])
    expect(heard).toEqual(['<end>', '<close>'])
    network.assertQuiet()
  })

  it('can be closed in one direction only', async () => {
    const { client, server } = await pair()
    server.allowHalfOpen = true
    const [said, heard] = [watched(client), watched(server)]
    client.end('QUIT\r\n')
    await settle()
    expect(heard).toEqual(['QUIT\r\n', '<end>'])
    server.end('221 bye\r\n')
    await settle()
    expect(said).toEqual(['221 bye\r\n', '<end>', '<close>'])
  })

  it('a destroyed side ends the other, after what was under way', async () => {
    const { client, server } = await pair()
    const said = watched(client)
    server.write('421 busy\r\n')
    server.destroy()
    await settle()
    expect(said).toEqual(['421 busy\r\n', '<end>', '<close>'])
  })

  it('a write to a side that is gone fails with EPIPE', async () => {
    const { client, server } = await pair()
    client.allowHalfOpen = true
    const said = watched(client)
    server.destroy()
    await settle()
    client.write('NOOP\r\n')
    await settle()
    expect(said).toEqual(['<end>', '<EPIPE>', '<close>'])
  })

  it('a writer that waits for a reader that is destroyed fails with EPIPE', async () => {
    const { client, server } = await pair()
    const said = watched(client)
    client.write(Buffer.alloc(100_000))
    await settle()
    server.destroy()
    await settle()
    expect(said[0]).toBe('<EPIPE>')
  })

  it('a reset side breaks the other with ECONNRESET', async () => {
    const { client, server } = await pair()
    const said = watched(client)
    server.resetAndDestroy()
    await settle()
    expect(said).toEqual(['<ECONNRESET>', '<close>'])
  })

  it('reports an idle connection on the clock, and not a busy one', async () => {
    const clock = manualClock()
    const { client, server } = await pair({ clock })
    const idle: string[] = []
    watched(server)
    server.setTimeout(300_000, () => idle.push('server'))
    for (let minute = 0; minute < 10; minute++) {
      client.write('NOOP\r\n')
      await clock.advance('4m')
    }
    expect(idle).toEqual([])
    await clock.advance('1m')
    expect(idle).toEqual(['server'])
    server.setTimeout(1_000)
    client.destroy()
    await settle()
    expect(clock.pending).toBe(0)
  })

  it('names what was left open', async () => {
    const { network, client } = await pair()
    await network.listen(MX, () => {})
    expect(network.open).toBe(2)
    expect(() => network.assertQuiet()).toThrow(
      /client's end of 192.0.2.1:49152 -> 192.0.2.10:25; server's end .*; listener on 192.0.2.10:25/,
    )
    client.destroy()
  })

  it('breaks the connections of a host on request', async () => {
    const { network, client, server } = await pair()
    const [said, heard] = [watched(client), watched(server)]
    network.cut('203.0.113.1')
    await settle()
    expect(said).toEqual([])
    network.cut('192.0.2.10')
    await settle()
    expect([said, heard]).toEqual([
      ['<ECONNRESET>', '<close>'],
      ['<ECONNRESET>', '<close>'],
    ])
  })
})

describe('faults of the in-memory network', () => {
  it('refuses a connection on request', async () => {
    await expect(pair({ faults: () => ({ refuse: true }) })).rejects.toThrow('connection refused')
  })

  it('never answers a connection into a black hole, until the caller gives up', async () => {
    const network = memoryNetwork({ faults: ({ to }) => (to.host === MX.host ? { blackhole: true } : undefined) })
    const patience = new AbortController()
    const attempt = network.connect(MX, { signal: patience.signal })
    await settle()
    patience.abort(new Error('30 s are over'))
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_MAILWRIGHT_CONNECTION',
      cause: new Error('30 s are over'),
    })
    await expect(network.connect(MX, { signal: patience.signal })).rejects.toThrow('given up')
  })

  it('cuts the connection after so many bytes', async () => {
    const { client, server } = await pair({ faults: () => ({ toServer: { cutAfterBytes: 8 } }) })
    const [said, heard] = [watched(client), watched(server)]
    client.write('DATA')
    await settle()
    client.write('\r\nSubject: lost\r\n')
    await settle()
    expect(heard).toEqual(['DATA', '\r\nSu', '<ECONNRESET>', '<close>'])
    expect(said).toEqual(['<ECONNRESET>', '<close>'])
  })

  it('loses what a server says after so many bytes, silently, its end included', async () => {
    const { client, server, network } = await pair({ faults: () => ({ toClient: { dropAfterBytes: 4 } }) })
    const [said, heard] = [watched(client), watched(server)]
    server.write('220 mx\r\n')
    await settle()
    server.end('250 never heard\r\n')
    await settle()
    client.write('EHLO x\r\n')
    await settle()
    expect(said).toEqual(['220 '])
    expect(heard).toEqual(['EHLO x\r\n'])
    expect(network.open).toBe(2)
    network.cut()
  })

  it('takes its time over a slow line', async () => {
    const clock = manualClock(0)
    const network = memoryNetwork({ clock, faults: () => ({ latencyMs: 50 }) })
    await network.listen(MX, (wire) => void wire.end('220 mx\r\n'))
    const client = await clock.until(network.connect(MX, call))
    expect(clock.now()).toBe(100)
    expect(await clock.until(text(client))).toBe('220 mx\r\n')
    expect(clock.now()).toBe(200)
  })
})

describe('TLS in memory', () => {
  const authority = testAuthority()
  const certificate = authority.issue({ names: ['mx.example.org', '*.example.net'] })

  async function secured(options: Parameters<ReturnType<typeof memoryNetwork>['secure']>[1], served = certificate) {
    const { network, client, server } = await pair()
    const secureServer = new tls.TLSSocket(server, { isServer: true, key: served.key, cert: served.cert })
    secureServer.on('error', () => {})
    secureServer.on('data', (bytes: Buffer) => secureServer.write(`heard ${bytes}`))
    return { network, server, secureServer, client: await network.secure(client, options, call) }
  }

  it('is real: what is written arrives, and the facts are there', async () => {
    const { client } = await secured({ servername: 'mx.example.org', verify: true, ca: [authority.ca] })
    expect(client.authorized).toBe(true)
    expect(client.facts).toMatchObject({ protocol: 'TLSv1.3', servername: 'mx.example.org' })
    expect(client.wire.remoteAddress).toBe('192.0.2.10')
    client.wire.write('EHLO')
    const [answer] = await once(client.wire, 'data')
    expect(String(answer)).toBe('heard EHLO')
  })

  it('closes down to the last wire', async () => {
    const { client, network } = await secured({ servername: 'a.example.net', verify: true, ca: [authority.ca] })
    client.wire.resume()
    client.wire.end()
    await settle()
    network.assertQuiet()
  })

  it('refuses another name, a stranger, and an expired certificate, when it must verify', async () => {
    const trusted = { verify: true, ca: [authority.ca] } as const
    const expired = authority.issue({ names: ['mx.example.org'], notAfter: new Date('2021-01-01') })
    const refused = { code: 'ERR_MAILWRIGHT_CONNECTION', reply: { enhanced: '4.7.5' } }
    await expect(secured({ ...trusted, servername: 'other.example.org' })).rejects.toMatchObject(refused)
    await expect(secured({ servername: 'mx.example.org', verify: true })).rejects.toMatchObject(refused)
    await expect(secured({ ...trusted, servername: 'mx.example.org' }, expired)).rejects.toMatchObject(refused)
  })

  it('takes any certificate when it need not verify, and says so', async () => {
    const { client } = await secured({ servername: 'other.example.org', verify: false })
    expect(client.authorized).toBe(false)
  })

  it('needs no name', async () => {
    const { client } = await secured({ verify: true, ca: [authority.ca] })
    expect(client.authorized).toBe(true)
  })

  it('rejects, and destroys the wire, when the server talks rubbish, hangs up, or time is over', async () => {
    const refused = { code: 'ERR_MAILWRIGHT_CONNECTION' }
    for (const server of ['rubbish', 'end', 'reset', 'abort', 'aborted'] as const) {
      const line = await pair()
      const patience = new AbortController()
      if (server === 'aborted') patience.abort()
      line.server.on('error', () => {})
      line.server.resume()
      const handshake = line.network.secure(line.client, { verify: false }, { signal: patience.signal })
      handshake.catch(() => {})
      await settle()
      if (server === 'rubbish') line.server.write('554 5.7.0 this is no TLS\r\n')
      if (server === 'end') line.server.end()
      if (server === 'reset') line.server.resetAndDestroy()
      if (server === 'abort') patience.abort()
      await expect(handshake, server).rejects.toMatchObject(refused)
      await settle()
      line.network.assertQuiet()
    }
  })
})
