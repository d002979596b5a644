/**
 * Sockets that systemd has opened for us (sd_listen_fds(3)): a server without rights gets port 25, and no connection is
 * refused while it restarts. What the variables say is believed only when they are meant for this process.
 */
import { MailwrightError } from '@mailwright/core'

export interface InheritedSocket {
  /** To be given to a listener: `smtpListener({ intake, fd })`. */
  readonly fd: number
  /** FileDescriptorName= of the socket unit; `unknown` where it says nothing. */
  readonly name: string
}

/** The first descriptor that is passed on. */
const FIRST = 3
const MOST = 1_024

/**
 * The sockets passed to this process, in their order: none when the variables are not there or for another process.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` when they are for us but make no sense.
 * @example
 * const [smtp] = inheritedSockets()
 * mta.use(smtpListener(smtp ? { intake, fd: smtp.fd } : { intake, port: 25 }))
 */
export function inheritedSockets(
  env: Readonly<Record<string, string | undefined>> = process.env,
  pid: number = process.pid,
): readonly InheritedSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env
  if (LISTEN_PID === undefined || LISTEN_FDS === undefined || LISTEN_PID !== String(pid)) return []
  const count = /^\d{1,4}$/.test(LISTEN_FDS) ? Number(LISTEN_FDS) : Number.NaN
  const names = LISTEN_FDNAMES === undefined ? [] : LISTEN_FDNAMES.split(':')
  if (!(count <= MOST) || (names.length > 0 && names.length !== count)) {
    throw new MailwrightError('ERR_MAILWRIGHT_CONFIG', 'LISTEN_FDS and LISTEN_FDNAMES make no sense')
  }
  return Array.from({ length: count }, (_, index) => ({ fd: FIRST + index, name: names[index] || 'unknown' }))
}
