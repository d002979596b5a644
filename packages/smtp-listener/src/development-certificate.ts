/**
 * A self-signed certificate (X.509 v3, RFC 5280, P-256) made on the spot, so that TLS can be tried without having one.
 * It proves nothing to anybody, is new at each start and is never written anywhere. It knows just enough DER for that.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** For `hostname` and `localhost`. */
export function developmentCertificate(hostname: string): { readonly key: string; readonly cert: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = sequence(object('2a8648ce3d040302')) // ecdsa-with-SHA256
  const name = sequence(der(0x31, sequence(object('550403'), der(0x0c, Buffer.from('Mailwright development')))))
  const names = [hostname, 'localhost'].map((each) => der(0x82, Buffer.from(each, 'latin1')))
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])), // the serial number, positive
    algorithm,
    name,
    sequence(der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('491231235959Z'))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(sequence(object('551d11'), der(0x04, sequence(...names))))), // subjectAltName
  )
  const whole = sequence(body, algorithm, der(0x03, Buffer.from([0]), sign('sha256', body, privateKey)))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
  }
}

function object(identifier: string): Buffer {
  return der(0x06, Buffer.from(identifier, 'hex'))
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts)
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}
