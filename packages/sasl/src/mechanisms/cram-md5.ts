/**
 * CRAM-MD5 (RFC 2195): the client keys a digest of our challenge with the password. Needs the password itself in the
 * store, and MD5: for old clients only.
 */
import { createHmac } from 'node:crypto'
import { type MechanismDialogue, malformed, refused } from '../exchange.ts'
import { prepared, sameSecret, textOf, userName } from '../identity.ts'

/** `challenge` is `<unique@host>`. `secretOf` gives what the password may have been stored as; empty for an unknown user. */
export async function* cramMd5(
  initial: Uint8Array | undefined,
  challenge: string,
  secretOf: (user: string) => Promise<string | undefined>,
): MechanismDialogue {
  if (initial !== undefined) return malformed('CRAM-MD5 begins with a challenge')
  const text = textOf(yield Buffer.from(challenge))
  const [, name, digest] = /^([^\0]+) ([0-9a-f]{32})$/i.exec(text ?? '') ?? []
  if (name === undefined || digest === undefined) return malformed('not a CRAM-MD5 response')
  const user = userName(name)
  if (user === undefined) return refused('unusable user')
  const secret = await secretOf(user)
  // An unknown user takes the same steps; the outcome does not count.
  const expected = createHmac('md5', prepared(secret ?? challenge) ?? secret ?? challenge)
    .update(challenge)
    .digest('hex')
  const right = sameSecret(expected, digest.toLowerCase())
  return right && secret !== undefined ? { kind: 'success', user } : refused('wrong user or password', user)
}
