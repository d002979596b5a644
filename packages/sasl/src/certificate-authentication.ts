/**
 * Clients that showed a certificate (EXTERNAL): the listener has verified it, and a function of the host says which user it
 * stands for.
 */
import type {
  AuthenticationContext,
  AuthenticationExchange,
  Authenticator,
  Awaitable,
  Block,
  Call,
  ClientCertificate,
  Scope,
  Session,
} from '@mailwright/core'
import { tell } from './back-end.ts'
import { type MayActAs, nobodyElse } from './credentials.ts'
import { endedExchange, malformed, runExchange } from './exchange.ts'
import { external } from './mechanisms/external.ts'

export interface CertificateAuthenticationOptions {
  /** The user a certificate stands for; undefined for nobody. May reject: 454. */
  readonly user: (certificate: ClientCertificate) => Awaitable<string | undefined>
  /**
   * Which certificates count. Default `verified`: those that chain to the listener's `ca`. With `any`, the function has to
   * look at the fingerprint, because anybody can make a certificate with any subject.
   */
  readonly certificates?: 'verified' | 'any' | undefined
  /** Names it in events. Default `certificate`. */
  readonly name?: string | undefined
  readonly mayActAs?: MayActAs | undefined
}

/**
 * An authenticator for client certificates.
 *
 * @example
 * const devices = { 'ab12…': 'printer@example.org' }
 * mta.use(certificateAuthentication({ certificates: 'any', user: ({ fingerprint }) => devices[fingerprint] }))
 */
export function certificateAuthentication(options: CertificateAuthenticationOptions): Block<Authenticator> {
  const { name = 'certificate', certificates = 'verified', mayActAs = nobodyElse } = options

  function certificateOf(session: Session): ClientCertificate | undefined {
    const certificate = session.tls?.clientCertificate
    return certificate !== undefined && (certificate.verified || certificates === 'any') ? certificate : undefined
  }

  function create(scope: Scope): Authenticator {
    return {
      name,
      mechanisms: (session) => (certificateOf(session) === undefined ? [] : ['EXTERNAL']),
      begin(mechanism: string, { session }: AuthenticationContext, call: Call): AuthenticationExchange {
        const certificate = certificateOf(session)
        if (mechanism !== 'EXTERNAL' || certificate === undefined) {
          return endedExchange(malformed('mechanism not offered'))
        }
        const certified = async (): Promise<string | undefined> => options.user(certificate)
        return runExchange(
          (initial) => external(initial, certified, mayActAs),
          call,
          (problem) => tell(scope, name, problem),
        )
      },
    }
  }
  return { name, create }
}
