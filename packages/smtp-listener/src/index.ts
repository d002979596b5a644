export type { Extension, VerbHandler } from './extension.ts'
export type { ListenerHandle } from './listener.ts'
export { smtpListener } from './listener.ts'
export type { ListenerTls, SmtpListenerOptions } from './options.ts'
