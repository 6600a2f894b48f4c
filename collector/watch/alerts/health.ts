/** Rules about Weir itself: events lost, lines it could not read, lateness, receivers that do not take messages. */
import type { ThresholdRule } from '../../../config/alert-rules.ts'
import { run, runDeliveries } from '../../queries/alert-health.ts'
import type { Sample } from './alert.ts'
import { literal, momentText } from './links.ts'
import type { Look, Once } from './look.ts'
import { figureText, sampleOf, secondsText } from './sample.ts'
import { headingOf, isBeyond } from './thresholds.ts'

type Range = { from: string; to: string }
const EVIDENCE = {
  lost_events: ({ from, to }: Range): string =>
    `SELECT worker_id, instance, reason, lost_events, first_reported, last_reported FROM v_losses WHERE last_reported >= ${from} AND last_reported < ${to}`,
  dead_letters: ({ from, to }: Range): string =>
    `SELECT received_at, instance, reason, error FROM v_dead_letters WHERE received_at >= ${from} AND received_at < ${to} ORDER BY received_at`,
  ingest_age_s: ({ from, to }: Range): string =>
    `SELECT instance, count() AS calls, max(dateDiff('second', ts, ingested_at)) AS age_s FROM v_calls WHERE ingested_at >= ${from} AND ingested_at < ${to} GROUP BY instance`,
}
const TEXT = {
  lost_events: (value: string): string =>
    `${value} ${value === '1' ? 'event was' : 'events were'} lost before reaching the store`,
  dead_letters: (value: string): string =>
    `${value} ${value === '1' ? 'line' : 'lines'} could not become rows`,
  ingest_age_s: (value: string): string => `calls reach the store ${value} s after their end`,
}

export async function healthSamples(rule: ThresholdRule, look: Look, once: Once): Promise<Sample[]> {
  // These are stamped by the collector itself: nothing of them is still on its way.
  const to_ms = look.now_ms
  const from_ms = to_ms - rule.window_s * 1000
  const range = { from: momentText(from_ms), to: momentText(to_ms) }
  const { figure, window_s } = rule
  const limit = `(limit ${rule.op} ${rule.value})`
  if (figure === 'failed_deliveries') {
    const rows = await runDeliveries(look.reader, { from_ms, to_ms })
    return rows.map(({ receiver, failed }) =>
      sampleOf(
        rule,
        look,
        isBeyond(failed, rule.op, rule.value) ? 'bad' : 'good',
        failed,
        { figure, receiver },
        () => ({
          summary: `${failed} attempts to tell the receiver ${receiver} failed in ${secondsText(window_s)} ${limit}`,
          view: 'alerts',
          window_s,
          series: {},
          evidence: `SELECT ts, key, status, attempt, http_status, error FROM alert_deliveries WHERE ts >= ${range.from} AND ts < ${range.to} AND receiver = ${literal(receiver)} ORDER BY ts`,
          heading: headingOf(rule),
          traces: [],
        }),
      ),
    )
  }
  if (figure !== 'lost_events' && figure !== 'dead_letters' && figure !== 'ingest_age_s')
    throw new Error(`${figure} is no figure of Weir itself`)
  const health = await once(`health ${window_s}`, () => run(look.reader, { from_ms, to_ms }))
  const value = Number(health[figure])
  const seen = isBeyond(value, rule.op, rule.value) ? 'bad' : 'good'
  return [
    sampleOf(rule, look, seen, value, { figure }, () => ({
      summary: `${TEXT[figure](figureText(value))} in ${secondsText(window_s)} ${limit}`,
      view: 'health',
      window_s,
      series: {},
      evidence: EVIDENCE[figure](range),
      heading: headingOf(rule),
      traces: [],
    })),
  ]
}
