export type { MxAddresses } from './address-range.ts'
export type { AddressFamilies, SmtpTransportOptions, StageTimeouts, TlsPolicy } from './options.ts'
export { smtpTransport } from './smtp-transport.ts'
