/**
 * The way to the server: scripts are sent, and what is asked in one turn of the event loop is written at once. When the
 * connection goes away under a request, nobody knows whether it was carried out. It is then sent again, under the same
 * number, as soon as the server is back; a script that has been carried out under a number only answers again. A server
 * that stays away or says nothing is given up: the request fails in bounded time.
 */
import { randomBytes } from 'node:crypto'
import { Cluster } from 'ioredis'
import { connected, type RedisClient } from './connection.ts'
import { isConnectionLost, isSilence, isUnknownScript, NotSent, storeFailure } from './failure.ts'
import { REMEMBERED_ANSWERS } from './lua.ts'
import type { Script } from './script.ts'

export type Argument = string | number | Uint8Array

/** Requests under way at once; the server remembers the answers of more. */
const MOST_UNDER_WAY = REMEMBERED_ANSWERS / 2
/** How often a request is sent at most. */
const MOST_SENDINGS = 3

/** Between the name of a node and what tells its lives apart. */
export const LIFE = '~'

export interface LinkEvents {
  /** The server is there, for the first time or again. */
  up(): void
  /** The server is away. Once for each time. */
  down(error: unknown): void
}

type Commander = Record<'evalsha' | 'evalshaBuffer' | 'eval' | 'evalBuffer', (...given: Argument[]) => Promise<unknown>>
type Command = 'evalsha' | 'evalshaBuffer'

export class Link {
  readonly client: RedisClient
  /** Tells this opening from all others. Begins with the node's name, where it has one. */
  readonly node: string
  readonly #commander: Commander
  readonly #prefix: string
  readonly #events: LinkEvents
  #requests = 0
  #underWay = 0
  #isUp = false
  #isClosed = false
  #lastError: unknown
  #gathering = false
  #awaitingReturn: ((back: boolean) => void)[] = []
  #awaitingRest: (() => void)[] = []

  constructor(client: RedisClient, prefix: string, events: LinkEvents, name?: string | undefined) {
    this.client = client
    const mark = randomBytes(9).toString('base64url')
    this.node = name === undefined ? mark : `${name}${LIFE}${mark}`
    this.#commander = client as unknown as Commander
    this.#prefix = prefix
    this.#events = events
    client.on('error', (error: unknown) => {
      this.#lastError = error
    })
    client.on('ready', () => this.#returned(true))
    client.on('close', () => this.#left())
    client.on('end', () => this.#left())
  }

  /** Rejects with `ERR_MAILWRIGHT_STORE` when the server does not answer. */
  async open(): Promise<void> {
    try {
      await connected(this.client)
    } catch (error) {
      const cause = this.#lastError ?? error
      this.client.disconnect()
      throw storeFailure(cause)
    }
  }

  /** Has the server know scripts before they are needed: a request then goes in one round trip from the first on. */
  async load(scripts: readonly Script[]): Promise<void> {
    try {
      await Promise.all(scripts.map(({ lua }) => this.client.script('LOAD', lua)))
    } catch (error) {
      throw storeFailure(error)
    }
  }

  /** Resolves when nothing is under way. */
  async rest(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => this.#awaitingRest.push(resolve))
  }

  /** Lets go of the connection. */
  close(): void {
    this.#isClosed = true
    this.client.disconnect()
  }

  get isUp(): boolean {
    return this.#isUp
  }

  get isBusy(): boolean {
    return this.#underWay > 0
  }

  /** The number of a request: to be kept by who may have to ask again. */
  number(): number {
    this.#requests += 1
    return this.#requests
  }

  /** Runs a script; its answer's texts as strings. */
  run(script: Script, args: readonly Argument[], number: number = this.number()): Promise<unknown> {
    return this.#request('evalsha', script, args, number)
  }

  /** Runs a script; its answer's texts as bytes. */
  runBytes(script: Script, args: readonly Argument[], number: number = this.number()): Promise<unknown> {
    return this.#request('evalshaBuffer', script, args, number)
  }

  async #request(command: Command, script: Script, args: readonly Argument[], number: number): Promise<unknown> {
    if (!this.#isUp) throw storeFailure(new NotSent('there is no connection to Redis', { cause: this.#lastError }))
    if (this.#underWay >= MOST_UNDER_WAY) throw storeFailure(new NotSent('too many requests to Redis are under way'))
    this.#underWay += 1
    try {
      for (let sendings = 1; ; sendings++) {
        try {
          return await this.#send(command, script, args, number)
        } catch (error) {
          if (isSilence(error)) this.#giveUp(error)
          if (sendings === MOST_SENDINGS || !isConnectionLost(error) || !(await this.#isBack()))
            throw storeFailure(error)
        }
      }
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) for (const rest of this.#awaitingRest.splice(0)) rest()
    }
  }

  async #send(command: Command, script: Script, args: readonly Argument[], number: number): Promise<unknown> {
    this.#gather()
    try {
      return await this.#commander[command](script.sha, 1, this.#prefix, this.node, number, ...args)
    } catch (error) {
      if (!isUnknownScript(error)) throw error
      const inFull = command === 'evalsha' ? 'eval' : 'evalBuffer'
      return await this.#commander[inFull](script.lua, 1, this.#prefix, this.node, number, ...args)
    }
  }

  /** A server that says nothing is as good as away, until a new connection to it is made. */
  #giveUp(error: unknown): void {
    this.#lastError = error
    this.#left()
    this.client.disconnect(true)
  }

  /** What is written in this turn of the event loop goes together. */
  #gather(): void {
    if (this.#gathering) return
    this.#gathering = true
    const { client } = this
    const streams = (client instanceof Cluster ? client.nodes('master') : [client]).map((node) => node.stream)
    for (const stream of streams) stream?.cork()
    setImmediate(() => {
      this.#gathering = false
      for (const stream of streams) stream?.uncork()
    })
  }

  /** Resolves when the server is back, or with false when it was not to be reached. */
  #isBack(): Promise<boolean> {
    if (this.#isUp) return Promise.resolve(true)
    if (this.client.status === 'end') return Promise.resolve(false)
    return new Promise((resolve) => this.#awaitingReturn.push(resolve))
  }

  #returned(back: boolean): void {
    if (back && !this.#isUp) {
      this.#isUp = true
      this.#lastError = undefined
      this.#events.up()
    }
    for (const resolve of this.#awaitingReturn.splice(0)) resolve(back)
  }

  #left(): void {
    const wasUp = this.#isUp
    this.#isUp = false
    if (wasUp && !this.#isClosed) this.#events.down(this.#lastError ?? new Error('the connection to Redis was lost'))
    else this.#returned(false)
  }
}
