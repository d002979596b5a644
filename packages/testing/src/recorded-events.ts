/** An event channel that remembers what was said. */
import type { Clock, EventOf, Events, Interest, Listener, MailEvent } from '@mailwright/core'

export interface RecordedEvents extends Events {
  readonly all: readonly MailEvent[]
  /** Those of one type, in order. */
  of<T extends MailEvent['type']>(type: T): readonly EventOf<T>[]
  /** Forgets everything so far. */
  clear(): void
}

/**
 * Makes an event channel that hears everything.
 *
 * @example
 * const events = recordedEvents(clock)
 * expect(events.of('message.queued')).toHaveLength(1)
 */
export function recordedEvents(clock: Clock): RecordedEvents {
  const all: MailEvent[] = []
  let listeners: readonly Listener[] = []
  return {
    all,
    wants: () => true,
    emit(event: MailEvent): void {
      all.push(event)
      for (const listener of listeners) listener(event, clock.now())
    },
    subscribe(listener: Listener, interest?: Interest): () => void {
      const told: Listener = (event, at) => {
        if (interest?.(event.type) !== false) listener(event, at)
      }
      listeners = [...listeners, told]
      return () => {
        listeners = listeners.filter((other) => other !== told)
      }
    },
    of<T extends MailEvent['type']>(type: T): readonly EventOf<T>[] {
      return all.filter((event): event is EventOf<T> => event.type === type)
    },
    clear(): void {
      all.length = 0
    },
  }
}
