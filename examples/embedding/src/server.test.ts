import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dialogue, fakeDns, manualClock, scriptedMx, testEnvironment } from '@mailwright/testing'
import { memoryStore } from 'mailwright'
import { expect, it } from 'vitest'
import { mailServer } from './server.ts'

const call = { signal: new AbortController().signal }

it('delivers here at once, and tries only the deferred recipient again five minutes later', async () => {
  const clock = manualClock()
  const zones = { 'example.net': { MX: [[10, 'mx.example.net'] as const] }, 'mx.example.net': { A: ['192.0.2.25'] } }
  const world = testEnvironment({ clock, dns: fakeDns(zones, { clock }) })
  const mx = await scriptedMx({
    network: world.net,
    clock,
    host: '192.0.2.25',
    script: [{ at: 'rcpt', reply: '450 4.2.0 Greylisted', times: 1 }],
  })
  const mail = mkdtempSync(join(tmpdir(), 'embedding-'))
  const mta = mailServer(memoryStore(), mail, 2525, world)
  const settled: string[] = []
  const maildir = Promise.withResolvers<void>()
  mta.events.subscribe((event) => {
    if (event.type !== 'recipient.settled') return
    settled.push(`${event.recipient.address.local} ${event.outcome.status}`)
    if (event.lane.transport === 'local') maildir.resolve()
  })
  await mta.start()

  const client = dialogue(await world.net.connect({ host: '127.0.0.1', port: 2525 }, call))
  await client.transcript(`
    S: 220 mx.example.org
    C: EHLO client.example.com
    S: 250
    C: MAIL FROM:<eve@spam.example>
    S: 250
    C: RCPT TO:<team@example.org>
    S: 550 5.7.1 Not from you
    C: RSET
    S: 250
    C: MAIL FROM:<carol@example.com>
    C: RCPT TO:<stranger@elsewhere.example>
    C: RCPT TO:<nobody@example.org>
    C: RCPT TO:<team@example.org>
    C: DATA
    S: 250
    S: 554 5.7.1
    S: 550 5.1.1
    S: 250
    S: 354
  `)
  await client.data('Subject: hello\r\n\r\nHello, both of you.\r\n', 250)
  await maildir.promise
  await clock.settle()
  expect(settled.sort()).toEqual(['ann ok', 'bob deferred'])
  const [file] = readdirSync(join(mail, 'ann/new'))
  expect(readFileSync(join(mail, 'ann/new', file!), 'utf8')).toContain('\r\n\r\nHello, both of you.\r\n')

  await clock.advance('5m')
  expect(settled.slice(2)).toEqual(['bob ok'])
  expect(mx.messages[0]?.recipients).toEqual(['bob@example.net'])

  client.destroy()
  await clock.until(mta.stop())
  await mx.down()
  mx.assertDone()
  world.assertQuiet()
  rmSync(mail, { recursive: true })
})
