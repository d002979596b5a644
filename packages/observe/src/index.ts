export * from './event-counts.ts'
export * from './json-log.ts'
export * from './log-events.ts'
export * from './log-postfix-lines.ts'
export * from './logger.ts'
export * from './postfix-line.ts'
export * from './queue-gauges.ts'
export {
  type ReportPeriod,
  type TlsReport,
  type TlsReports,
  type TlsReportsOptions,
  tlsReport,
  tlsReports,
} from './tls-reports.ts'
export type { DomainTally, FailureTally, PolicyTally } from './tls-tally.ts'
