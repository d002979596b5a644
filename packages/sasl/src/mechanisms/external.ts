/** EXTERNAL (RFC 4422 appendix A): who the client is was shown by its certificate; it may say as whom it wants to act. */
import type { MayActAs } from '../credentials.ts'
import { EMPTY, type MechanismDialogue, malformed, refused } from '../exchange.ts'
import { textOf, userName } from '../identity.ts'
import { actingAs } from './plain.ts'

/** `certified` is the user the certificate stands for. */
export async function* external(
  initial: Uint8Array | undefined,
  certified: () => Promise<string | undefined>,
  mayActAs: MayActAs,
): MechanismDialogue {
  const as = textOf(initial ?? (yield EMPTY))
  if (as === undefined || as.includes('\0')) return malformed('not an EXTERNAL message')
  const user = userName(await certified())
  return user === undefined ? refused('the certificate stands for nobody') : actingAs(user, as, mayActAs)
}
