/** PLAIN (RFC 4616): `[authzid] NUL authcid NUL password`. The password itself crosses the wire: for TLS only. */
import type { MayActAs } from '../credentials.ts'
import { EMPTY, type MechanismDialogue, malformed, refused } from '../exchange.ts'
import { passwordForms, textOf, userName } from '../identity.ts'

/** Whether this is the user's password, in any of the forms it may have been stored in. */
export type PasswordCheck = (user: string, forms: readonly string[]) => Promise<boolean>

export async function* plain(
  initial: Uint8Array | undefined,
  isPassword: PasswordCheck,
  mayActAs: MayActAs,
): MechanismDialogue {
  const parts = textOf(initial ?? (yield EMPTY))?.split('\0')
  if (parts?.length !== 3) return malformed('not a PLAIN message')
  const [as, authenticating, password] = parts as [string, string, string]
  const user = userName(authenticating)
  const forms = passwordForms(password)
  if (user === undefined || forms.length === 0) return refused('unusable user or password', user)
  if (!(await isPassword(user, forms))) return refused('wrong user or password', user)
  return actingAs(user, as, mayActAs)
}

/** The end of every mechanism with an authorization identity: the user is itself, or who it may act as. */
export function actingAs(user: string, as: string, mayActAs: MayActAs, data?: Uint8Array): ReturnType<typeof refused> {
  const who = as === '' ? user : userName(as)
  if (who === undefined || (who !== user && !mayActAs(user, who))) return refused('may not act as another', user)
  return data === undefined ? { kind: 'success', user: who } : { kind: 'success', user: who, data }
}
