/** TCP, unix sockets and TLS by the operating system. */
import net from 'node:net'
import tls from 'node:tls'
import {
  type Call,
  type ClientTls,
  type ConnectTarget,
  type Listening,
  type ListenTarget,
  MailwrightError,
  type Network,
  type SecureWire,
  type Wire,
} from '@mailwright/core'
import { removeStaleSocket } from './system-unix-socket.ts'

/** The real network. */
export function systemNetwork(): Network {
  return { connect, listen, secure }
}

function connect(target: ConnectTarget, call: Call): Promise<Wire> {
  const socket = target.host.startsWith('/')
    ? net.connect({ path: target.host })
    : net.connect({ host: target.host, port: target.port, localAddress: target.localAddress, noDelay: true })
  return opened(socket, 'connect', call, `cannot connect to ${target.host} port ${target.port}`, () => socket)
}

async function listen(target: ListenTarget, accept: (wire: Wire) => void): Promise<Listening> {
  if ('path' in target) await removeStaleSocket(target.path)
  const server = net.createServer({ noDelay: true }, accept)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    const mode = 'path' in target ? target.mode : undefined
    const listening = (): void => {
      server.off('error', reject)
      resolve()
    }
    if (mode === undefined) server.listen(listenOptions(target), listening)
    else withMode(mode, () => server.listen(listenOptions(target), listening))
  })
  const address = server.address()
  return {
    // An inherited unix socket says its path, one without a name nothing.
    address:
      address === null || typeof address === 'string'
        ? { host: 'path' in target ? target.path : address || '/', port: 0 }
        : { host: address.address, port: address.port },
    // Resolved when the port is free: connections already accepted live on, so the server's own callback is not awaited.
    // A unix socket is removed with it.
    close: async () => void server.close(),
  }
}

/** A unix socket has its permissions from the start: whoever connects before a chmod would stay connected. */
function withMode(mode: number, listen: () => void): void {
  const before = process.umask(0o777 & ~mode)
  try {
    listen()
  } finally {
    process.umask(before)
  }
}

function listenOptions(target: ListenTarget): net.ListenOptions & { readonly fd?: number } {
  const backlog = 1_024
  if ('path' in target) return { path: target.path, backlog }
  if ('fd' in target) return { fd: target.fd, backlog }
  return { host: target.host, port: target.port, backlog }
}

function secure(wire: Wire, options: ClientTls, call: Call): Promise<SecureWire> {
  // Only asked of a chain that verified.
  let nameProblem: Error | undefined
  let trusted = false
  const socket = tls.connect({
    socket: wire,
    rejectUnauthorized: options.verify,
    checkServerIdentity(name, certificate) {
      trusted = true
      nameProblem = tls.checkServerIdentity(options.servername ?? name, certificate)
      return nameProblem
    },
    minVersion: options.minVersion ?? 'TLSv1.2',
    ...(options.servername !== undefined && net.isIP(options.servername) === 0
      ? { servername: options.servername }
      : {}),
    ...(options.ca === undefined ? {} : { ca: options.ca.map((one) => Buffer.from(one)) }),
    ...(options.tickets?.ticket === undefined ? {} : { session: Buffer.from(options.tickets.ticket) }),
  })
  if (options.tickets !== undefined) socket.on('session', (ticket: Buffer) => options.tickets?.keep(ticket))
  return opened(socket, 'secureConnect', call, 'TLS handshake failed', () => {
    return {
      wire: socket,
      authorized: socket.authorized,
      trusted,
      presented: () => presentedBy(socket),
      facts: {
        protocol: socket.getProtocol() ?? 'unknown',
        cipher: socket.getCipher().name,
        resumed: socket.isSessionReused(),
      },
    }
  })
}

/** Node links each certificate to its issuer's; a root to itself. */
function presentedBy(socket: tls.TLSSocket): readonly Uint8Array[] {
  const chain: Uint8Array[] = []
  let certificate: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (certificate?.raw !== undefined && !chain.some((seen) => certificate!.raw.equals(seen))) {
    chain.push(certificate.raw)
    certificate = certificate.issuerCertificate
  }
  return chain
}

/** Waits for a socket to open; on failure or abort destroys it and rejects with a coded error. */
function opened<S extends net.Socket, T>(
  socket: S,
  event: string,
  call: Call,
  problem: string,
  result: () => T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      call.signal.removeEventListener('abort', abort)
      socket.off('error', fail)
      socket.off('close', fail)
      socket.off(event, ready)
    }
    const ready = (): void => {
      settle()
      resolve(result())
    }
    const fail = (cause?: unknown): void => {
      settle()
      // A late error of a socket given up must not become an uncaught exception.
      socket.on('error', () => undefined)
      socket.destroy()
      reject(new MailwrightError('ERR_MAILWRIGHT_CONNECTION', problem, { cause }))
    }
    const abort = (): void => fail(call.signal.reason)
    if (call.signal.aborted) return fail(call.signal.reason)
    socket.once(event, ready)
    socket.once('error', fail)
    socket.once('close', fail)
    call.signal.addEventListener('abort', abort, { once: true })
  })
}
