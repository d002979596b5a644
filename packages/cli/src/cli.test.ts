import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import { mailwright, server, temporaryFolder } from './test-support/command-line.ts'
import { sendMail } from './test-support/send-mail.ts'

const HERE = '127.0.0.1:0'
const RELAY = ['relay', '--listen', HERE, '--next-hop', '127.0.0.1:9'] as const

describe('the command line', () => {
  it.concurrent.each<[string, readonly string[], RegExp]>([
    ['a command that is none', ['deliver'], /there is no command "deliver"/],
    ['an option that is none', ['sink', '--listen', HERE, '--speed', '9'], /Unknown option '--speed'/],
    ['an option without its value', ['sink', '--listen'], /--listen/],
    ['a relay without a spool', RELAY, /usage: mailwright relay/],
    ['a sink without an address', ['sink'], /usage: mailwright sink/],
    ['an address without a port', ['sink', '--listen', 'localhost'], /--listen wants HOST:PORT, not "localhost"/],
    ['a port that is none', ['sink', '--listen', '127.0.0.1:65536'], /--listen wants HOST:PORT/],
    ['a log level that is none', ['sink', '--listen', HERE, '--log-level', 'loud'], /--log-level wants one of/],
    ['a next hop without a host', [...RELAY.slice(0, 4), ':25', '--spool', '/x'], /--next-hop wants a host/],
    ['a next hop on port 0', [...RELAY.slice(0, 4), '127.0.0.1:0', '--spool', '/x'], /--next-hop wants a host/],
    ['a network that is none', [...RELAY, '--spool', '/x', '--allow', '10.0.0.0/33'], /10\.0\.0\.0\/33/],
    ['a host name that is none', [...RELAY, '--spool', '/x', '--hostname', 'a b'], /hostname/],
    ['an action that is none', ['queue', 'eat', '--spool', '/x'], /there is no queue eat; there is list,/],
    ['a queue without a spool', ['queue', 'list'], /queue list wants --spool DIR/],
    ['a change without a selection', ['queue', 'remove', '--spool', '/x'], /queue remove wants message ids/],
    ['a program without a file', ['run'], /usage: mailwright run/],
  ])('refuses %s in one line, with exit code 2', async (_, args, expected) => {
    const { code, stdout, stderr } = await mailwright(...args)
    expect(stderr).toMatch(/^mailwright: [^\n]+\n$/)
    expect(stderr).toMatch(expected)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  it('explains itself when it is called without a command', async () => {
    const { code, stderr } = await mailwright()
    expect(code).toBe(2)
    for (const name of ['relay', 'sink', 'run', 'queue', 'version']) expect(stderr).toContain(`  mailwright ${name}`)
  })

  it('explains itself and its commands when asked to', async () => {
    const { code, stdout } = await mailwright('--help')
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('  mailwright relay --listen') })
    const relay = await mailwright('relay', '--help')
    expect(relay).toEqual({ code: 0, stderr: '', stdout: expect.stringMatching(/^usage: mailwright relay/) })
  })

  it.each(['version', '--version'])('tells its version by %s', async (argument) => {
    expect(await mailwright(argument)).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' })
  })

  it('says in one line, without a stack, that a port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void taken.close())
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as AddressInfo
    const quiet = ['--log-level', 'error']
    const at = ['--listen', `127.0.0.1:${port}`, ...quiet]
    const spool = ['--next-hop', '127.0.0.1:9', '--spool', join(temporaryFolder(), 'spool')]
    for (const args of [
      ['sink', ...at],
      ['relay', ...at, ...spool],
      ['sink', '--listen', HERE, '--http', at[1]!],
    ]) {
      const { code, stderr } = await mailwright(...args, ...quiet)
      expect(code).toBe(1)
      expect(stderr.split('\n').filter((line) => !line.startsWith('mailwright: listening'))).toEqual([
        expect.stringMatching(/^mailwright: .*EADDRINUSE.*$/),
        '',
      ])
    }
  })

  it('says in one line that a spool cannot be made', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), '')
    const spool = ['--spool', join(folder, 'file/spool'), '--log-level', 'error']
    const { code, stderr } = await mailwright(...RELAY, ...spool)
    expect(stderr).toMatch(/^mailwright: [^\n]*ENOTDIR[^\n]*\n$/)
    expect(code).toBe(1)
  })

  it('says in one line that another relay has the spool', async () => {
    const spool = ['--spool', join(temporaryFolder(), 'spool'), '--log-level', 'error']
    await server([...RELAY, ...spool])
    const { code, stderr } = await mailwright(...RELAY, ...spool)
    expect(stderr).toMatch(/^mailwright: [^\n]*has an owner[^\n]*\n$/)
    expect(code).toBe(1)
  })
})

describe('a server', () => {
  it.each<[string, (folder: string) => readonly string[]]>([
    ['sink', () => ['sink', '--listen', HERE, '--http', HERE]],
    ['relay', (folder) => [...RELAY, '--spool', join(folder, 'spool')]],
  ])('that is a %s ends well on SIGTERM, also with a client connected', async (_, args) => {
    const running = await server(args(temporaryFolder()))
    const client = await fetchGreeting(running.port)
    const { code, stderr } = await running.stop()
    expect(code).toBe(0)
    expect(stderr).not.toMatch(/"level":50|Error/)
    expect(await client.closed).toBe(true)
  })
})

describe('mailwright run', () => {
  const ASSEMBLY = (rest: string): string => `
    import { createMta, discardTransport, acceptAll, mailIntake, smtpListener } from ${JSON.stringify(import.meta.resolve('mailwright'))}
    const mta = createMta()
    const intake = mta.use(mailIntake({ hostname: 'h.example.org', transport: discardTransport(), policies: [acceptAll()] }))
    mta.use(smtpListener({ intake, port: 0 }))
    ${rest}`

  it.each([
    ['a server', 'export default mta'],
    ['a preset', 'export default { mta }'],
    ['a function that makes a server', 'export default async (): Promise<typeof mta> => mta'],
  ])('runs a program that exports %s', async (_, rest) => {
    const file = join(temporaryFolder(), 'host.ts')
    writeFileSync(file, ASSEMBLY(rest))
    const running = await server(['run', file])
    await sendMail(running.port, 'Subject: x\r\n\r\nx\r\n')
    expect((await running.stop()).code).toBe(0)
  })

  it.each<[string, string, number, RegExp]>([
    ['exports no server', 'export const a = 1', 2, /does not export a server/],
    ['exports something else', 'export default "mta"', 2, /does not export a server/],
    ['throws', 'throw new Error("no\\nway")', 1, /no way/],
    ['throws nothing in particular', 'throw undefined', 1, /undefined/],
    ['does not parse', 'const = 1', 1, /mailwright: /],
  ])('says in one line that a program %s', async (_, text, code, expected) => {
    const file = join(temporaryFolder(), 'host.ts')
    writeFileSync(file, text)
    const result = await mailwright('run', file)
    expect(result.stderr).toMatch(/^mailwright: [^\n]+\n$/)
    expect(result.stderr).toMatch(expected)
    expect(result.code).toBe(code)
  })

  it('says in one line that there is no such program', async () => {
    const { code, stderr } = await mailwright('run', join(temporaryFolder(), 'missing.ts'))
    expect(stderr).toMatch(/^mailwright: [^\n]*missing\.ts[^\n]*\n$/)
    expect(code).toBe(1)
  })
})

describe('mailwright sink', () => {
  it('keeps a message to several recipients once, in a Maildir', async () => {
    const folder = join(temporaryFolder(), 'mail')
    const { port } = await server(['sink', '--listen', HERE, '--maildir', folder])
    await sendMail(port, 'Subject: x\r\n\r\nx\r\n', ['bob@example.net', 'eve@example.net'])
    expect(readdirSync(join(folder, 'new'))).toHaveLength(1)
  })

  it('answers each recipient with --lmtp', async () => {
    const { urls, port } = await server(['sink', '--listen', HERE, '--lmtp'])
    expect(urls[0]).toMatch(/^lmtp:/)
    await sendMail(port, 'Subject: x\r\n\r\nx\r\n', ['bob@example.net', 'eve@example.net'], 'LHLO')
  })

  it('shows what it took, to people and to programs, and nothing of it is markup', async () => {
    const { urls, port } = await server(['sink', '--listen', HERE, '--http', HERE], 2)
    const web = urls[1]!
    expect(await textOf(`${web}/`)).toContain('Nothing yet')
    const text = 'Subject: <script>alert(1)</script> & "more"\r\n\r\n<img src=x onerror=alert(2)>\r\n'
    await sendMail(port, text, ['"<b>bold</b>"@example.net'])
    const seen = (await (await fetch(`${web}/messages.json`)).json()) as { id: string; [field: string]: unknown }[]
    expect(seen).toEqual([
      {
        id: expect.stringMatching(/^\w+$/),
        at: expect.any(Number),
        from: 'ann@example.org',
        to: ['"<b>bold</b>"@example.net'],
        subject: '<script>alert(1)</script> & "more"',
        size: expect.any(Number),
        text: expect.stringContaining('\r\n<img src=x onerror=alert(2)>\r\n'),
      },
    ])
    const list = await textOf(`${web}/`)
    const message = await textOf(`${web}/message/${seen[0]!.id}`)
    for (const page of [list, message]) {
      expect(page).toContain('&#60;script&#62;alert(1)&#60;/script&#62; &#38; &#34;more&#34;')
      expect(page).not.toMatch(/<script|<img|<b>/)
    }
    expect(message).toContain('&#60;img src=x onerror=alert(2)&#62;')
  })

  it('serves pages that cannot run scripts, and only pages it has', async () => {
    const { urls } = await server(['sink', '--listen', HERE, '--http', HERE], 2)
    const web = urls[1]!
    const page = await fetch(`${web}/`)
    expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'/)
    expect(page.headers.get('x-content-type-options')).toBe('nosniff')
    expect((await fetch(`${web}/message/nothing`)).status).toBe(404)
    expect((await fetch(`${web}/message/%ff`)).status).toBe(404)
    expect((await fetch(`${web}/`, { method: 'POST' })).status).toBe(405)
  })

  it('tells the client 451 when the Maildir cannot be written', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'mail'))
    writeFileSync(join(folder, 'mail/tmp'), 'a file where the folder should be')
    const { port } = await server(['sink', '--listen', HERE, '--maildir', join(folder, 'mail')])
    await expect(sendMail(port, 'Subject: x\r\n\r\nx\r\n')).rejects.toThrow(/451 4\.3\.0/)
  })
})

async function textOf(url: string): Promise<string> {
  return (await fetch(url)).text()
}

/** Connects, and reads the greeting. */
async function fetchGreeting(port: number): Promise<{ readonly closed: Promise<boolean> }> {
  const { connect } = await import('node:net')
  const socket = connect(port, '127.0.0.1')
  const closed = new Promise<boolean>((resolve) => socket.once('close', () => resolve(true)))
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.once('data', resolve))
  socket.resume()
  return { closed }
}
