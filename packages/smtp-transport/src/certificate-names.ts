/** Whether a certificate is for one of the names we would talk to (RFC 6125). Wildcards stand for one label. */
import type { X509Certificate } from 'node:crypto'

/**
 * What is wrong with the certificate's names; undefined when it is for one of `names`. A name that begins with a dot
 * means every host below it.
 */
export function namesProblem(certificate: X509Certificate, names: readonly string[]): string | undefined {
  const matches = names.some((name) =>
    name.startsWith('.')
      ? hostNames(certificate).some((host) => host.endsWith(name))
      : certificate.checkHost(name, { partialWildcards: false }) !== undefined,
  )
  return matches ? undefined : `the certificate is not for ${names.join(' or ')}`
}

/** The DNS names a certificate is for; a wildcard's dot stays with what it stands before. */
function hostNames({ subjectAltName = '' }: X509Certificate): readonly string[] {
  return [...subjectAltName.matchAll(/DNS:([^,\s"]+)/g)].map((match) => match[1]!.toLowerCase().replace(/^\*/, ''))
}
