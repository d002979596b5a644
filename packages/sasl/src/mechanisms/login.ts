/** LOGIN (draft-murchison-sasl-login): asks for the user, then for the password. Obsolete, and still what Outlook speaks. */
import { type MechanismDialogue, refused } from '../exchange.ts'
import { passwordForms, textOf, userName } from '../identity.ts'
import type { PasswordCheck } from './plain.ts'

const ASK_USER = Buffer.from('Username:')
const ASK_PASSWORD = Buffer.from('Password:')

/** Some clients send the user at once, as an initial response. */
export async function* login(initial: Uint8Array | undefined, isPassword: PasswordCheck): MechanismDialogue {
  const user = userName(textOf(initial ?? (yield ASK_USER)))
  const forms = passwordForms(textOf(yield ASK_PASSWORD))
  if (user === undefined || forms.length === 0) return refused('unusable user or password', user)
  return (await isPassword(user, forms)) ? { kind: 'success', user } : refused('wrong user or password', user)
}
