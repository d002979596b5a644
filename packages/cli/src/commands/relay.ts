import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { hasCode } from '@mailwright/core'
import type { Mta } from '@mailwright/kernel'
import { fileSuppressions } from '@mailwright/queue'
import {
  concurrencyShare,
  type RelayServer,
  type RelayServerOptions,
  relayServer,
  spoolStore,
  type Worker,
} from 'mailwright'
import { type Command, hostAndPort, UsageError } from '../command.ts'
import { logLevel } from '../log-level.ts'
import { suppressionFile } from '../queue/suppressing.ts'
import { serve, serveByWorkers, workerCount } from '../serve.ts'

/** A durable relay without a configuration file. */
export const relay: Command = {
  usage:
    'relay --listen HOST:PORT --next-hop HOST:PORT|mx --spool DIR [--workers N] [--allow CIDR]... [--hostname NAME] [--log-level LEVEL]',
  summary: 'A durable relay: queue in DIR, everything goes to the next hop. Takes mail from loopback, or from CIDR.',
  async run(args): Promise<void> {
    const { values } = parseArgs({
      args: [...args],
      options: {
        listen: { type: 'string' },
        'next-hop': { type: 'string' },
        spool: { type: 'string' },
        workers: { type: 'string', default: '1' },
        allow: { type: 'string', multiple: true },
        hostname: { type: 'string', default: hostname() },
        'log-level': { type: 'string', default: 'info' },
      },
    })
    const { listen, 'next-hop': nextHop, spool } = values
    if (listen === undefined || nextHop === undefined || spool === undefined)
      throw new UsageError(`usage: mailwright ${relay.usage}`)
    const level = logLevel(values['log-level'])
    const workers = workerCount(values.workers)
    const options = {
      hostname: values.hostname,
      listen: hostAndPort(listen, '--listen'),
      nextHop: nextHop === 'mx' ? 'mx' : bracketed(nextHop),
      ...(values.allow === undefined ? {} : { allow: values.allow }),
    }
    const server = (worker?: Worker): Mta =>
      assemble({
        ...options,
        store: spoolStore({ directory: spool, worker }),
        queue: { ...concurrencyShare(worker), suppressions: fileSuppressions({ file: suppressionFile(spool) }) },
      }).mta
    // Made here, too, if there are workers: what it cannot work with is wrong usage, and nothing has started yet.
    const mta = server()
    if (workers === 1) await serve(mta, level)
    else await serveByWorkers(workers, level, server)
  },
}

/** What the blocks cannot work with came from the command line. */
function assemble(options: RelayServerOptions): RelayServer {
  try {
    return relayServer(options)
  } catch (error) {
    if (hasCode(error, 'ERR_MAILWRIGHT_CONFIG')) throw new UsageError(error.message)
    throw error
  }
}

/** `HOST:PORT` names a host, not a mail domain: in brackets no MX is looked up. */
function bracketed(text: string): string {
  const { host, port } = hostAndPort(text, '--next-hop')
  if (port === 0 || host === '0.0.0.0') throw new UsageError(`--next-hop wants a host and its port, not ${text}`)
  return `[${host}]:${port}`
}
