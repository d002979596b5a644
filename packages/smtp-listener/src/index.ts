export type { ListenerHandle } from './listener.ts'
export { smtpListener } from './listener.ts'
export type { NetworkBits } from './network-of.ts'
export type {
  ListenerTls,
  ProtocolTestOptions,
  RateOptions,
  SmtpListenerOptions,
  StressOptions,
} from './options.ts'
export { type PassedClients, passedClients } from './passed-clients.ts'
export type { ProtocolTest, TestAction, TestActions } from './protocol-tests.ts'
