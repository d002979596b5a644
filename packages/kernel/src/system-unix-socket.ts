/**
 * A unix socket that a killed process left behind stands in the way of the next one. It is removed only when it is a
 * socket and nobody answers it; a file, and a socket in use, stay, and listening fails with what the system says.
 */
import { lstat, unlink } from 'node:fs/promises'
import net from 'node:net'

/** Makes room at the path where that is safe. Never rejects: what is left to say, listening says. */
export async function removeStaleSocket(path: string): Promise<void> {
  try {
    if ((await lstat(path)).isSocket() && !(await answers(path))) await unlink(path)
  } catch {
    // Nothing there, or not ours to look at.
  }
}

/** Only a refused connection means that nobody is there: a full backlog or a lack of rights does not. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
}
