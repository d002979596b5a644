import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Block, Lifecycle, ListenAddress, Scope } from '@mailwright/core'
import type { SeenMail } from './mail-window.ts'
import { listPage, messagePage } from './web-page.ts'

/** Shows what a sink took, at `/` for people and at `/messages.json` for programs. */
export function webServer(listen: ListenAddress, seen: readonly SeenMail[]): Block<object> {
  return {
    name: 'web page',
    create(scope: Scope): Lifecycle {
      const server = createServer((request, response) => {
        const path = request.url ?? '/'
        const id = path.startsWith('/message/') ? safeDecode(path.slice('/message/'.length)) : undefined
        const mail = id === undefined ? undefined : seen.find((each) => each.id === id)
        if (request.method !== 'GET' && request.method !== 'HEAD') answer(response, 405, 'text/plain', 'Only GET\n')
        else if (path === '/') answer(response, 200, 'text/html', listPage(seen))
        else if (path === '/messages.json') answer(response, 200, 'application/json', JSON.stringify(seen))
        else if (mail !== undefined) answer(response, 200, 'text/html', messagePage(mail))
        else answer(response, 404, 'text/plain', 'No such message\n')
      })
      return {
        async start(): Promise<void> {
          await new Promise<void>((resolve, reject) => {
            server.once('error', reject)
            server.listen({ host: listen.host, port: listen.port }, resolve)
          })
          const { address, port } = server.address() as AddressInfo
          const host = address.includes(':') ? `[${address}]` : address
          scope.events.emit({ type: 'listener.ready', listener: 'web page', url: `http://${host}:${port}` })
        },
        async stop(): Promise<void> {
          server.closeAllConnections()
          await new Promise<void>((resolve) => server.close(() => resolve()))
        },
      }
    },
  }
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
    'x-content-type-options': 'nosniff',
  })
  response.end(body)
}

function safeDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
