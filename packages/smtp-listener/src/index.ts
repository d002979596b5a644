export type { Extension, VerbHandler } from './extension.ts'
export type { ListenerHandle } from './listener.ts'
export { smtpListener } from './listener.ts'
export type { NetworkBits } from './network-of.ts'
export type {
  ListenerProxies,
  ListenerTls,
  ProtocolTestOptions,
  RateOptions,
  SmtpListenerOptions,
  StressOptions,
  TlsCertificate,
  TlsContexts,
} from './options.ts'
export { type PassedClients, passedClients } from './passed-clients.ts'
export type { ProtocolTest, TestAction, TestActions } from './protocol-tests.ts'
export type { TrustedHosts } from './trusted-hosts.ts'
