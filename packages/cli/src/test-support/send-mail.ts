import { systemNetwork } from '@mailwright/kernel'
import { dialogue } from '@mailwright/testing'

/** Sends one message to a server on loopback. Each recipient is answered for by itself when it speaks LMTP. */
export async function sendMail(
  port: number,
  text: string,
  to: readonly string[] = ['bob@example.net'],
  hello: 'EHLO' | 'LHLO' = 'EHLO',
): Promise<void> {
  const call = { signal: AbortSignal.timeout(10_000) }
  const client = dialogue(await systemNetwork().connect({ host: '127.0.0.1', port }, call))
  await client.expect(220)
  await client.command(`${hello} client.example.org`, 250)
  await client.mail('ann@example.org', to, text)
  for (const _ of hello === 'LHLO' ? to.slice(1) : []) await client.expect(250)
  await client.command('QUIT', 221)
  client.destroy()
}
