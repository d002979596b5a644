import type { Block, MailEvent } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { createMta } from './mta.ts'

/** A block that writes down what is done to it. */
function recorder(
  name: string,
  diary: string[],
  trouble: { [step: string]: Error } = {},
): Block<{ readonly name: string }> {
  const step = async (what: string): Promise<void> => {
    diary.push(`${what} ${name}`)
    if (trouble[what]) throw trouble[what]
  }
  return {
    name,
    create: () => ({ name, start: () => step('start'), drain: () => step('drain'), stop: () => step('stop') }),
  }
}

describe('a server', () => {
  it('starts its blocks in order, drains all of them in reverse, and then stops them in reverse', async () => {
    const diary: string[] = []
    const mta = createMta()
    mta.use(recorder('queue', diary))
    mta.use(recorder('listener', diary))
    await mta.start()
    await mta.stop()
    expect(diary).toEqual([
      'start queue',
      'start listener',
      'drain listener',
      'drain queue',
      'stop listener',
      'stop queue',
    ])
  })

  it('stops the blocks that had started when one cannot start, and says why', async () => {
    const diary: string[] = []
    const mta = createMta()
    mta.use(recorder('queue', diary))
    mta.use(recorder('listener', diary, { start: new Error('port in use') }))
    mta.use(recorder('late', diary))
    await expect(mta.start()).rejects.toThrow('port in use')
    expect(diary).toEqual(['start queue', 'start listener', 'drain queue', 'stop queue'])
  })

  it('goes on stopping when one block cannot stop, and reports it', async () => {
    const diary: string[] = []
    const seen: MailEvent[] = []
    const mta = createMta()
    mta.events.subscribe((event) => seen.push(event))
    mta.use(recorder('queue', diary))
    mta.use(recorder('listener', diary, { stop: new Error('stuck'), drain: new Error('impatient') }))
    await mta.start()
    await mta.stop()
    expect(diary.at(-1)).toBe('stop queue')
    expect(seen.map((event) => event.type === 'failure' && event.where)).toEqual([
      'drain of listener',
      'stop of listener',
    ])
  })

  it('takes no block after it has started, and starts only once', async () => {
    const mta = createMta()
    await mta.start()
    expect(() => mta.use(recorder('late', []))).toThrow('after')
    await expect(mta.start()).rejects.toThrow('only once')
    await mta.stop()
  })

  it('stops once however often it is told', async () => {
    const diary: string[] = []
    const mta = createMta()
    mta.use(recorder('queue', diary))
    await mta.start()
    await Promise.all([mta.stop(), mta.stop()])
    expect(diary).toEqual(['start queue', 'drain queue', 'stop queue'])
  })

  it('does not start or stop anything when stopped before it was started', async () => {
    const diary: string[] = []
    const mta = createMta()
    mta.use(recorder('queue', diary))
    await mta.stop()
    expect(diary).toEqual([])
  })

  it('gives work in hand its grace time and then tells it to give up', async () => {
    const mta = createMta({ grace: 1 })
    let reason: unknown
    mta.use({
      name: 'slow',
      create: () => ({
        drain: (call) =>
          new Promise<void>((_resolve, reject) =>
            call.signal.addEventListener('abort', () => {
              reason = call.signal.reason
              reject(call.signal.reason)
            }),
          ),
      }),
    })
    await mta.start()
    await mta.stop()
    expect(String(reason)).toContain('grace time is over')
  })

  it('runs until the signal comes', async () => {
    const diary: string[] = []
    const until = new AbortController()
    const mta = createMta()
    mta.use(recorder('queue', diary))
    const run = mta.run(until.signal)
    until.abort()
    await run
    expect(diary.at(-1)).toBe('stop queue')
  })

  it('runs not at all when the signal came before', async () => {
    const mta = createMta()
    await mta.run(AbortSignal.abort())
    expect(mta.name).toBe('mailwright')
  })

  it('waits for background work at the end and reports what failed in it', async () => {
    const seen: MailEvent[] = []
    let finished = false
    const mta = createMta()
    mta.events.subscribe((event) => seen.push(event))
    mta.use({
      name: 'worker',
      create: (scope) => ({
        start: async () => {
          scope.task('sweep', async () => {
            await new Promise<void>((resolve) => scope.signal.addEventListener('abort', () => resolve()))
            finished = true
          })
          scope.task('broken', () => Promise.reject(new Error('no')))
        },
      }),
    })
    await mta.start()
    await mta.stop()
    expect(finished).toBe(true)
    expect(seen).toMatchObject([{ type: 'failure', where: 'broken' }])
  })
})

describe('events', () => {
  it('are heard by the subscribers of their own server only', () => {
    const one = createMta()
    const two = createMta()
    const heard: string[] = []
    one.events.subscribe((event) => heard.push(event.type))
    expect([one.events.wants('listener.ready'), two.events.wants('listener.ready')]).toEqual([true, false])
    two.events.emit({ type: 'message.removed', message: 'm1' })
    one.events.emit({ type: 'failure', where: 'here', error: undefined })
    expect(heard).toEqual(['failure'])
  })

  it('reach the other subscribers when one of them throws, and the failure is reported to the others', () => {
    const mta = createMta()
    const heard: string[] = []
    mta.events.subscribe(() => {
      throw new Error('broken subscriber')
    })
    const end = mta.events.subscribe((event) => heard.push(event.type))
    mta.events.emit({ type: 'message.removed', message: 'm1' })
    expect(heard).toEqual(['failure', 'message.removed'])
    end()
    mta.events.emit({ type: 'message.removed', message: 'm2' })
    expect(heard).toHaveLength(2)
  })

  it('end quietly when every subscriber throws', () => {
    const mta = createMta()
    for (const text of ['one', 'two']) {
      mta.events.subscribe(() => {
        throw new Error(text)
      })
    }
    expect(() => mta.events.emit({ type: 'message.removed', message: 'm1' })).not.toThrow()
  })
})
