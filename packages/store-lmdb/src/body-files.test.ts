import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeAll } from './body-file.ts'
import { BodyFiles } from './body-files.ts'
import { CALL, spoolDirectory } from './testing-support/spool-directory.ts'

async function files(): Promise<{ readonly files: BodyFiles; readonly directory: string }> {
  const directory = await spoolDirectory()
  const subject = new BodyFiles(directory, 'test', 7, undefined)
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
    const subject = new BodyFiles(join(await spoolDirectory(), 'missing'), 'test', 7, undefined)
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

  it('loses nothing when the system writes less than it was given, and says so only by a number', async () => {
    const disk: number[] = []
    let calls = 0
    const writev = async <T extends readonly NodeJS.ArrayBufferView[]>(buffers: T) => {
      // A part of the first chunk, then more than one, then nothing, then the rest.
      const room = [2, 5, 0, 1_000][calls++]!
      const bytes = Buffer.concat(buffers as readonly Uint8Array[]).subarray(0, room)
      disk.push(...bytes)
      return { bytesWritten: bytes.length, buffers }
    }
    await writeAll(
      { writev },
      ['Hello', '', 'dear', 'world'].map((text) => Buffer.from(text)),
    )
    expect(Buffer.from(disk).toString()).toBe('Hellodearworld')
    expect(calls).toBe(4)
  })

  it('that cannot be removed is left to the next opening, and nobody is stopped by it', async () => {
    const { files: subject, directory } = await files()
    const spool = subject.spool()
    await spool.write(Buffer.alloc(10))
    const body = await spool.finish()
    const inTheWay = join(directory, 'bodies', 'tmp-~test~7-1')
    await rm(inTheWay)
    await mkdir(inTheWay)
    await body.discard()
    await subject.remove('tmp-~test~7-1')
    expect(await readdir(join(directory, 'bodies'))).toEqual(['tmp-~test~7-1'])
  })

  it('whose name is nobody’s is removed at the next opening', async () => {
    const { files: subject, directory } = await files()
    await writeFile(join(directory, 'bodies', 'nonsense'), '')
    expect(await subject.removeStrays(() => false)).toBe(1)
    expect(await readdir(join(directory, 'bodies'))).toEqual([])
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
