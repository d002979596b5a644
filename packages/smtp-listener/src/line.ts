/** The seam between the dialogue's rules and the connection that carries it. */
import type { BodySink, ChannelBinding, ForwardedClient, Session } from '@mailwright/core'

/** What the rules may ask of their connection. */
export interface Line {
  readonly tls: 'none' | 'offered' | 'active'
  readonly draining: boolean
  /** Sends text soon, in one write with whatever else is ready. */
  say(wire: string): void
  /** Sends what is left and ends the connection. Nothing is read any more. */
  close(): void
  /** The same after QUIT, when nobody waits for anything but the reply: no need to wait for the client's end. */
  part(): void
  /** Holds every reply back for so many ms from now on, and reads nothing meanwhile; 0: no more. */
  slow(ms: number): void
  /** The sink of a message, with its bytes counted. */
  watched(sink: BodySink): BodySink
  /** The next bytes are message data. */
  startData(): void
  /** The next `size` bytes are a chunk of message data, the `first` of its message or a `next` one (RFC 3030). */
  startChunk(size: number, position: 'first' | 'next'): void
  /** The next line is no command but a response within AUTH. */
  expectResponse(): void
  /** What ties an authentication to this TLS channel (RFC 9266), where there is one that can. */
  channelBinding(): ChannelBinding | undefined
  /** Begins the handshake. */
  startTls(): void
  /** A reply that was outstanding has been said: read on. */
  proceed(): void
  /** Something threw that must not. */
  bug(where: string, error: unknown): void
  /** A trusted host said whom it forwards for (XFORWARD). */
  forwarded(session: Session, client: ForwardedClient): void
}

/**
 * Deals with an answer when it comes, and lets the client go on then: false, as in "not answered yet". Only an answer
 * that has to be waited for comes here; one that is there costs neither a tick nor a closure.
 */
export function later<A>(
  line: Line,
  answer: Promise<A>,
  settle: (answer: A) => void,
  fail: (error: unknown) => void,
): false {
  answer.then(
    (value) => {
      try {
        settle(value)
      } catch (error) {
        fail(error)
      }
      line.proceed()
    },
    (error: unknown) => {
      fail(error)
      line.proceed()
    },
  )
  return false
}
