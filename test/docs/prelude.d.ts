/** What the examples in READMEs may take for granted: the rest of the reader's program. */
declare const store: import('@mailwright/core').QueueStore
declare const router: import('@mailwright/core').Router
declare const transport: import('@mailwright/core').Transport
declare const transports: Readonly<Record<string, import('@mailwright/core').Transport>>
declare const policies: readonly import('@mailwright/core').Policy[]
declare const job: import('@mailwright/core').DeliveryJob
declare const address: import('@mailwright/core').Mailbox
declare const mailboxes: Readonly<Record<string, string>>
declare const signal: AbortSignal
declare const mta: import('@mailwright/kernel').Mta
declare const expect: typeof import('vitest').expect
