/**
 * A mail exchanger with TLS, to be run by `mailwright run`: a spool and a Maildir in `TEST_HOME`, and the key and the
 * certificate that lie there.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { lmdbStore, mxServer, type RelayServer } from 'mailwright'

const home = process.env.TEST_HOME ?? '.'

const server: RelayServer = mxServer({
  hostname: 'mx.example.org',
  listen: { host: '127.0.0.1', port: 0 },
  store: lmdbStore({ directory: join(home, 'spool') }),
  domains: ['example.org'],
  mailboxes: { 'ann@example.org': join(home, 'mail') },
  tls: { key: readFileSync(join(home, 'key.pem')), cert: readFileSync(join(home, 'cert.pem')) },
})
// biome-ignore lint/style/noDefaultExport: it is what `mailwright run` looks for.
export default server
