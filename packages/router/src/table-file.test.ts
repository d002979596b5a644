import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mailbox } from '@mailwright/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fixedRouter } from './fixed-router.ts'
import { createRouter } from './router.ts'
import { parseTable, tableFile } from './table-file.ts'

const call = { signal: new AbortController().signal }

it('reads keys and values, comments, continued lines, and keys alone', () => {
  const table = parseTable(
    '# list\nAnn@example.org  /var/mail/ann\n\n  # in between\nsales ann,\r\n\tbob\nbare\nsales other\n',
  )
  expect([...table]).toEqual([
    ['ann@example.org', '/var/mail/ann'],
    ['sales', 'ann, bob'],
    ['bare', 'OK'],
  ])
})

describe('a table file', () => {
  let folder: string
  let path: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'table-'))
    path = join(folder, 'mailboxes')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('is read on first use, and answers at once after that', async () => {
    writeFileSync(path, 'ann@example.org OK\n')
    const mailboxes = tableFile(path)
    const router = createRouter({ local: ['example.org'], mailboxes })
    expect(await router.destination(mailbox('ann@example.org'), call)).toEqual({ kind: 'ours', refusal: null })
    expect(mailboxes.get('ann@example.org', call)).toBe('OK')
    expect(mailboxes.size).toBe(1)
    await mailboxes.load()
  })

  it('that cannot be read is a failure of the look-up, until it can', async () => {
    const mailboxes = tableFile(path)
    const router = createRouter({ local: ['example.org'], mailboxes })
    const ask = async () => router.destination(mailbox('ann@example.org'), call)
    await expect(mailboxes.load()).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_CONFIG' })
    await expect(ask()).rejects.toThrow('cannot read the table')
    expect(mailboxes.size).toBe(0)
    writeFileSync(path, 'ann@example.org OK\n')
    expect(await ask()).toEqual({ kind: 'ours', refusal: null })
  })

  it('changes only when it is reloaded, and a reload that fails keeps what was there', async () => {
    writeFileSync(path, 'ann@example.org OK\n')
    const mailboxes = tableFile(path)
    await mailboxes.load()
    writeFileSync(path, 'bob@example.org OK\n')
    expect(mailboxes.get('bob@example.org', call)).toBeUndefined()
    await mailboxes.reload()
    expect(mailboxes.get('bob@example.org', call)).toBe('OK')
    rmSync(path)
    await expect(mailboxes.reload()).rejects.toThrow('cannot read the table')
    expect(mailboxes.get('bob@example.org', call)).toBe('OK')
  })
})

it('a fixed router sends everything to one lane and vouches for nobody', async () => {
  const router = fixedRouter({ transport: 'smtp', destination: '[hub.example]:26' })
  expect(await router.route(mailbox('x@example.org'), null, call)).toEqual({
    kind: 'send',
    lane: { transport: 'smtp', destination: '[hub.example]:26' },
  })
  expect(await router.destination(mailbox('x@example.org'), call)).toEqual({ kind: 'relay', refusal: null })
})
