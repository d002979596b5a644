import { type Edit, type MailOptions, next, policy } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { withLabels } from './labels.ts'
import { acceptAll, conversation, MESSAGE, willing } from './testing-support/conversation.ts'

const NOTHING: MailOptions = { smtputf8: true }

function label(name: string, value: string): Edit {
  return { edit: 'label', label: name, value }
}

describe('the labels of a message', () => {
  it('come from the policies, the later of one name, and leave the other options alone', () => {
    const edits = [label('tenant', 'acme'), label('campaign', 'spring sale'), label('tenant', 'other')]
    expect(withLabels(NOTHING, edits)).toEqual({
      smtputf8: true,
      labels: { tenant: 'other', campaign: 'spring sale' },
    })
  })

  it('are added to those it has', () => {
    const had: MailOptions = { labels: { tenant: 'acme' } }
    expect(withLabels(had, [label('campaign', 'x')]).labels).toEqual({ tenant: 'acme', campaign: 'x' })
    expect(had.labels).toEqual({ tenant: 'acme' })
  })

  it('cost nothing where nobody gives any', () => {
    expect(withLabels(NOTHING, [{ edit: 'remove-header', name: 'X-Spam' }])).toBe(NOTHING)
  })

  it('may be sixteen', () => {
    const sixteen = Array.from({ length: 16 }, (_, number) => label(`l${number}`, 'x'))
    expect(Object.keys(withLabels(NOTHING, sixteen).labels!)).toHaveLength(16)
    expect(() => withLabels(NOTHING, [...sixteen, label('another', 'x')])).toThrow('more than 16 labels')
  })

  it.each(['', 'a=b', 'two words', 'länge', 'a\r\nb', 'x'.repeat(65)])('may not be named %j', (name) => {
    expect(() => withLabels(NOTHING, [label(name, 'x')])).toThrow('not the name of a label')
  })

  it.each(['a\r\nb', 'a\0b', '\u2028', '\ud800', 'x'.repeat(257)])('may not be %j', (value) => {
    expect(() => withLabels(NOTHING, [label('tenant', value)])).toThrow('not a value of the label tenant')
  })

  it('may have names that objects have', () => {
    const { labels } = withLabels(NOTHING, [label('__proto__', 'x'), label('toString', 'y')])
    expect(Object.entries(labels!)).toEqual([
      ['__proto__', 'x'],
      ['toString', 'y'],
    ])
  })
})

describe('a policy that labels', () => {
  it('has its labels in the envelope, and nothing of them in the message', async () => {
    const transport = willing()
    const labelling = policy('tenants', { mail: () => ({ ...next(), edits: [label('tenant', 'acme')] }) })
    const client = conversation({ transport, policies: [labelling, acceptAll] })
    await client.upToData()
    await client.data(MESSAGE)
    const [job] = transport.jobs
    expect(job!.envelope.options.labels).toEqual({ tenant: 'acme' })
    expect(Buffer.from(job!.message.head).toString()).not.toContain('acme')
  })

  it('with a label that is none has its mail refused for now', async () => {
    const transport = willing()
    const broken = policy('tenants', { mail: () => ({ ...next(), edits: [label('tenant', 'a\nb')] }) })
    const client = conversation({ transport, policies: [broken, acceptAll] })
    await client.upToData()
    expect(JSON.stringify(await client.data(MESSAGE))).toContain('451')
    expect(transport.jobs).toEqual([])
  })
})
