export type { Extension, VerbHandler } from './extension.ts'
export type { ListenerHandle } from './listener.ts'
export { smtpListener } from './listener.ts'
export type {
  ListenerProxies,
  ListenerTls,
  SmtpListenerOptions,
  TlsCertificate,
  TlsContexts,
} from './options.ts'
export type { TrustedHosts } from './trusted-hosts.ts'
