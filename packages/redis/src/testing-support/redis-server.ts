/** Real servers for tests: killed when the test is over. */
import { describe, onTestFinished } from 'vitest'
import { launch, type RedisServer, type ServerOptions, WITHOUT_SERVER } from './server-process.ts'

/** A server without persistence, unless the settings say otherwise. */
export async function redisServer(options: ServerOptions = {}): Promise<RedisServer> {
  const server = await launch(options)
  onTestFinished(server.dispose)
  return server
}

/** Tests with a real server: skipped, saying so, where there is none. */
export function withServer(title: string, tests: () => void): void {
  if (WITHOUT_SERVER === undefined) describe(title, tests)
  else describe.skip(`${title} (${WITHOUT_SERVER})`, tests)
}
