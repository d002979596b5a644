export type { MxAddresses } from './address-range.ts'
export type { AddressFamilies, SmtpTransportOptions, StageTimeouts } from './options.ts'
export { lmtpTransport, smtpTransport } from './smtp-transport.ts'
export type { TlsLevel, TlsPolicies, TlsPolicy } from './tls-policy.ts'
