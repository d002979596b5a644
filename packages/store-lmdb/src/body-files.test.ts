import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BodyFiles } from './body-files.ts'
import { CALL, spoolDirectory } from './testing-support/spool-directory.ts'

async function files(): Promise<{ readonly files: BodyFiles; readonly directory: string }> {
  const directory = await spoolDirectory()
  const subject = new BodyFiles(directory, 'test', 7)
  await subject.prepare()
  return { files: subject, directory }
}

describe('a spool for a large body', () => {
  it('gathers small chunks, and asks for patience when more waits than one write takes', async () => {
    const { files: subject } = await files()
    const spool = subject.spool()
    const chunk = Buffer.alloc(64 * 1024, 97)
    const answers = Array.from({ length: 12 }, () => spool.write(chunk))
    expect(answers.slice(0, 4).every((answer) => answer === undefined)).toBe(true)
    expect(answers.slice(4).every((answer) => answer instanceof Promise)).toBe(true)
    await Promise.all(answers)
    const body = await spool.finish()
    expect(body.size).toBe(12 * chunk.length)
    await body.discard()
  })

  it('writes nothing before there is something to write', async () => {
    const { files: subject, directory } = await files()
    const spool = subject.spool()
    await spool.write(Buffer.from('small'))
    expect(await readdir(join(directory, 'bodies'))).toEqual([])
    await spool.abort()
    expect(await readdir(join(directory, 'bodies'))).toEqual([])
  })

  it('that cannot be written tells the writer, and aborts in peace', async () => {
    const subject = new BodyFiles(join(await spoolDirectory(), 'missing'), 'test', 7)
    const spool = subject.spool()
    await spool.write(Buffer.alloc(10))
    await expect(spool.finish()).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await expect(spool.write(Buffer.alloc(10))).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await spool.abort()
  })

  it('that was aborted takes no more', async () => {
    const { files: subject } = await files()
    const spool = subject.spool()
    await spool.abort()
    await expect(spool.write(Buffer.alloc(10))).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
    await expect(spool.finish()).rejects.toMatchObject({ code: 'ERR_MAILWRIGHT_STORE' })
  })

  it('can be read before, while and after it gets its lasting name', async () => {
    const { files: subject, directory } = await files()
    const file = await subject.copy([Buffer.alloc(600_000, 98)])
    const sizes = new Set<number>()
    const read = async (): Promise<void> => {
      let size = 0
      for await (const chunk of file.read(CALL)) size += chunk.length
      sizes.add(size)
    }
    const reads = [read(), read()]
    const name = await file.place('a1')
    reads.push(read())
    await Promise.all(reads)
    await file.keep()
    await file.discard()
    await read()
    expect([...sizes]).toEqual([600_000])
    expect(name).toMatch(/^[0-9a-f]{2}\/a1~test~7-1$/)
    expect(await readdir(join(directory, 'bodies'))).toEqual([name.slice(0, 2)])
  })
})
