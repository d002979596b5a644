import { join } from 'node:path'
import { runProgram } from './programs.ts'

/** Makes a self-signed certificate for `localhost`: `key.pem` and `cert.pem` in the folder. Its path is the result. */
export async function selfSigned(folder: string): Promise<string> {
  const certificate = join(folder, 'cert.pem')
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const files = ['-keyout', join(folder, 'key.pem'), '-out', certificate]
  await runProgram('openssl', [...`req -x509 -newkey rsa:2048 -nodes -days 2`.split(' '), ...names, ...files])
  return certificate
}
