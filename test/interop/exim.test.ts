/**
 * Exim, whose client sends in chunks (BDAT, RFC 3030) wherever they are offered. As packages Exim and Postfix push each
 * other out: `.ci/run` only unpacks it, and elsewhere these tests are for machines that have it.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lacking, missing, notRoot, runProgram } from './programs.ts'
import { certificate, envelopeText, startReceiver } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** The user that Debian has built it for. */
const USER = 'Debian-exim'

/** Has Exim deliver a message to us, and gives what it logged. */
async function exim(port: number, message: string, to: readonly string[] = ['bob@example.org']): Promise<string> {
  const folder = temporaryFolder()
  // It gives up root's rights for writing.
  chmodSync(folder, 0o777)
  const program = (await runProgram('sh', ['-c', 'command -v exim4'])).trim()
  const config = join(folder, 'exim.conf')
  writeFileSync(config, configuration(folder, program, port))
  const sender = ['-f', 'ann@example.net', '-oMr', 'local-esmtp']
  await runProgram(program, ['-C', config, '-odf', '-i', ...sender, ...to], message)
  return readFileSync(join(folder, 'mainlog'), 'utf8')
}

function configuration(folder: string, program: string, port: number): string {
  return `exim_path = ${program}
spool_directory = ${folder}/spool
log_file_path = ${folder}/%slog
primary_hostname = exim.example.org
never_users =
keep_environment =
local_from_check = false
message_size_limit = 50M
begin routers
ours:
  driver = manualroute
  transport = ours
  route_list = * 127.0.0.1::${port} byname
  self = send
begin transports
ours:
  driver = smtp
  hosts_try_chunking = *
  hosts_try_dane =
  tls_verify_certificates =
begin retry
* * F,1h,1h
`
}

const LETTER = 'Subject: hi\n\n.\n..\nGrüße\n'

describe.skipIf(missing('exim4') || lacking(USER, 'id', USER) || notRoot())('Exim', () => {
  it('sends in a chunk', async () => {
    const receiver = await startReceiver()
    // K: with CHUNKING.
    expect(await exim(receiver.port, LETTER)).toMatch(/=> bob@example\.org .* K C="250 2\.0\.0 /)
    expect(receiver.mails[0]!.bytes.toString()).toMatch(/^Received: from [\s\S]*\r\n\r\n\.\r\n\.\.\r\nGrüße\r\n$/)
  })

  it('sends a large message in many chunks, and it comes whole', async () => {
    const receiver = await startReceiver({ listener: { tls: certificate } })
    const lines = Array.from({ length: 200_000 }, (_, index) => `.${index} of all work and no play\n`).join('')
    expect(await exim(receiver.port, `Subject: hi\n\n${lines}`)).toMatch(/=> bob@example\.org .* X=TLS.* K C="250 /)
    const body = receiver.mails[0]!.bytes.toString().split('\r\n\r\n').slice(1).join('\r\n\r\n')
    expect(body === lines.replaceAll('\n', '\r\n')).toBe(true)
  })

  it('is told who there is none of, and the others get the chunk', async () => {
    const receiver = await startReceiver({
      listener: { exempt: () => false, protocolTests: { pipelining: 'drop', earlyTalker: 'drop' } },
    })
    const log = await exim(receiver.port, LETTER, ['bob@example.org', 'nobody@example.org', 'carol@example.org'])
    expect(log).toMatch(/\*\* nobody@example\.org .*550 5\.1\.1 No such mailbox/)
    expect(envelopeText(receiver.mails[0]!.envelope)).toBe('ann@example.net -> bob@example.org carol@example.org')
  })

  it('is told so where there is nobody at all, and its chunk is no message', async () => {
    const receiver = await startReceiver()
    expect(await exim(receiver.port, LETTER, ['nobody@example.org'])).toMatch(
      /\*\* nobody@example\.org .*550 5\.1\.1 No such mailbox/,
    )
    // Its notice for the sender goes the same way.
    expect(receiver.mails.map(({ envelope }) => envelopeText(envelope))).toEqual(['<> -> ann@example.net'])
  })
})
