/**
 * The queue manager as a Transport: takes responsibility for a message by storing it durably, and then delivers it
 * through other transports until every recipient is served or has failed, and the sender knows.
 */
import type {
  Block,
  Call,
  Capability,
  DeliveryJob,
  Lifecycle,
  Outcome,
  QueueStore,
  RecipientId,
  Scope,
  Transport,
} from '@mailwright/core'
import { type AcceptanceParts, acceptMessage } from './acceptance.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Operator, QueueOperations } from './operations.ts'
import { assembleQueue } from './queue-assembly.ts'
import type { MessageQueueOptions } from './queue-options.ts'
import type { SuspensionWatch } from './suspension-watch.ts'

/** The queue as its host sees it. */
export interface MessageQueue extends Transport, QueueOperations {
  /**
   * How long ready mail has been waiting though there are slots for it, ms, for a gauge. Some ms are usual; more than the
   * time the store takes to answer means that something is stuck.
   */
  readonly liveness: number
}

/**
 * Makes a queue.
 *
 * @example
 * const queue = mta.use(messageQueue({
 *   hostname: 'mx.example.org', store: lmdbStore({ directory: './spool' }), router,
 *   transports: { local: maildir({ mailboxes }), smtp: smtpTransport({ hostname: 'mx.example.org' }) },
 * }))
 */
export function messageQueue(options: MessageQueueOptions): Block<MessageQueue> {
  return { name: 'queue', create: (scope) => new QueueManager(options, scope) }
}

class QueueManager implements MessageQueue, Lifecycle {
  readonly name = 'queue'
  readonly capabilities: ReadonlySet<Capability>
  readonly #store: QueueStore
  readonly #scope: Scope
  readonly #children: readonly Lifecycle[]
  readonly #dispatcher: Dispatcher
  readonly #watch: SuspensionWatch
  readonly #operator: Operator
  readonly #acceptance: AcceptanceParts
  readonly #giveUp = new AbortController()

  constructor(options: MessageQueueOptions, scope: Scope) {
    this.#store = options.store
    this.#scope = scope
    const assembly = assembleQueue(options, scope, this.#giveUp.signal)
    this.capabilities = assembly.capabilities
    this.#children = assembly.children
    this.#dispatcher = assembly.dispatcher
    this.#watch = assembly.watch
    this.#operator = assembly.operator
    this.#acceptance = assembly.acceptance
  }

  async start(call: Call): Promise<void> {
    await this.#store.open(this.#scope.events)
    const started: Lifecycle[] = []
    try {
      for (const child of this.#children) {
        await child.start?.(call)
        started.push(child)
      }
      await this.#watch.start()
    } catch (error) {
      // A queue that did not start is not stopped by the server: it must not keep the store from the next one.
      await this.#close(started)
      throw error
    }
    this.#dispatcher.start()
  }

  /** Attempts in hand may finish until the signal aborts; then they are handed back unsettled. */
  async drain(call: Call): Promise<void> {
    const giveUp = (): void => this.#giveUp.abort(call.signal.reason)
    if (call.signal.aborted) giveUp()
    call.signal.addEventListener('abort', giveUp, { once: true })
    await this.#dispatcher.drain()
    call.signal.removeEventListener('abort', giveUp)
    for (const child of this.#children) await this.#attempt('draining', () => child.drain?.(call))
  }

  async stop(): Promise<void> {
    this.#giveUp.abort()
    await this.#dispatcher.drain()
    await this.#watch.stop()
    await this.#close(this.#children)
  }

  /** Stops transports, last first, and closes the store whatever they do. */
  async #close(children: readonly Lifecycle[]): Promise<void> {
    for (const child of children.toReversed()) await this.#attempt('stopping', () => child.stop?.())
    await this.#store.close()
  }

  async #attempt(what: string, run: () => Promise<void> | undefined): Promise<void> {
    try {
      await run()
    } catch (error) {
      this.#scope.events.emit({ type: 'failure', where: `${what} a transport of the queue`, error })
    }
  }

  deliver(job: DeliveryJob, call: Call): Promise<ReadonlyMap<RecipientId, Outcome>> {
    return acceptMessage(this.#acceptance, job, call)
  }

  refusing(): ReturnType<QueueStore['refusing']> {
    return this.#store.refusing()
  }

  spool(): ReturnType<QueueStore['spool']> {
    return this.#store.spool()
  }

  get liveness(): number {
    return this.#dispatcher.liveness
  }

  entries: QueueOperations['entries'] = (query) => this.#operator.entries(query)
  read: QueueOperations['read'] = (message) => this.#operator.read(message)
  flush: QueueOperations['flush'] = (selection) => this.#operator.flush(selection)
  hold: QueueOperations['hold'] = (selection, reason) => this.#operator.hold(selection, reason)
  release: QueueOperations['release'] = (selection) => this.#operator.release(selection)
  requeue: QueueOperations['requeue'] = (selection) => this.#operator.requeue(selection)
  reroute: QueueOperations['reroute'] = (selection, to) => this.#operator.reroute(selection, to)
  expire: QueueOperations['expire'] = (selection) => this.#operator.expire(selection)
  remove: QueueOperations['remove'] = (selection) => this.#operator.remove(selection)
  suspend: QueueOperations['suspend'] = (scope, about) => this.#operator.suspend(scope, about)
  resume: QueueOperations['resume'] = (scope) => this.#operator.resume(scope)
  suspensions: QueueOperations['suspensions'] = () => this.#operator.suspensions()
  stats: QueueOperations['stats'] = () => this.#operator.stats()
  shape: QueueOperations['shape'] = (query) => this.#operator.shape(query)
}
