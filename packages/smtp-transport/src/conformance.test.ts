import { transportConformance } from '@mailwright/testing'
import { world } from './testing-support/world.ts'

for (const capabilities of [['PIPELINING', '8BITMIME', 'SMTPUTF8'], []]) {
  transportConformance({
    name: capabilities.length > 0 ? 'smtp with PIPELINING' : 'smtp without extensions',
    job: { lane: { transport: 'smtp', destination: 'example.org' } },
    create: async () => {
      let turn: Promise<unknown> = Promise.resolve()
      let mood: 'well' | 'hung' = 'well'
      const { transport, environment, server, end } = await world(
        {},
        { capabilities, answer: () => (mood === 'hung' ? { and: 'silence' } : undefined) },
      )
      return {
        transport,
        run: (work) => {
          // One at a time moves the clock; a rejection meanwhile is told to whoever waits for it.
          work.catch(() => undefined)
          const mine = turn.then(() => environment.clock.until(work))
          turn = mine.catch(() => undefined)
          return mine
        },
        breakDown: () => server.close(),
        stall: () => {
          mood = 'hung'
        },
        received: () => server.messages.map((text) => Buffer.from(text.replace(/^\.\./gm, '.'), 'latin1')),
        dispose: end,
      }
    },
  })
}
