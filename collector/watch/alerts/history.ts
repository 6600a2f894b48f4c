/**
 * Alerts in the store: every edge a row of `alert_events`, and the alerts as they stood, read back at a start.
 * Invariant: what `writeAlerts` resolved for, `readAlerts` finds, whoever asks.
 */
import { compactLines, type Store } from '../../sink/store.ts'
import type { Alert } from './alert.ts'
import type { AlertState, Standing } from './states.ts'

/** An alert after a step, and where it came from; equal states are a note, no edge. */
export type Change = { readonly alert: Alert; readonly from: AlertState; readonly to: AlertState }

const COLUMNS = [
  'ts',
  'rule',
  'fingerprint',
  'labels',
  'annotations',
  'severity',
  'from_state',
  'to_state',
  'value',
  'starts_at',
  'ends_at',
  'since',
  'clear_since',
  'silenced',
  'silenced_by',
  'epoch',
]

/** The store has no number for a share of nothing. */
const finite = (value: number): number => (Number.isFinite(value) ? value : 0)

/** All changes of one evaluation, in one block: all of them or none. */
export async function writeAlerts(
  store: Store,
  changes: readonly Change[],
  now_ms: number,
  epoch: number,
): Promise<void> {
  if (changes.length === 0) return
  const rows = changes.map(({ alert, from, to }) => [
    now_ms,
    alert.rule,
    alert.fingerprint,
    alert.labels,
    alert.annotations,
    alert.severity,
    from,
    to,
    finite(alert.value),
    alert.starts_ms,
    alert.ends_ms,
    alert.standing?.since_ms ?? now_ms,
    alert.standing?.clear_ms ?? 0,
    alert.silenced_by === '' ? 0 : 1,
    alert.silenced_by,
    epoch,
  ])
  await store.insert('alert_events', COLUMNS, compactLines(rows), `alerts:${epoch}:${now_ms}`)
}

type Row = {
  rule: string
  fingerprint: string
  labels: Record<string, string>
  annotations: Record<string, string>
  severity: string
  state: AlertState
  value: number
  starts_ms: string
  ends_ms: string
  since_ms: string
  clear_ms: string
  silenced_by: string
}

const sql = (
  database: string,
): string => `SELECT rule, fingerprint, labels, annotations, severity, state, value, silenced_by,
  toString(toUnixTimestamp64Milli(starts_at)) AS starts_ms, toString(toUnixTimestamp64Milli(ends_at)) AS ends_ms,
  toString(toUnixTimestamp64Milli(since)) AS since_ms, toString(toUnixTimestamp64Milli(clear_since)) AS clear_ms
FROM ${database}.v_alerts
WHERE state IN ('pending', 'firing', 'nodata') OR has({fingerprints:Array(String)}, fingerprint)`

function standingOf(row: Row): Standing | null {
  if (row.state !== 'pending' && row.state !== 'firing' && row.state !== 'nodata') return null
  return {
    state: row.state,
    since_ms: Number(row.since_ms),
    starts_ms: Number(row.starts_ms),
    clear_ms: Number(row.clear_ms),
    missed: 0,
  }
}

/** Alerts that are not over, and those of `fingerprints` whatever became of them. */
export async function readAlerts(store: Store, fingerprints: readonly string[]): Promise<Alert[]> {
  const rows = await store.rows<Row>(sql(store.database), { fingerprints })
  return rows.map((row) => ({
    rule: row.rule,
    severity: row.severity,
    fingerprint: row.fingerprint,
    labels: row.labels,
    annotations: row.annotations,
    value: row.value,
    standing: standingOf(row),
    starts_ms: Number(row.starts_ms),
    ends_ms: Number(row.ends_ms),
    silenced_by: row.silenced_by,
  }))
}
