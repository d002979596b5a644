/** A submission service: users send mail over TLS once they have proved who they are, each under addresses of their own. */
import {
  type Authenticator,
  type Environment,
  type ListenerTls,
  type QueueStore,
  type SubmissionServer,
  submissionServer,
} from 'mailwright'

export interface ServiceParts {
  readonly tls: Omit<ListenerTls, 'mode'>
  readonly auth: Authenticator
  readonly store: QueueStore
  /** For STARTTLS and for TLS from the first byte. */
  readonly ports: { readonly starttls: number; readonly implicit: number }
  readonly environment?: Partial<Environment>
}

export function submissionService(parts: ServiceParts): SubmissionServer {
  return submissionServer({
    hostname: 'mail.example.org',
    host: '127.0.0.1',
    port: parts.ports.starttls,
    tlsPort: parts.ports.implicit,
    tls: parts.tls,
    auth: parts.auth,
    owners: {
      'ann@example.org': ['ann'],
      'team@example.org': ['ann', 'bob'],
      // Everything else of the domain belongs to the postmaster.
      '@example.org': ['postmaster'],
    },
    store: parts.store,
    nextHop: 'mx',
    environment: parts.environment ?? {},
  })
}
