import { policy, accept } from '@mailwright/core'
import { createMta, shutdownSignal } from '@mailwright/kernel'
import { mailIntake } from '@mailwright/intake'
import { messageQueue } from '@mailwright/queue'
import { memoryStore } from '@mailwright/queue'
import { smtpListener } from '@mailwright/smtp-listener'
import { smtpTransport } from '@mailwright/smtp-transport'
const [port, next] = process.argv.slice(2)
const mta = createMta()
const lane = { transport: 'smtp', destination: `[127.0.0.1]:${next}` }
const router = { route: () => ({ kind: 'send', lane } as const), destination: () => ({ kind: 'relay', refusal: null } as const) }
const queue = mta.use(messageQueue({ hostname: 'h.example', store: memoryStore(), router, transports: { smtp: smtpTransport({ hostname: 'h.example' }) } }))
const intake = mta.use(mailIntake({ hostname: 'h.example', transport: queue, policies: [policy('all', { rcpt: () => accept() })] }))
mta.use(smtpListener({ intake, host: '127.0.0.1', port: Number(port) }))
mta.events.subscribe((e) => { if (e.type === 'failure' || e.type==='listener.ready') console.error(e) })
await mta.run(shutdownSignal())
