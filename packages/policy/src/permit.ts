/** Policies that vote for a recipient. None of them can let pass what another policy rejects. */
import { accept, contains, type Policy, parseAddress, parseBlock, policy } from '@mailwright/core'

/**
 * Accepts recipients from clients in the networks given, in CIDR form.
 *
 * @throws MailwrightError `ERR_MAILWRIGHT_CONFIG` for what is no network.
 * @example
 * permitNetworks(['10.0.0.0/8', '2001:db8::/32'])
 */
export function permitNetworks(networks: readonly string[]): Policy {
  return networksPolicy('permit-networks', networks)
}

/** Accepts recipients from clients on this host: 127.0.0.0/8 and ::1. */
export function permitLoopback(): Policy {
  return networksPolicy('permit-loopback', ['127.0.0.0/8', '::1'])
}

/** Accepts recipients from authenticated clients. */
export function permitAuthenticated(): Policy {
  return policy('permit-authenticated', (session) => ({
    rcpt: () => (session.user === undefined ? undefined : accept(`authenticated as ${session.user}`)),
  }))
}

/** Accepts every recipient of every client. For sinks and tests: behind anything that sends on, it is an open relay. */
export function acceptAll(): Policy {
  const always = accept('everything is accepted')
  return policy('accept-all', { rcpt: () => always })
}

function networksPolicy(name: string, networks: readonly string[]): Policy {
  const blocks = networks.map(parseBlock)
  return policy(name, (session) => {
    // A client does not change its address: decided once for a connection, not for each recipient.
    const address = parseAddress(session.client.address)
    const block = address === undefined ? undefined : blocks.find((one) => contains(one, address))
    if (block === undefined) return {}
    const answer = accept(`client ${session.client.address} is in ${block.text}`)
    return { rcpt: () => answer }
  })
}
