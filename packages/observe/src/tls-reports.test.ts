import type { EventOf } from '@mailwright/core'
import { fakeDns, manualClock, recordedEvents } from '@mailwright/testing'
import { expect, it } from 'vitest'
import { tlsReports } from './tls-reports.ts'

const call = { signal: new AbortController().signal }
const STS = {
  type: 'sts',
  lines: ['version: STSv1', 'mode: enforce', 'mx: mx.example.org'],
  mx: ['mx.example.org'],
} as const

function result(parts: Partial<EventOf<'tls.result'>> = {}): EventOf<'tls.result'> {
  return {
    type: 'tls.result',
    domain: 'example.org',
    policy: STS,
    mx: 'mx.example.org',
    address: '192.0.2.25',
    localAddress: '198.51.100.1',
    result: 'success',
    ...parts,
  }
}

function counting(wish: readonly (readonly string[])[] | 'failed' = [['v=TLSRPTv1; rua=mailto:tls@', 'example.org']]) {
  const clock = manualClock()
  const events = recordedEvents(clock)
  const dns = fakeDns({ '_smtp._tls.example.org': wish === 'failed' ? 'failed' : { TXT: wish } }, { clock })
  const reports = tlsReports(events, { organization: 'Example Net', contact: 'postmaster@example.net', clock })
  return { clock, events, dns, reports }
}

it('A day of TLS becomes the report that the domain has asked for', async () => {
  const { clock, events, dns, reports } = counting()
  const from = new Date(clock.now()).toISOString()
  for (let n = 0; n < 3; n++) events.emit(result())
  for (let n = 0; n < 2; n++) events.emit(result({ result: 'certificate-expired' }))
  events.emit(result({ result: 'validation-failure', address: undefined, localAddress: undefined }))
  events.emit(result({ policy: { type: 'no-policy-found', lines: [], mx: [] } }))
  await clock.advance('1d')
  const [report, ...others] = await reports.take(dns, call)
  expect(others).toEqual([])
  expect(report).toMatchObject({ domain: 'example.org', rua: ['mailto:tls@example.org'] })
  expect(JSON.parse(report!.json)).toEqual({
    'organization-name': 'Example Net',
    'date-range': { 'start-datetime': from, 'end-datetime': new Date(clock.now()).toISOString() },
    'contact-info': 'postmaster@example.net',
    'report-id': `${from}_example.org`,
    policies: [
      {
        policy: {
          'policy-type': 'sts',
          'policy-string': STS.lines,
          'policy-domain': 'example.org',
          'mx-host': ['mx.example.org'],
        },
        summary: { 'total-successful-session-count': 3, 'total-failure-session-count': 3 },
        'failure-details': [
          {
            'result-type': 'certificate-expired',
            'sending-mta-ip': '198.51.100.1',
            'receiving-mx-hostname': 'mx.example.org',
            'receiving-ip': '192.0.2.25',
            'failed-session-count': 2,
          },
          { 'result-type': 'validation-failure', 'receiving-mx-hostname': 'mx.example.org', 'failed-session-count': 1 },
        ],
      },
      {
        policy: { 'policy-type': 'no-policy-found', 'policy-domain': 'example.org' },
        summary: { 'total-successful-session-count': 1, 'total-failure-session-count': 0 },
      },
    ],
  })
  expect(await reports.take(dns, call)).toEqual([])
})

it.each<readonly [string, Parameters<typeof counting>[0], readonly string[]]>([
  [
    'twice, in one record',
    [['v=TLSRPTv1;rua=mailto:a@example.org,https://b.example/x']],
    ['mailto:a@example.org', 'https://b.example/x'],
  ],
  ['in two records: which of them?', [['v=TLSRPTv1; rua=mailto:a@b'], ['v=TLSRPTv1; rua=mailto:c@d']], []],
  ['by another way than there is', [['v=TLSRPTv1; rua=ftp://example.org']], []],
  ['in a record of another kind', [['v=spf1 rua=mailto:a@b']], []],
  ['and DNS does not say where', 'failed', []],
])('A domain that asks for its reports %s', async (_, wish, rua) => {
  const { events, dns, reports } = counting(wish)
  events.emit(result())
  const taken = await reports.take(dns, call)
  expect(taken.flatMap((report) => report.rua)).toEqual(rua)
})

it('Failures of more kinds than a report can name are counted without their hosts', async () => {
  const { events, dns, reports } = counting()
  for (let n = 0; n < 500; n++) events.emit(result({ result: 'certificate-expired', mx: `mx${n}.example.org` }))
  const [report] = await reports.take(dns, call)
  const details: readonly Record<string, unknown>[] = JSON.parse(report!.json).policies[0]['failure-details']
  expect(details).toHaveLength(101)
  expect(details.at(-1)).toEqual({ 'result-type': 'certificate-expired', 'failed-session-count': 400 })
})

it('Who has stopped counting reports nothing', async () => {
  const { events, dns, reports } = counting()
  reports.stop()
  events.emit(result())
  expect(await reports.take(dns, call)).toEqual([])
})
