import {
  type DeliveryJob,
  type Outcome,
  type RecipientId,
  sameOutcome,
  type Transport,
  toOutcome,
} from '@mailwright/core'
import { wholeMessage } from '@mailwright/message'
import { scriptedTransport } from '../scripted-transport.ts'
import { transportConformance } from './transport.ts'

transportConformance({
  name: 'the scripted transport behind a reader',
  create: () => {
    const inner = scriptedTransport({ outcomes: { '*': 'ok' } })
    const received: Buffer[] = []
    let broken = false
    const transport: Transport = {
      name: 'reading',
      async deliver(job: DeliveryJob, call): Promise<ReadonlyMap<RecipientId, Outcome>> {
        try {
          if (broken) throw new Error('broken')
          received.push(Buffer.from(await wholeMessage(job.message, call, job.message.size)))
        } catch (error) {
          return sameOutcome(job.envelope, toOutcome(error))
        }
        return inner.deliver(job, call)
      },
    }
    return {
      transport,
      received: () => received,
      breakDown: () => {
        broken = true
      },
      stall: () => inner.pause(),
    }
  },
})
