import type { Wire } from '@mailwright/core'
import { describe, expect, it } from 'vitest'
import { testAuthority } from './certificate-authority.ts'
import { type Dialogue, dialogue } from './dialogue.ts'
import { manualClock } from './manual-clock.ts'
import { memoryNetwork } from './memory-network.ts'
import { type ScriptedMx, type ScriptedMxOptions, scriptedMx } from './scripted-mx.ts'
import { seededRandom } from './seeded-random.ts'
import { settle } from './settle.ts'

const call = { signal: new AbortController().signal }
const host = '192.0.2.10'

async function talk(options: Partial<ScriptedMxOptions> = {}): Promise<{
  mx: ScriptedMx
  connect: () => Promise<Dialogue>
  network: ReturnType<typeof memoryNetwork>
}> {
  const network = memoryNetwork(options.clock === undefined ? {} : { clock: options.clock })
  const mx = await scriptedMx({ network, host, ...options })
  return { mx, network, connect: async () => dialogue(await network.connect({ host, port: 25 }, call)) }
}

describe('a healthy MX', () => {
  it('takes a message and keeps it as it was', async () => {
    const { mx, connect, network } = await talk()
    const client = await connect()
    await client.transcript(`
      S: 220 mx.example.net
      C: EHLO client.example.org
      S: 250-mx.example.net
      S: 250-PIPELINING
      S: 250-8BITMIME
      S: 250-SMTPUTF8
      S: 250-ENHANCEDSTATUSCODES
      S: 250-DSN
      S: 250 SIZE
      C: MAIL FROM:<ann@example.org> SIZE=20 RET=HDRS
      S: 250 2.1.0
      C: RCPT TO:<bob@example.net> NOTIFY=NEVER
      S: 250 2.1.5
      C: DATA
      S: 354
    `)
    await client.data('Subject: x\r\n\r\n.hidden\r\n')
    await client.transcript(`
      C: QUIT
      S: 221
      S: <closed>
    `)
    expect(mx.messages).toEqual([
      {
        sender: 'ann@example.org',
        recipients: ['bob@example.net'],
        data: Buffer.from('Subject: x\r\n\r\n.hidden\r\n'),
        parameters: 'SIZE=20 RET=HDRS',
        recipientParameters: ['NOTIFY=NEVER'],
        secure: false,
        connection: 1,
      },
    ])
    mx.assertDone()
    await mx.down()
    await settle()
    network.assertQuiet()
  })

  it('takes several messages, and everything pipelined up to the body', async () => {
    const { mx, connect } = await talk()
    const client = await connect()
    await client.transcript(`
      S: 220
      C: EHLO client.example.org
      S: 250
      C: MAIL FROM:<>
      C: RCPT TO:<a@example.net>
      C: DATA
      S: 250
      S: 250
      S: 354
      C: Subject: one
      C: .
      C: MAIL FROM:<>
      C: RCPT TO:<b@example.net>
      C: DATA
      S: 250
      S: 250
      S: 250
      S: 354
      C: Subject: two
      C: .
      S: 250
      C: RSET
      S: 250
    `)
    expect(mx.messages.map((mail) => mail.recipients)).toEqual([['a@example.net'], ['b@example.net']])
    expect(mx.violations).toEqual([])
    client.destroy()
    await settle()
    expect(mx.open).toBe(0)
  })

  it('takes messages in chunks, byte for byte, where it offers that', async () => {
    const { mx, connect } = await talk({ extensions: ['PIPELINING', 'CHUNKING', 'BINARYMIME'] })
    const client = await connect()
    await client.transcript(`
      S: 220
      C: EHLO client.example.org
      S: 250-mx.example.net
      S: 250-PIPELINING
      S: 250-CHUNKING
      S: 250 BINARYMIME
      C: MAIL FROM:<ann@example.org> BODY=BINARYMIME
      C: RCPT TO:<bob@example.net>
      S: 250 2.1.0
      S: 250 2.1.5
    `)
    client.sendRaw('BDAT 5\r\n\r\n.\r\nBDAT 2 LAST\r\n\n.')
    await client.expect('250 2.0.0 5 octets')
    await client.expect('250 2.0.0 taken')
    expect(mx.messages.map(({ data }) => data.toString())).toEqual(['\r\n.\r\n\n.'])
    client.sendRaw('BDAT 1 LAST\r\nxNOOP\r\n')
    await client.expect(503)
    await client.expect(250)
    await client.command('BDAT x', 501)
    mx.assertDone()
    client.destroy()
  })

  it('refuses chunks for nobody, and drops what began with one it has refused', async () => {
    const { mx, connect } = await talk({
      extensions: ['CHUNKING'],
      script: [{ at: 'bdat', reply: '452 4.3.1 full', times: 1 }],
    })
    const client = await connect()
    await client.expect(220)
    await client.command('EHLO client.example.org', 250)
    await client.command('MAIL FROM:<ann@example.org>', 250)
    client.sendRaw('BDAT 1 LAST\r\nx')
    await client.expect(554)
    await client.command('RCPT TO:<bob@example.net>', 250)
    client.sendRaw('BDAT 1\r\nx')
    await client.expect(452)
    client.sendRaw('BDAT 1 LAST\r\ny')
    await client.expect(503)
    expect(mx.messages).toEqual([])
    mx.assertDone()
    client.destroy()
  })

  it('refuses commands out of order', async () => {
    const { connect } = await talk()
    await (await connect()).transcript(`
      S: 220
      C: LHLO x
      S: 500
      C: HELO x
      S: 250 mx.example.net
      C: RCPT TO:<a@example.net>
      S: 503
      C: DATA
      S: 503
      C: MAIL TO:<x>
      S: 501
      C: MAIL FROM:<x@example.org>
      S: 250
      C: MAIL FROM:<x@example.org>
      S: 503
      C: DATA
      S: 554
      C: RCPT TO:nobody
      S: 501
      C: NOOP
      S: 250
      C: BDAT 10
      S: 502
      C: STARTTLS
      S: 502
    `)
  })

  it('speaks LMTP with a reply for each recipient', async () => {
    const { mx, connect } = await talk({
      protocol: 'lmtp',
      script: [{ at: 'message', address: 'b@example.net', reply: '452 4.2.2 mailbox full' }],
    })
    const client = await connect()
    await client.transcript(`
      S: 220
      C: EHLO x
      S: 500
      C: LHLO x
      S: 250
    `)
    await client.command('MAIL FROM:<>', 250)
    for (const name of ['a', 'b', 'c']) await client.command(`RCPT TO:<${name}@example.net>`, 250)
    await client.command('DATA', 354)
    await client.data('Subject: x\r\n')
    await client.transcript('S: 452 4.2.2 mailbox full\nS: 250')
    expect(mx.messages.map((mail) => mail.recipients)).toEqual([['a@example.net', 'c@example.net']])
    mx.assertDone()
  })
})

describe('a scripted MX', () => {
  const mail = (client: Dialogue) =>
    client.mail('ann@example.org', ['a@example.net', 'b@example.net'], 'Subject: x\r\n')

  it('refuses where it is told to, as often as it is told to', async () => {
    const { mx, connect } = await talk({
      script: [
        { at: 'mail', times: 1, reply: '451 4.3.0 first try' },
        { at: 'rcpt', nth: 2, reply: '450 4.2.0 later' },
        { at: 'rcpt', address: 'Gone@example.net', reply: '550 5.1.1 gone' },
        { at: 'message', connection: 2, reply: '554 5.6.0 no' },
      ],
    })
    const client = await connect()
    await client.transcript(`
      S: 220
      C: EHLO x
      S: 250
      C: MAIL FROM:<>
      S: 451 4.3.0 first try
      C: MAIL FROM:<>
      S: 250
      C: RCPT TO:<a@example.net>
      S: 250
      C: RCPT TO:<b@example.net>
      S: 450 4.2.0 later
      C: RCPT TO:<gone@example.net>
      S: 550
      C: DATA
      S: 354
    `)
    await client.data('Subject: x\r\n')
    expect(mx.messages[0]?.recipients).toEqual(['a@example.net'])
    expect(() => mx.assertDone()).toThrow('never happened: {"at":"message"')
    const second = await connect()
    await second.transcript('S: 220\nC: EHLO x\nS: 250')
    await second.command('MAIL FROM:<>', 250)
    await second.command('RCPT TO:<a@example.net>', 250)
    await second.command('DATA', 354)
    await second.data('Subject: x\r\n', '554 5.6.0')
    expect(mx.messages).toHaveLength(1)
    mx.assertDone()
  })

  it('greets with a refusal, and hangs up after 421', async () => {
    const { mx, connect } = await talk({ script: [{ at: 'greeting', reply: '421 4.3.2 busy' }] })
    await (await connect()).transcript('S: 421 4.3.2 busy\nS: <closed>')
    mx.play([{ at: 'greeting', reply: '554 5.3.2 no mail here' }])
    await (await connect()).transcript('S: 554\nC: QUIT\nS: 221\nS: <closed>')
  })

  it('says nothing, or hangs up, at any stage', async () => {
    for (const at of ['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'message', 'quit'] as const) {
      for (const answer of [{ silent: true }, { drop: 'before' }, { drop: 'reset' }] as const) {
        const { mx, connect } = await talk({ script: [{ at, ...answer }] })
        const client = await connect()
        const steps = async (): Promise<void> => {
          await client.expect(220)
          await client.command('EHLO x', 250)
          await mail(client)
          await client.command('QUIT', 221)
        }
        if ('silent' in answer) {
          let done = false
          steps().then(
            () => {
              done = true
            },
            () => {},
          )
          await settle()
          expect(done).toBe(false)
          client.destroy()
        } else await expect(steps()).rejects.toThrow('<closed>')
        expect(mx.messages).toHaveLength(at === 'quit' ? 1 : 0)
        mx.assertDone()
      }
    }
  })

  it('hangs up after the dot having the mail, or not having it', async () => {
    for (const [answer, has] of [
      [{ drop: 'before' }, 0],
      [{ drop: 'before', record: true }, 1],
      [{ drop: 'after' }, 1],
      [{ reply: '250 2.0.0 lied', record: false }, 0],
      [{ raw: '25', drop: 'after' }, 0],
    ] as const) {
      const { mx, connect } = await talk({ script: [{ at: 'message', ...answer }] })
      const client = await connect()
      await client.transcript('S: 220\nC: EHLO x\nS: 250')
      await mail(client).catch(() => {})
      expect(mx.messages).toHaveLength(has)
      client.destroy()
    }
  })

  it('thinks for a while, and drips its replies, on the clock', async () => {
    const clock = manualClock(0)
    const { connect } = await talk({
      clock,
      script: [
        { at: 'greeting', delayMs: 5_000 },
        { at: 'ehlo', reply: '250 mx', dripMs: 1_000 },
      ],
    })
    const client = await connect()
    await clock.until(client.expect(220))
    expect(clock.now()).toBe(5_000)
    await clock.until(client.command('EHLO x', 250))
    expect(clock.now()).toBe(12_000)
    client.destroy()
    await clock.settle()
    expect(clock.pending).toBe(0)
  })

  it('answers in many lines, with rubbish, or without end', async () => {
    const { connect } = await talk({
      script: [
        { at: 'ehlo', reply: ['250-mx', '250-LIMITS RCPTMAX=2', '250 ok'] },
        { at: 'mail', raw: 'HTTP/1.1 400 Bad Request\r\n' },
        { at: 'noop', raw: `250 ${'x'.repeat(10_000)}\r\n` },
      ],
    })
    const client = await connect()
    await client.expect(220)
    expect((await client.command('EHLO x', 250)).text).toBe('mx\nLIMITS RCPTMAX=2\nok')
    await client.command('MAIL FROM:<>', 'HTTP/1.1')
    expect((await client.command('NOOP', 250)).text).toHaveLength(10_000)
  })

  it('notes pipelining that was not offered and talking before the greeting', async () => {
    const { mx, connect } = await talk({
      extensions: ['8BITMIME'],
      script: [{ at: 'greeting', times: 1, silent: true }],
    })
    const early = await connect()
    early.send('EHLO x')
    await settle()
    early.destroy()
    const client = await connect()
    await client.transcript(`
      S: 220
      C: EHLO x
      S: 250
      C: MAIL FROM:<>
      C: RCPT TO:<a@example.net>
      S: 250
      S: 250
    `)
    expect(mx.violations).toEqual(['connection 2: bytes behind mail although PIPELINING was not offered'])
    expect(() => mx.assertDone()).toThrow('PIPELINING')
  })

  it('notes what stands behind a command that must end its group', async () => {
    const { mx, connect } = await talk()
    const client = await connect()
    await client.transcript('S: 220\nC: EHLO x\nS: 250\nC: NOOP\nC: RSET\nS: 250\nS: 250')
    expect(mx.violations).toEqual(['connection 1: bytes behind noop, which must end a group'])
  })

  it('names a script that makes no sense', async () => {
    const { mx, connect } = await talk({ script: [{ at: 'greeting', reply: 'hello' }] })
    await (await connect()).closed()
    expect(mx.violations).toEqual(['connection 1: the script failed: not a reply line (use raw for rubbish): hello'])
    mx.play([{ at: 'greeting', delayMs: 10 }])
    await (await connect()).closed()
    expect(mx.violations.at(-1)).toContain('needs a clock')
  })

  it('can be decided by a function, the same way for the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const random = seededRandom(seed)
      const { connect } = await talk({
        script: ({ stage }) => (stage === 'noop' && random.float() < 0.5 ? { reply: '451 4.3.0 no luck' } : undefined),
      })
      const client = await connect()
      await client.expect(220)
      let codes = ''
      for (let count = 0; count < 20; count++) {
        client.send('NOOP')
        codes += (await client.expect('')).code === 250 ? '+' : '-'
      }
      return codes
    }
    expect(await run(1)).toBe(await run(1))
    expect(await run(1)).not.toBe(await run(2))
  })

  it('goes down and comes back', async () => {
    const { mx, connect, network } = await talk()
    const client = await connect()
    await client.expect(220)
    await mx.down()
    await client.closed()
    await expect(connect()).rejects.toThrow('refused')
    await settle()
    network.assertQuiet()
    await mx.listen()
    await (await connect()).expect(220)
    expect(mx.connections).toBe(2)
  })
})

describe('STARTTLS of a scripted MX', () => {
  const authority = testAuthority()
  const tls = authority.issue({ names: ['mx.example.net'] })

  it('is real', async () => {
    const { mx, connect, network } = await talk({ tls })
    const client = await connect()
    await client.transcript('S: 220\nC: EHLO x\nS: 250')
    expect(client.log.at(-1)).toBe('S: 250 STARTTLS')
    await client.command('STARTTLS', 220)
    const trust = { servername: 'mx.example.net', verify: true, ca: [authority.ca] }
    await client.upgrade(async (wire: Wire) => (await network.secure(wire, trust, call)).wire)
    const hello = await client.command('EHLO x', 250)
    expect(hello.text).not.toContain('STARTTLS')
    await client.mail('', ['a@example.net'], 'Subject: secret\r\n')
    await client.transcript('C: QUIT\nS: 221\nS: <closed>')
    expect(mx.messages[0]?.secure).toBe(true)
    await mx.down()
    await settle()
    network.assertQuiet()
  })

  it('can be refused, or be rubbish', async () => {
    const { mx, connect, network } = await talk({
      tls,
      script: [
        { at: 'starttls', connection: 1, reply: '454 4.7.0 not now' },
        { at: 'starttls', garbage: 'no TLS here\r\n' },
      ],
    })
    const one = await connect()
    await one.transcript('S: 220\nC: EHLO x\nS: 250\nC: STARTTLS\nS: 454\nC: NOOP\nS: 250')
    const two = await connect()
    await two.transcript('S: 220\nC: EHLO x\nS: 250')
    two.send('STARTTLS')
    const patience = two.expect(220)
    await patience
    const wire = two.wire
    wire.removeAllListeners('data')
    await expect(network.secure(wire, { verify: false }, call)).rejects.toThrow('TLS handshake failed')
    mx.assertDone()
  })
})

describe('the dialogue driver', () => {
  it('shows the whole conversation when an answer is not the one expected', async () => {
    const { connect } = await talk({ script: [{ at: 'mail', reply: ['451-4.3.0 no', '451 4.3.0 luck'] }] })
    const client = await connect()
    await client.expect('220 mx')
    await client.command('HELO x', 250)
    await expect(client.command('MAIL FROM:<>', 250)).rejects.toThrow(
      [
        'expected 250, got 451-4.3.0 no',
        '  S: 451 4.3.0 luck',
        '  S: 220 mx.example.net ESMTP',
        '  C: HELO x',
        '  S: 250 mx.example.net',
        '  C: MAIL FROM:<>',
        '  S: 451-4.3.0 no',
      ].join('\n'),
    )
  })

  it('says so when no answer comes, or half of one, or one too many', async () => {
    const { network } = await talk({ script: [{ at: 'ehlo', silent: true }] })
    const soon = { signal: () => AbortSignal.timeout(20) }
    const client = dialogue(await network.connect({ host, port: 25 }, call), soon)
    await expect(client.closed()).rejects.toThrow('expected <closed>, got 220 mx')
    await client.expect(220)
    await expect(client.command('EHLO x', 250)).rejects.toThrow('expected 250, got <silence>')
    await expect(client.closed()).rejects.toThrow('expected <closed>, got <silence>')
    const half = await talk({ script: [{ at: 'greeting', raw: '220 m', drop: 'after' }] })
    await expect((await half.connect()).expect(220)).rejects.toThrow('got <closed> after "220 m"')
    await expect((await half.connect()).transcript('X: 1')).rejects.toThrow('neither C: nor S:')
  })

  it('fails a transcript at the line that differs', async () => {
    const { connect } = await talk()
    await expect((await connect()).transcript('S: 220\nC: EHLO x\nS: 250-other')).rejects.toThrow(
      'expected 250-other, got 250-mx.example.net',
    )
    await (await connect()).transcript('S: 220\n# then it leaves\n\nC: <close>\nS: <closed>')
  })
})
