import { deferred } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { etrnAnswers } from './etrn.ts'
import { caredFor } from './testing-support/queue-bench.ts'

const DOWN = '421 4.4.1 no answer'
const bench = caredFor()

describe('ETRN', () => {
  it('starts the mail that waits for a domain, and leaves alone what waits for others', async () => {
    const outcomes = { 'ann@branch.example.org': [DOWN, 'ok'], 'bob@example.net': [DOWN, 'ok'] } as const
    const { queue, send, clock, smtp } = await bench({ outcomes })
    await send({ to: ['ann@branch.example.org', 'bob@example.net'] })
    await clock.settle()
    const etrn = etrnAnswers({ queue, domains: ['branch.example.org'] })
    expect(await etrn('Branch.Example.org')).toMatchObject({ code: 250, enhanced: '2.0.0' })
    await clock.settle()
    expect(smtp.delivered).toEqual(['ann@branch.example.org'])
  })

  it('revives the destination of the domain and no other that is taken for dead', async () => {
    const away = deferred(DOWN, 'destination')
    const outcomes = { 'ann@branch.example.org': [away, 'ok'], 'bob@example.net': [away, 'ok'], '*': 'ok' } as const
    const { queue, send, clock, smtp } = await bench({ outcomes, initialConcurrency: 1 })
    await send({ to: ['ann@branch.example.org', 'bob@example.net'] })
    await clock.settle()
    // Due at once, and kept back because nobody answers there.
    await send({ to: ['carol@branch.example.org', 'dave@example.net'] })
    await clock.settle()
    expect(smtp.delivered).toEqual([])
    await etrnAnswers({ queue, domains: ['.example.org'] })('branch.example.org')
    await clock.settle()
    expect([...smtp.delivered].sort()).toEqual(['ann@branch.example.org', 'carol@branch.example.org'])
  })

  it.each(['example.net', 'example.org', 'notbranch.example.org', 'deep.branch.example.org'])(
    'is refused for a domain that is not listed: %s',
    async (domain) => {
      const { queue } = await bench()
      const etrn = etrnAnswers({ queue, domains: ['branch.example.org', '.example.com'] })
      expect(await etrn(domain)).toMatchObject({ code: 459, enhanced: '4.7.1' })
    },
  )

  it('answers the same where nothing waits', async () => {
    const { queue } = await bench()
    expect(await etrnAnswers({ queue, domains: ['branch.example.org'] })('branch.example.org')).toMatchObject({
      code: 250,
    })
  })

  it('leaves what an operator holds', async () => {
    const { queue, send, clock, smtp } = await bench({ outcomes: { 'ann@branch.example.org': [DOWN, 'ok'] } })
    await send({ to: ['ann@branch.example.org'] })
    await clock.settle()
    await queue.hold({}, 'a human shall look')
    await etrnAnswers({ queue, domains: ['branch.example.org'] })('branch.example.org')
    await clock.settle()
    expect(smtp.delivered).toEqual([])
  })

  it('looks once for all who ask at the same time, and again for who asks later', async () => {
    let looks = 0
    const queue = {
      entries: async () => {
        looks += 1
        return []
      },
      flush: async () => 0,
    }
    const etrn = etrnAnswers({ queue, domains: ['branch.example.org'] })
    const answers = await Promise.all([etrn('branch.example.org'), etrn('branch.example.org')])
    expect(answers.map(({ code }) => code)).toEqual([250, 250])
    expect(looks).toBe(1)
    await etrn('branch.example.org')
    expect(looks).toBe(2)
  })

  it('is unable to while the queue fails', async () => {
    const broken = async (): Promise<never> => Promise.reject(new Error('disk'))
    const etrn = etrnAnswers({ queue: { entries: broken, flush: broken }, domains: ['branch.example.org'] })
    await expect(etrn('branch.example.org')).rejects.toMatchObject({ reply: { code: 458, enhanced: '4.3.0' } })
  })
})
