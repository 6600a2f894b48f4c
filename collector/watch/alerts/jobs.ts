/** The jobs of alerts: look at the rules, bring out messages. They share what is in memory and run under one lease. */
import { randomUUID } from 'node:crypto'
import type { JobParts } from '../jobs.ts'
import type { Job } from '../watch.ts'
import { writeConfigNote } from './config-notes.ts'
import { openEngine } from './engine.ts'
import { openOutbox } from './outbox.ts'
import { post } from './receivers/request.ts'

const DELIVERY_EVERY_MS = 1_000
const RESEND_TIMEOUT_MS = 10_000

export type AlertJobParts = Omit<JobParts, 'book'>

/** Where a person reaches a listener. */
const consoleUrl = (listen: string): string =>
  `http://${listen.replace(/^(0\.0\.0\.0|\[::\]):/, 'localhost:')}`

export function alertJobs(parts: AlertJobParts): readonly Job[] {
  const { store, reader, log, metrics } = parts
  const self = randomUUID()
  let term = ''
  const outbox = openOutbox({
    store,
    log,
    sender: () => term,
    onAttempt: (receiver, result) => metrics.count('weir_alert_deliveries_total', 1, { receiver, result }),
  })
  const { instance, listen } = parts.options()
  const engine = openEngine({
    store,
    reader,
    outbox,
    log,
    instance,
    console_url: consoleUrl(listen),
    options: () => parts.options().alerts,
    onState: (state, count) => metrics.set('weir_alerts', count, { state }),
  })
  const resent = new Map<string, number>()
  let isLoaded = false
  let noted_ms = 0
  const interval_ms = (): number => parts.options().alerts.alerts.evaluation_interval_s * 1000
  return [
    {
      name: 'alerts',
      get every_ms() {
        return interval_ms()
      },
      async run(now_ms, epoch) {
        const begins = `${epoch}:${self}`
        // What is in memory may be of an earlier term, and another collector has gone on from there.
        if (term !== begins) isLoaded = false
        term = begins
        await engine.run(now_ms, epoch)
        isLoaded = true
      },
    },
    {
      name: 'alert_delivery',
      get every_ms() {
        return Math.min(DELIVERY_EVERY_MS, interval_ms())
      },
      async run(now_ms, epoch) {
        // What waits is known once the evaluation of this term has read it back.
        if (!isLoaded || !term.startsWith(`${epoch}:`)) return
        const targets = engine.targets()
        await outbox.run(targets, now_ms, Date.now)
        for (const target of targets) {
          metrics.set('weir_alert_messages_waiting', outbox.waiting(target.name), { receiver: target.name })
          if (target.resend_ms === 0 || now_ms - (resent.get(target.name) ?? 0) < target.resend_ms) continue
          // While news waits, the receiver is away, and states would overtake it.
          if (outbox.waiting(target.name) > 0) continue
          resent.set(target.name, now_ms)
          for (const request of target.resend(engine.firing(target), now_ms)) {
            const outcome = await post(request, RESEND_TIMEOUT_MS, now_ms)
            if (outcome.result === 'sent') continue
            metrics.count('weir_alert_deliveries_total', 1, { receiver: target.name, result: 'retry' })
            log('warn', 'what fires could not be sent again', {
              receiver: target.name,
              reason: outcome.error,
            })
          }
        }
      },
    },
    {
      name: 'config_notes',
      every_ms: DELIVERY_EVERY_MS,
      async run() {
        const { config } = parts.options().alerts
        if (config.taken_ms === noted_ms) return
        await writeConfigNote(store, instance, config)
        noted_ms = config.taken_ms
      },
    },
  ]
}
