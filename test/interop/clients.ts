/** Clients that nobody here wrote, each sending mail from files as its users would. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from './programs.ts'

/** One message to send. */
export interface Mail {
  readonly from: string
  readonly to: string
  readonly bytes: Buffer
  /** Parameters of MAIL, for clients that take some. */
  readonly options?: readonly string[]
}

export interface SendOptions {
  readonly port: number
  /** Where files for the client may be written. */
  readonly folder: string
}

/** How many programs run at a time. */
const PARALLEL = 4

/** Python's smtplib: EHLO, one connection for everything. */
export async function sendBySmtplib(
  mails: readonly Mail[],
  { port, folder }: SendOptions,
  how: { readonly protocol?: 'smtp' | 'lmtp'; readonly certificate?: string } = {},
): Promise<void> {
  const list = mails.map((mail, index) => {
    const file = join(folder, `smtplib-${index}`)
    writeFileSync(file, mail.bytes)
    return { from: mail.from, to: mail.to, options: mail.options ?? [], file }
  })
  const script = join(folder, 'send.py')
  writeFileSync(script, SMTPLIB)
  writeFileSync(join(folder, 'send.json'), JSON.stringify({ port, protocol: 'smtp', ...how, list }))
  await runProgram('python3', [script, join(folder, 'send.json')])
}

const SMTPLIB = `
import json, smtplib, ssl, sys
with open(sys.argv[1]) as file:
    job = json.load(file)
kind = smtplib.LMTP if job['protocol'] == 'lmtp' else smtplib.SMTP
client = kind('127.0.0.1', job['port'], 'python.example.org') if job['protocol'] == 'lmtp' \\
    else kind('127.0.0.1', job['port'], 'python.example.org', 60)
if 'certificate' in job:
    context = ssl.create_default_context(cafile=job['certificate'])
    # The certificate is for the name, and we connect to an address.
    client._host = 'localhost'
    client.starttls(context=context)
for mail in job['list']:
    with open(mail['file'], 'rb') as file:
        content = file.read()
    if content:
        refused = client.sendmail(mail['from'], [mail['to']], content, mail['options'])
        assert refused == {}, refused
        continue
    # sendmail would make a line end of nothing.
    client.mail(mail['from'])
    client.rcpt(mail['to'])
    assert client.docmd('DATA')[0] == 354
    client.send(b'.\\r\\n')
    assert client.getreply()[0] == 250
client.quit()
`

/** Postfix's smtp-source: HELO, a connection for each message. It ends each with an empty line of its own. */
export async function sendBySmtpSource(
  mails: readonly Mail[],
  { port, folder }: SendOptions,
  protocol: 'smtp' | 'lmtp' = 'smtp',
): Promise<void> {
  await each(mails, async (mail, index) => {
    const file = join(folder, `smtp-source-${index}`)
    // It reads lines as Unix writes them, and ends each with CRLF.
    writeFileSync(file, mail.bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1')
    const flags = protocol === 'lmtp' ? ['-L'] : []
    const address = `inet:127.0.0.1:${port}`
    await runProgram('smtp-source', [...flags, '-F', file, '-f', mail.from, '-t', mail.to, address])
  })
}

/** Swaks: EHLO, pipelining, a connection for each message. It ends the last line of what it is given. */
export async function sendBySwaks(mails: readonly Mail[], { port, folder }: SendOptions): Promise<void> {
  await each(mails, async (mail, index) => {
    const file = join(folder, `swaks-${index}`)
    writeFileSync(file, mail.bytes.toString('latin1').replace(/\r\n$/, ''), 'latin1')
    const to = ['--server', `127.0.0.1:${port}`, '--from', mail.from, '--to', mail.to]
    await runProgram('swaks', [...to, '--pipeline', '--silent', '2', '--data', `@${file}`])
  })
}

/** The openssl command: STARTTLS with verification; each command goes out when the last has been answered. */
export async function sendByOpenssl(mail: Mail, port: number, certificate: string): Promise<void> {
  const target = ['-starttls', 'smtp', '-connect', `127.0.0.1:${port}`, '-verify_hostname', 'localhost']
  const trust = ['-CAfile', certificate, '-verify_return_error']
  const child = spawn('openssl', ['s_client', '-quiet', ...target, ...trust], { timeout: 30_000 })
  const body = mail.bytes.toString('latin1').replace(/^\./gm, '..')
  const steps = ['MAIL', 'RCPT', 'DATA', 'message', 'QUIT'] as const
  const lines = {
    MAIL: `MAIL FROM:<${mail.from}> BODY=8BITMIME\r\n`,
    RCPT: `RCPT TO:<${mail.to}>\r\n`,
    DATA: 'DATA\r\n',
    message: `${body}.\r\n`,
    QUIT: 'QUIT\r\n',
  }
  const answers: string[] = []
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    for (const line of text.split('\r\n')) {
      if (!/^\d{3} /.test(line)) continue
      const step = steps[answers.length]
      answers.push(line.slice(0, 3))
      if (step !== undefined) child.stdin.write(lines[step], 'latin1')
    }
  })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  child.stdin.on('error', () => undefined)
  // It sends this when TLS is up.
  child.stdin.write('EHLO openssl.example.org\r\n')
  await once(child, 'close')
  const told = answers.join(' ')
  if (told !== '250 250 250 354 250 221') throw new Error(`openssl was told ${told}:\n${complaints}`)
}

async function each(mails: readonly Mail[], send: (mail: Mail, index: number) => Promise<void>): Promise<void> {
  const waiting = mails.entries()
  const work = async (): Promise<void> => {
    for (const [index, mail] of waiting) await send(mail, index)
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
}
