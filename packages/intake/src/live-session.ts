/**
 * The facts of a session and how they change: by EHLO, STARTTLS, AUTH, and by the word of a trusted host. The one object
 * lives as long as the connection, because policies keep it; events get copies.
 */
import type { ClientClaims, ClientConnection, Session, TlsFacts } from '@mailwright/core'

/** A session whose facts the dialogue updates as it learns them. */
export type LiveSession = { -readonly [K in keyof Session]: Session[K] }

/** What is known when a client has connected. */
export function openSession(connection: ClientConnection, id: string, openedAt: number): LiveSession {
  return {
    id,
    protocol: connection.protocol,
    profile: connection.profile ?? 'mx',
    client: connection.client,
    server: connection.server,
    openedAt,
    helo: undefined,
    extended: false,
    tls: connection.tls,
    user: undefined,
    mechanism: undefined,
    via: connection.via,
    clientName: undefined,
  }
}

/** TLS is up: what the client said in clear text is forgotten, its name and its user with it (RFC 3207 §4.2). */
export function secureSession(session: LiveSession, tls: TlsFacts): void {
  session.tls = tls
  session.helo = undefined
  session.extended = false
  session.user = undefined
  session.mechanism = undefined
}

/**
 * A trusted host speaks for another client (XCLIENT). Nothing the host proved of itself becomes the client's: neither
 * the user it authenticated as nor its certificate.
 */
export function claimSession(session: LiveSession, claims: ClientClaims): void {
  if (claims.client !== undefined) {
    session.via ??= session.client
    session.client = claims.client
  }
  session.server = claims.server ?? session.server
  session.clientName = claims.clientName ?? session.clientName
  session.helo = claims.helo
  session.extended = false
  session.user = claims.user
  session.mechanism = undefined
  if (session.tls?.clientCertificate !== undefined) {
    const { clientCertificate: _, ...tls } = session.tls
    session.tls = tls
  }
}
