/** Alerts as they stand, what became of each over time, and whether the receivers were told. */
import type { Reader } from './client.ts'
import { moment } from './client.ts'

export type AlertRow = {
  fingerprint: string
  rule: string
  state: 'pending' | 'firing' | 'nodata' | 'resolved' | 'inactive'
  severity: string
  labels: Record<string, string>
  /** summary, panel, runbook, evidence (SQL), trace, traces. */
  annotations: Record<string, string>
  value: number
  starts_ms: number
  /** 0 while it is not over. */
  ends_ms: number
  silenced: number
  /** Id of the silence, or name of the maintenance window. */
  silenced_by: string
  times_fired: number
}

/** Those that stand, and what ended in the last day; the worst first. */
export const sql = `SELECT fingerprint, rule, state, severity, labels, annotations, value, toUnixTimestamp64Milli(starts_at) AS starts_ms,
  toUnixTimestamp64Milli(ends_at) AS ends_ms, silenced, silenced_by, times_fired
FROM v_alerts
WHERE state IN ('pending', 'firing', 'nodata') OR ({recent:UInt8} = 1 AND state = 'resolved' AND ends_at > now64(3) - toIntervalDay(1))
ORDER BY indexOf(['firing', 'nodata', 'pending', 'resolved'], toString(state)), indexOf(['critical', 'error', 'warning', 'info'], toString(severity)), starts_at DESC, fingerprint
LIMIT {limit:UInt32}`

export const run = (
  reader: Reader,
  { recent = true, limit = 1000 }: { recent?: boolean; limit?: number } = {},
): Promise<AlertRow[]> => reader.rows(sql, { recent: recent ? 1 : 0, limit })

export type AlertEvent = {
  at_ms: number
  fingerprint: string
  rule: string
  severity: string
  from_state: string
  to_state: string
  labels: Record<string, string>
  annotations: Record<string, string>
  value: number
  silenced: number
}

/** Edges only, the newest first; of one alert, or of all. */
export const historySql = `SELECT toUnixTimestamp64Milli(e.ts) AS at_ms, e.fingerprint AS fingerprint, e.rule AS rule, e.severity AS severity,
  e.from_state AS from_state, e.to_state AS to_state, e.labels AS labels, e.annotations AS annotations, e.value AS value, e.silenced AS silenced
FROM alert_events AS e
WHERE e.from_state != e.to_state AND e.ts >= {from:DateTime64(3)} AND e.ts < {to:DateTime64(3)}
  AND ({fingerprint:String} = '' OR e.fingerprint = {fingerprint:String})
ORDER BY e.ts DESC, e.fingerprint LIMIT {limit:UInt32}`

export const runHistory = (
  reader: Reader,
  {
    from_ms,
    to_ms,
    fingerprint = '',
    limit = 1000,
  }: { from_ms: number; to_ms: number; fingerprint?: string; limit?: number },
): Promise<AlertEvent[]> =>
  reader.rows(historySql, { from: moment(from_ms), to: moment(to_ms), fingerprint, limit })

export type DeliveryRow = {
  key: string
  receiver: string
  rule: string
  queued_ms: number
  at_ms: number
  status: 'queued' | 'sent' | 'failed'
  attempts: number
  http_status: number
  error: string
  fingerprints: string[]
  resolved: string[]
}

/** Messages, the newest first. */
export const deliveriesSql = `SELECT key, receiver, rule, toUnixTimestamp64Milli(queued_at) AS queued_ms, toUnixTimestamp64Milli(ts) AS at_ms, status,
  attempts, http_status, error, fingerprints, resolved
FROM v_alert_deliveries WHERE ts >= {from:DateTime64(3)} AND ts < {to:DateTime64(3)}
ORDER BY ts DESC, queued_at DESC, key LIMIT {limit:UInt32}`

export const runDeliveries = (
  reader: Reader,
  { from_ms, to_ms, limit = 1000 }: { from_ms: number; to_ms: number; limit?: number },
): Promise<DeliveryRow[]> => reader.rows(deliveriesSql, { from: moment(from_ms), to: moment(to_ms), limit })

export type RuleRow = {
  rule: string
  kind: string
  severity: string
  about: string
  state: 'ok' | 'failed'
  detail: string
  evaluated_ms: number
}

export const rulesSql = `SELECT rule, kind, severity, about, state, detail, toUnixTimestamp64Milli(evaluated_at) AS evaluated_ms
FROM v_alert_rules ORDER BY rule`

export const runRules = (reader: Reader): Promise<RuleRow[]> => reader.rows(rulesSql)
