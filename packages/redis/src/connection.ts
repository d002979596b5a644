/**
 * Connections to a server, to whoever the sentinels say is one, or to a cluster. All of them are our own, with settings
 * that suit mail: a command is answered or fails in bounded time, nothing waits in a queue for a server that is away, and
 * nothing is sent again behind our back.
 */
import { MailwrightError } from '@mailwright/core'
import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'

export interface RedisConnectionOptions {
  /** `redis://host:6379/0`, or `rediss://` for TLS. */
  readonly url?: string
  /** Options of ioredis: `host`, `port`, `tls`, `username`, `password`, `sentinels` and `name`. */
  readonly connection?: RedisOptions
  /** Some nodes of a Redis Cluster. */
  readonly cluster?: readonly ClusterNode[]
  readonly clusterOptions?: ClusterOptions
  /** A client whose settings are copied. It is not used itself: it stays the host's. */
  readonly client?: Redis | Cluster
  /** Longest wait for an answer, in ms. Default 5,000. */
  readonly patienceMs?: number
}

export type RedisClient = Redis | Cluster

const PATIENCE_MS = 5_000

/**
 * Makes a connection that is not opened yet.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when it is not said to whom.
 */
export function makeClient(options: RedisConnectionOptions): RedisClient {
  const patience = options.patienceMs ?? PATIENCE_MS
  if (!(patience >= 1 && patience <= 60_000))
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', `patienceMs must be from 1 to 60,000, not ${patience}`)
  return dial(options, {
    ...COMMON,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: patience,
    connectTimeout: patience,
  })
}

/** Makes a connection for listening: it may be silent, and subscribes again by itself. */
export function makeSubscriber(options: RedisConnectionOptions): RedisClient {
  return dial(options, { ...COMMON, enableOfflineQueue: true, maxRetriesPerRequest: null, autoResubscribe: true })
}

/** Resolves when the connection is there; rejects when the first try fails. A cluster's own promise would wait for ever. */
export function connected(client: RedisClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('ready', resolve)
    client.once('close', () => reject(new Error('Redis was not to be reached')))
    client.connect().catch(reject)
  })
}

/** Answers as they have always been, whatever the protocol. */
const REPLIES = { replyMapping: 'legacy' } as const

const COMMON: RedisOptions = {
  lazyConnect: true,
  keyPrefix: '',
  enableAutoPipelining: false,
  retryStrategy: (times) => Math.min(times * 50, 2_000),
  // A server that became a replica: its sentinel or cluster knows who is in charge now.
  reconnectOnError: (error) => error.message.startsWith('READONLY'),
}

function dial(options: RedisConnectionOptions, ours: RedisOptions): RedisClient {
  const { url, connection, cluster, clusterOptions, client } = options
  if (client instanceof Cluster) return client.duplicate([], clusterSettings(client.options, ours))
  if (client !== undefined) return client.duplicate(ours)
  if (cluster !== undefined) return new Cluster([...cluster], clusterSettings(clusterOptions ?? {}, ours))
  const settings = { ...connection, ...ours, ...REPLIES }
  if (url !== undefined) return new Redis(url, settings)
  if (connection !== undefined) return new Redis(settings)
  throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'Redis needs a url, a connection, a cluster or a client')
}

type NodeOptions = NonNullable<ClusterOptions['redisOptions']>

function clusterSettings(
  given: ClusterOptions,
  ours: RedisOptions,
): ClusterOptions & { redisOptions: NodeOptions & typeof REPLIES } {
  const { lazyConnect = true, enableOfflineQueue, retryStrategy, reconnectOnError, ...ofNodes } = ours
  return {
    ...given,
    lazyConnect,
    keyPrefix: '',
    enableAutoPipelining: false,
    enableOfflineQueue,
    clusterRetryStrategy: (times) => Math.min(times * 50, 2_000),
    redisOptions: { ...given.redisOptions, ...ofNodes, ...REPLIES },
  }
}
