import { describe, expect, it } from 'vitest'
import { GroupCommit } from './group-commit.ts'

/** A disk whose commits end when the test says so. */
function handDisk(): {
  readonly begun: string[]
  write(name: string): () => Promise<string>
  end(): void
  fail(): void
} {
  const begun: string[] = []
  let current = Promise.withResolvers<void>()
  const renew = (): void => {
    current = Promise.withResolvers()
  }
  return {
    begun,
    write: (name) => () => {
      begun.push(name)
      return current.promise.then(() => name)
    },
    end() {
      current.resolve()
      renew()
    },
    fail() {
      current.reject(new Error('disk'))
      renew()
    },
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a group commit', () => {
  it('begins at once when nothing is under way, and takes in what comes in the same turn', () => {
    const disk = handDisk()
    const commits = new GroupCommit()
    void commits.join(disk.write('one'))
    void commits.join(disk.write('two'))
    expect(disk.begun).toEqual(['one', 'two'])
  })

  it('lets what comes during a commit wait for its end, and then go together', async () => {
    const disk = handDisk()
    const commits = new GroupCommit()
    const first = commits.join(disk.write('one'))
    await turn()
    const later = [commits.join(disk.write('two')), commits.join(disk.write('three'))]
    expect(disk.begun).toEqual(['one'])
    disk.end()
    expect(await first).toBe('one')
    await turn()
    expect(disk.begun).toEqual(['one', 'two', 'three'])
    disk.end()
    expect(await Promise.all(later)).toEqual(['two', 'three'])
  })

  it('goes on after a commit that failed, and tells only those who were in it', async () => {
    const disk = handDisk()
    const commits = new GroupCommit()
    const first = commits.join(disk.write('one'))
    await turn()
    const second = commits.join(disk.write('two'))
    disk.fail()
    await expect(first).rejects.toThrow('disk')
    await turn()
    disk.end()
    expect(await second).toBe('two')
  })

  it('goes on with the others when one of them cannot even be queued', async () => {
    const disk = handDisk()
    const commits = new GroupCommit()
    const first = commits.join(disk.write('one'))
    await turn()
    const unfit = commits.join(() => {
      throw new Error('no row')
    })
    const third = commits.join(disk.write('three'))
    disk.end()
    await first
    await expect(unfit).rejects.toThrow('no row')
    disk.end()
    expect(await third).toBe('three')
  })

  it('is open again for a single write after the last group has ended', async () => {
    const disk = handDisk()
    const commits = new GroupCommit()
    const first = commits.join(disk.write('one'))
    await turn()
    disk.end()
    await first
    await turn()
    void commits.join(disk.write('two'))
    expect(disk.begun).toEqual(['one', 'two'])
  })
})
