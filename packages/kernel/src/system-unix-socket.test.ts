import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hasCode } from '@mailwright/core'
import { afterAll, expect, test } from 'vitest'
import { inheritedSockets } from './system-inherited-sockets.ts'
import { systemNetwork } from './system-network.ts'

const call = { signal: new AbortController().signal }
const folder = mkdtempSync(join(tmpdir(), 'mailwright-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a unix socket has its rights from the start, is connected to by its address, and is gone after the end', async () => {
  const path = join(folder, 'rights.sock')
  const listening = await systemNetwork().listen({ path, mode: 0o620 }, (wire) => wire.end('220 hello\r\n'))
  expect(statSync(path).mode & 0o777).toBe(0o620)
  expect(listening.address).toEqual({ host: path, port: 0 })
  const wire = await systemNetwork().connect(listening.address, call)
  expect(String(await once(wire, 'data'))).toBe('220 hello\r\n')
  wire.destroy()
  await listening.close()
  expect(() => statSync(path)).toThrow('ENOENT')
})

test('a socket that a killed process left behind is replaced, one in use and a file are not', async () => {
  const path = join(folder, 'stale.sock')
  const killed = spawn(process.execPath, [
    '-e',
    `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ])
  await once(killed, 'exit')
  expect(statSync(path).isSocket()).toBe(true)
  const listening = await systemNetwork().listen({ path }, (wire) => wire.destroy())
  await expect(systemNetwork().listen({ path }, () => {})).rejects.toThrow('EADDRINUSE')
  await listening.close()
  const file = join(folder, 'file')
  writeFileSync(file, 'precious')
  await expect(systemNetwork().listen({ path: file }, () => {})).rejects.toThrow('EADDRINUSE')
  expect(statSync(file).size).toBe(8)
})

test('a socket that was opened for us is served', async () => {
  const opened = net.createServer().listen(0, '127.0.0.1')
  await once(opened, 'listening')
  const { fd } = (opened as unknown as { readonly _handle: { readonly fd: number } })._handle
  const program = `
    import { inheritedSockets, systemNetwork } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
    const [socket] = inheritedSockets({ ...process.env, LISTEN_PID: String(process.pid) })
    await systemNetwork().listen({ fd: socket.fd }, (wire) => wire.end('220 ' + socket.name, () => process.exit()))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'ignore', 'inherit', fd],
    env: { ...process.env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'smtp' },
    cwd: import.meta.dirname,
  })
  await once(child, 'spawn')
  const { address, port } = opened.address() as net.AddressInfo
  opened.close()
  const wire = await systemNetwork().connect({ host: address, port }, call)
  expect(String(await once(wire, 'data'))).toBe('220 smtp')
  await once(child, 'exit')
})

test('sockets are inherited only by whom they are meant for', () => {
  const env = { LISTEN_PID: '42', LISTEN_FDS: '2', LISTEN_FDNAMES: 'smtp:' }
  expect(inheritedSockets(env, 42)).toEqual([
    { fd: 3, name: 'smtp' },
    { fd: 4, name: 'unknown' },
  ])
  expect(inheritedSockets({ LISTEN_PID: '42', LISTEN_FDS: '1' }, 42)).toEqual([{ fd: 3, name: 'unknown' }])
  expect(inheritedSockets(env, 43)).toEqual([])
  expect(inheritedSockets({ LISTEN_FDS: '2' }, 42)).toEqual([])
  for (const wrong of [
    { ...env, LISTEN_FDS: 'two' },
    { ...env, LISTEN_FDS: '9999' },
    { ...env, LISTEN_FDNAMES: 'smtp' },
  ]) {
    expect(() => inheritedSockets(wrong, 42)).toThrow(
      expect.toSatisfy((error: unknown) => hasCode(error, 'ERR_MAILWRIGHT_CONFIG')),
    )
  }
})
