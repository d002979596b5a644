/** msmtp, a mail program for the command line. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runProgram } from './programs.ts'
import { authority } from './receiver.ts'
import { temporaryFolder } from './temporary-folder.ts'

// It would add the fields that are missing.
const HEAD = 'From: ann@example.net\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.net>\r\n'
/** What it sends. */
export const LETTER: string = `${HEAD}Subject: hi\r\n\r\n.\r\n..\r\nGrüße\r\n`

/** Sends the letter. The settings are those of an msmtprc. Rejects with what it says when it is refused. */
export function msmtp(
  port: number,
  settings: Readonly<Record<string, string>>,
  to: readonly string[] = ['bob@example.org'],
  ...more: readonly string[]
): Promise<string> {
  const folder = temporaryFolder()
  const trust = join(folder, 'ca.pem')
  writeFileSync(trust, authority.ca)
  const all = { host: 'localhost', port, from: 'ann@example.net', tls_trust_file: trust, ...settings }
  const file = join(folder, 'msmtprc')
  writeFileSync(
    file,
    `account default\n${Object.entries(all)
      .map((setting) => setting.join(' '))
      .join('\n')}\n`,
  )
  chmodSync(file, 0o600)
  return runProgram('msmtp', [`--file=${file}`, ...more, '--', ...to], LETTER.replaceAll('\r\n', '\n'))
}
