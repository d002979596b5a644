import { join } from 'node:path'
import { lmdbStore, type Mailbox, mxServer, type RelayServer, relayServer } from 'mailwright'

/** The domain and the mailbox of the demo. */
export const ANN: Mailbox = { local: 'ann', domain: 'demo.example' }

/** A mail exchanger with one Maildir, and nothing it would relay. */
export function demoExchanger(home: string, port: number): RelayServer {
  return mxServer({
    hostname: 'mx.demo.example',
    listen: { host: '127.0.0.1', port },
    domains: [ANN.domain],
    mailboxes: { 'ann@demo.example': join(home, 'mail/ann'), 'postmaster@demo.example': join(home, 'mail/ann') },
    aliases: { 'hello@demo.example': ['ann@demo.example'] },
    relayNetworks: [],
    store: lmdbStore({ directory: join(home, 'spool-mx') }),
  })
}

/** A relay whose next hop is the exchanger: nothing of the demo leaves this machine. */
export function demoRelay(home: string, port: number, exchangerPort: number): RelayServer {
  return relayServer({
    hostname: 'relay.demo.example',
    listen: { host: '127.0.0.1', port },
    nextHop: `[127.0.0.1]:${exchangerPort}`,
    store: lmdbStore({ directory: join(home, 'spool-relay') }),
  })
}
