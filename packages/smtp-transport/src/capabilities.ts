/** What a server offers in its answer to EHLO (RFC 5321 §4.1.1.1). Keywords we do not use are ignored. */

export interface Capabilities {
  readonly pipelining: boolean
  /** RFC 1870: the largest message in bytes; 0 for offered without a limit; undefined for not offered. */
  readonly size: number | undefined
  readonly eightBitMime: boolean
  readonly smtpUtf8: boolean
  readonly startTls: boolean
  readonly dsn: boolean
  readonly requireTls: boolean
  /** BDAT (RFC 3030). */
  readonly chunking: boolean
  readonly binaryMime: boolean
  readonly mtPriority: boolean
  /** RFC 2852: the shortest time in seconds after which mail may be returned, 0 for any; undefined for not offered. */
  readonly deliverBy: number | undefined
  /** SASL mechanisms, in upper case (RFC 4954). */
  readonly auth: readonly string[]
}

/** A server that answered only HELO. */
export const NO_CAPABILITIES: Capabilities = capabilitiesOf([])

/** Reads the lines of a positive EHLO reply; the first names the server. */
export function capabilitiesOf(lines: readonly string[]): Capabilities {
  const offered = new Map<string, string>()
  let auth: readonly string[] = []
  for (const line of lines.slice(1)) {
    const [keyword = '', ...parameters] = line
      .trim()
      .toUpperCase()
      .split(/[ \t=]+/)
    // Some say it twice, as `AUTH=…` for clients of old.
    if (keyword === 'AUTH') auth = [...auth, ...parameters]
    else offered.set(keyword, parameters[0] ?? '')
  }
  const size = offered.get('SIZE')
  const deliverBy = offered.get('DELIVERBY')
  return {
    pipelining: offered.has('PIPELINING'),
    size: size === undefined ? undefined : /^\d{1,15}$/.test(size) ? Number(size) : 0,
    eightBitMime: offered.has('8BITMIME'),
    smtpUtf8: offered.has('SMTPUTF8'),
    startTls: offered.has('STARTTLS'),
    dsn: offered.has('DSN'),
    requireTls: offered.has('REQUIRETLS'),
    chunking: offered.has('CHUNKING'),
    binaryMime: offered.has('BINARYMIME'),
    mtPriority: offered.has('MT-PRIORITY'),
    deliverBy: deliverBy === undefined ? undefined : /^\d{1,9}$/.test(deliverBy) ? Number(deliverBy) : 0,
    auth,
  }
}
