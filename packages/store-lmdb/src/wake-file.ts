/** How another process's change wakes the owner: it writes one byte to a file that the owner's system watches. */
import { type FSWatcher, watch } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface WakeFile {
  close(): void
}

/** Calls back after each change of another process; several changes may be one call. */
export async function watchWakeFile(
  directory: string,
  onWake: () => void,
  onError: (error: unknown) => void,
): Promise<WakeFile> {
  const path = join(directory, 'wake')
  await (await open(path, 'a', 0o600)).close()
  const watcher: FSWatcher = watch(path, { persistent: false }, onWake)
  watcher.on('error', onError)
  return { close: () => watcher.close() }
}

/** Wakes the owner, if there is one. Written in place, so that the owner's watch stays on the same file. */
export async function wakeOwner(directory: string): Promise<void> {
  await writeFile(join(directory, 'wake'), '.', { mode: 0o600 })
}
