export type { HttpTransportOptions } from './http-transport.ts'
export { httpTransport } from './http-transport.ts'
export { isSignedBy } from './signature.ts'
