/**
 * Certificates for tests, made on the spot: X.509 v3 (RFC 5280) with P-256 keys. No key material lies in the repository
 * and nothing expires with time. Knows just enough DER for that; never use it outside tests.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

/** Both in PEM, as `tls` takes them. */
export interface TestCertificate {
  readonly key: string
  readonly cert: string
  /** SHA-256 of the public key, the data of a TLSA record `3 1 1` (RFC 6698). */
  readonly publicKeyHash: Uint8Array
}

export interface CertificateRequest {
  /** DNS names, wildcards included; the first is also the common name. */
  readonly names: readonly string[]
  /** Default: 2020. */
  readonly notBefore?: Date
  /** Default: 2049. */
  readonly notAfter?: Date
}

export interface TestAuthority {
  /** The root certificate in PEM: what a client must trust. */
  readonly ca: string
  issue(request: CertificateRequest): TestCertificate
}

/**
 * A certificate authority of its own.
 *
 * @example
 * const authority = testAuthority()
 * const { key, cert } = authority.issue({ names: ['mx.example.org'] })
 * await net.secure(wire, { servername: 'mx.example.org', verify: true, ca: [authority.ca] }, call)
 */
export function testAuthority(commonName = 'Test authority'): TestAuthority {
  const root = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const period = { notBefore: new Date(Date.UTC(2020, 0, 1)), notAfter: new Date(Date.UTC(2049, 0, 1)) }
  let serial = 1
  const isAuthority = extension('551d13', sequence(BOOLEAN_TRUE), 'critical')
  const ca = certificate({
    serial: serial++,
    issuer: commonName,
    subject: commonName,
    ...period,
    publicKey: root.publicKey,
    signingKey: root.privateKey,
    extensions: [isAuthority],
  })
  return {
    ca,
    issue(request: CertificateRequest): TestCertificate {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const names = request.names.map((name) => der(0x82, Buffer.from(name, 'latin1')))
      const cert = certificate({
        serial: serial++,
        issuer: commonName,
        subject: request.names[0] ?? '',
        notBefore: request.notBefore ?? period.notBefore,
        notAfter: request.notAfter ?? period.notAfter,
        publicKey,
        signingKey: root.privateKey,
        extensions: [extension('551d11', sequence(...names))],
      })
      const spki = publicKey.export({ type: 'spki', format: 'der' })
      return {
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        cert,
        publicKeyHash: createHash('sha256').update(spki).digest(),
      }
    },
  }
}

interface CertificateParts {
  readonly serial: number
  readonly issuer: string
  readonly subject: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly publicKey: KeyObject
  readonly signingKey: KeyObject
  readonly extensions: readonly Buffer[]
}

function certificate(parts: CertificateParts): string {
  const algorithm = sequence(der(0x06, Buffer.from('2a8648ce3d040302', 'hex'))) // ecdsa-with-SHA256
  const body = sequence(
    der(0xa0, integer(2)), // version 3
    integer(parts.serial),
    algorithm,
    distinguishedName(parts.issuer),
    sequence(time(parts.notBefore), time(parts.notAfter)),
    distinguishedName(parts.subject),
    parts.publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...parts.extensions)),
  )
  const signature = sign('sha256', body, parts.signingKey)
  const whole = sequence(body, algorithm, der(0x03, Buffer.from([0]), signature))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const BOOLEAN_TRUE = Buffer.from([0x01, 0x01, 0xff])

function extension(oid: string, value: Buffer, weight?: 'critical'): Buffer {
  const critical = weight === 'critical' ? [BOOLEAN_TRUE] : []
  return sequence(der(0x06, Buffer.from(oid, 'hex')), ...critical, der(0x04, value))
}

function distinguishedName(commonName: string): Buffer {
  if (commonName === '') return sequence()
  const attribute = sequence(der(0x06, Buffer.from('550403', 'hex')), der(0x0c, Buffer.from(commonName)))
  return sequence(der(0x31, attribute))
}

/** UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
  return date.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits))
}

function integer(value: number): Buffer {
  const hex = value.toString(16)
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return der(0x02, bytes[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts)
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag, ...lengthBytes(content.length)]), content])
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length]
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
}
