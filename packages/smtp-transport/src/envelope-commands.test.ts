import type { Outcome, Recipient } from '@mailwright/core'
import { manualClock } from '@mailwright/testing'
import { describe, expect, it } from 'vitest'
import { AbortWatch } from './abort-watch.ts'
import { type Capabilities, capabilitiesOf } from './capabilities.ts'
import { envelopeCommands } from './envelope-commands.ts'
import { Errand } from './errand.ts'
import { call, type JobParts, job, recipient } from './testing-support/world.ts'

const NOTHING = capabilitiesOf([])
const ALL = capabilitiesOf(['mx', 'SIZE 1000', '8BITMIME', 'SMTPUTF8', 'DSN', 'PIPELINING'])

function errandFor(parts: JobParts, recipients?: readonly Recipient[]): Errand {
  const given = job(parts)
  return new Errand(
    given,
    recipients ?? given.envelope.recipients,
    call,
    0,
    { abandon: () => undefined },
    new AbortWatch(),
  )
}

function commands(parts: JobParts, offered: Capabilities, recipients?: readonly Recipient[]): string[] {
  const result = envelopeCommands(errandFor(parts, recipients), offered, 'clear', manualClock())
  return 'mail' in result ? [result.mail, ...result.rcpts] : [`${result.reply.code} ${result.reply.enhanced}`]
}

describe('the envelope', () => {
  it('has only parameters that the server offers', () => {
    const parts: JobParts = { options: { body: '8bitmime', smtputf8: true, ret: 'hdrs', envid: 'QQ314159' } }
    const to: Recipient = { ...recipient('bob@example.org'), notify: ['failure', 'delay'], orcpt: 'rfc822;Bob@x.org' }
    expect(commands(parts, NOTHING, [to])).toEqual(['MAIL FROM:<ann@example.net>\r\n', 'RCPT TO:<bob@example.org>\r\n'])
    expect(commands(parts, ALL, [to])).toEqual([
      'MAIL FROM:<ann@example.net> SIZE=22 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159\r\n',
      'RCPT TO:<bob@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;Bob@x.org\r\n',
    ])
  })

  it('for a server with too small a limit is refused without a word to it', () => {
    const text = `A: b\r\n\r\n${'x'.repeat(1_000)}`
    expect(commands({ text }, ALL)).toEqual(['552 5.3.4'])
    expect(commands({ text }, capabilitiesOf(['mx', 'SIZE']))[0]).toMatch(/^MAIL.* SIZE=1008/)
  })

  it('asks for SMTPUTF8 when an address needs it', () => {
    expect(commands({ to: ['bjørn@example.org'] }, ALL)).toEqual([
      'MAIL FROM:<ann@example.net> SIZE=22 SMTPUTF8\r\n',
      'RCPT TO:<bjørn@example.org>\r\n',
    ])
    expect(commands({ from: 'bjørn@example.net' }, ALL)[0]).toContain('SMTPUTF8')
  })

  it('without SMTPUTF8 names domains in A-labels', () => {
    expect(commands({ from: 'ann@bücher.example', to: ['bob@bücher.example'] }, NOTHING)).toEqual([
      'MAIL FROM:<ann@xn--bcher-kva.example>\r\n',
      'RCPT TO:<bob@xn--bcher-kva.example>\r\n',
    ])
  })

  it('without SMTPUTF8 fails only those who cannot be named', async () => {
    expect(commands({ from: 'bjørn@example.net' }, NOTHING)).toEqual(['553 5.6.7'])
    const errand = errandFor({ to: ['bjørn@example.org', 'bob@example.org'] })
    expect(envelopeCommands(errand, NOTHING, 'clear', manualClock())).toMatchObject({
      rcpts: ['RCPT TO:<bob@example.org>\r\n'],
    })
    errand.settle()
    const outcome: Outcome | undefined = (await errand.done).get(1)
    expect(outcome).toMatchObject({ status: 'failed', reply: { code: 553, enhanced: '5.6.7' } })
  })

  it('of a message that asks for UTF-8 by itself only is sent all the same', () => {
    expect(commands({ options: { smtputf8: true } }, NOTHING)[0]).toBe('MAIL FROM:<ann@example.net>\r\n')
  })

  it('of binary content goes to servers that take it by BDAT, and to no other', () => {
    const parts: JobParts = { options: { body: 'binarymime' } }
    expect(commands(parts, capabilitiesOf(['mx', 'CHUNKING', 'BINARYMIME']))[0]).toBe(
      'MAIL FROM:<ann@example.net> BODY=BINARYMIME\r\n',
    )
    for (const offered of [ALL, capabilitiesOf(['mx', 'CHUNKING']), capabilitiesOf(['mx', 'BINARYMIME'])])
      expect(commands(parts, offered)).toEqual(['554 5.6.3'])
  })

  it('has a priority where servers know any, and a sound one', () => {
    const offered = capabilitiesOf(['mx', 'MT-PRIORITY MIXER'])
    const mail = (priority: number, by: Capabilities): string => commands({ options: { priority } }, by)[0]!
    expect(mail(3, offered)).toBe('MAIL FROM:<ann@example.net> MT-PRIORITY=3\r\n')
    expect(mail(-9, offered)).toBe('MAIL FROM:<ann@example.net> MT-PRIORITY=-9\r\n')
    for (const given of [mail(3, NOTHING), mail(10, offered), mail(1.5, offered), mail(Number.NaN, offered)])
      expect(given).toBe('MAIL FROM:<ann@example.net>\r\n')
  })

  it('quotes local parts that need it', () => {
    expect(commands({ to: ['"a b"@example.org'] }, NOTHING)[1]).toBe('RCPT TO:<"a b"@example.org>\r\n')
  })

  it.each([
    [{ local: 'a\r\nRCPT TO:<evil', domain: 'example.org' }],
    [{ local: 'a', domain: 'example.org>\r\nDATA' }],
    [{ local: 'a', domain: 'example.org> X=y' }],
    [{ local: 'a\0', domain: 'example.org' }],
  ])('cannot be split by an address: %j', async (address) => {
    const errand = errandFor({}, [{ id: 1, address, original: address }])
    expect(envelopeCommands(errand, ALL, 'clear', manualClock())).toMatchObject({ rcpts: [] })
    errand.settle()
    expect((await errand.done).get(1)).toMatchObject({ status: 'failed', reply: { enhanced: '5.1.3' } })
  })

  it('cannot be given parameters by a value', () => {
    const to: Recipient = { ...recipient('bob@example.org'), orcpt: 'rfc822;x NOTIFY=NEVER' }
    const parts: JobParts = { options: { envid: 'x\r\nRSET' } }
    expect(commands(parts, ALL, [to])).toEqual([
      'MAIL FROM:<ann@example.net> SIZE=22\r\n',
      'RCPT TO:<bob@example.org>\r\n',
    ])
  })

  it('demands TLS only of a server that can and over a verified session', () => {
    const offered = capabilitiesOf(['mx', 'REQUIRETLS'])
    const errand = errandFor({ options: { requireTls: true } })
    expect(envelopeCommands(errand, offered, 'verified', manualClock())).toMatchObject({
      mail: 'MAIL FROM:<ann@example.net> REQUIRETLS\r\n',
    })
    for (const security of ['clear', 'encrypted'] as const) {
      expect(envelopeCommands(errand, offered, security, manualClock())).toMatchObject({
        reply: { enhanced: '5.7.30' },
      })
    }
    expect(envelopeCommands(errand, NOTHING, 'verified', manualClock())).toMatchObject({
      reply: { enhanced: '5.7.30' },
    })
  })
})

describe('the end that a sender gives mail', () => {
  const { now } = manualClock()
  const by = (seconds: number, otherwise: 'return' | 'notify', trace = false): JobParts => ({
    options: { deliverBy: { at: now() + seconds * 1_000, otherwise, trace } },
  })
  const ANY = capabilitiesOf(['mx', 'DELIVERBY'])

  it.each<readonly [string, JobParts]>([
    ['BY=120;R', by(120.9, 'return')],
    ['BY=1;RT', by(1, 'return', true)],
    ['BY=60;N', by(60, 'notify')],
    ['BY=-60;NT', by(-60, 'notify', true)],
    ['BY=-999999999;N', by(-1e12, 'notify')],
  ])('is told as what is left of it: %s', (parameter, parts) => {
    expect(commands(parts, ANY)[0]).toBe(`MAIL FROM:<ann@example.net> ${parameter}\r\n`)
  })

  it('is kept from servers that promise nothing: what must be returned then is returned now', () => {
    expect(commands(by(120, 'return'), NOTHING)).toEqual(['550 5.3.3'])
    expect(commands(by(120, 'notify'), NOTHING)[0]).toBe('MAIL FROM:<ann@example.net>\r\n')
  })

  it('is not asked of servers that need more time', () => {
    const slow = capabilitiesOf(['mx', 'DELIVERBY 300'])
    expect(commands(by(299, 'return'), slow)).toEqual(['550 5.4.7'])
    expect(commands(by(300, 'return'), slow)[0]).toContain('BY=300;R')
    expect(commands(by(10, 'notify'), slow)[0]).toContain('BY=10;N')
  })

  it('is over when less than a second is left', () => {
    expect(commands(by(0.9, 'return'), ANY)).toEqual(['550 5.4.7'])
    expect(commands(by(-5, 'return'), ANY)).toEqual(['550 5.4.7'])
  })
})

it('capabilities are read whatever their case, and unknown ones ignored', () => {
  expect(capabilitiesOf(['mx', 'pipelining', 'size=500', 'XCLIENT a b', '', 'StartTls '])).toEqual({
    ...NOTHING,
    pipelining: true,
    size: 500,
    startTls: true,
  })
  expect(capabilitiesOf(['PIPELINING']).pipelining).toBe(false)
})
