/** Findings in the store: what is open, and writing one down. Writing the same state twice changes nothing a reader sees. */
import { createHash } from 'node:crypto'
import { ANOMALY_KINDS, type AnomalyKind } from '../../../config/anomalies.ts'
import { compactLines, type Store } from '../../sink/store.ts'
import { familyOf } from './follow.ts'
import type { Subject } from './ignore.ts'

/** How a dimension's value stands out: its share of the change, and its share of calls. */
export type Difference = { dimension: string; value: string; share: number; usual: number }

/** A row of `anomalies`. Times are seconds since 1970; `ended` 0 while it goes on. */
export type Finding = Subject & {
  id: string
  kind: AnomalyKind
  scope: string
  series: string
  started: number
  ended: number
  last_seen: number
  detected_at_ms: number
  /** weekly or learning for figures of series; history for detectors that compare with what a caller or server did before; rule. */
  method: 'weekly' | 'learning' | 'history' | 'rule'
  value: number
  expected: number
  lower: number
  upper: number
  unit: string
  score: number
  n: number
  contributor: string
  contributor_share: number
  differs: Difference[]
  evidence: string
  traces: string[]
  summary: string
}

export const findingId = (kind: AnomalyKind, scope: string, series: string, started: number): string =>
  createHash('sha256')
    .update(JSON.stringify([familyOf(kind), scope, series, started]))
    .digest('hex')
    .slice(0, 16)

const COLUMNS = [
  'id',
  'kind',
  'scope',
  'series',
  'server',
  'tool',
  'team',
  'caller',
  'started',
  'ended',
  'last_seen',
  'detected_at',
  'method',
  'value',
  'expected',
  'lower',
  'upper',
  'unit',
  'score',
  'n',
  'contributor',
  'contributor_share',
  'differs',
  'evidence',
  'traces',
  'summary',
  'updated_at',
]

const finite = (x: number): number => (Number.isFinite(x) ? x : 0)

/** `now_ms` orders the states of one finding: the newest wins. */
export async function writeFindings(
  store: Store,
  findings: readonly Finding[],
  now_ms: number,
): Promise<void> {
  if (findings.length === 0) return
  const rows = findings.map((f) => [
    f.id,
    f.kind,
    f.scope,
    f.series,
    f.server,
    f.tool,
    f.team,
    f.caller,
    f.started,
    f.ended,
    f.last_seen,
    (f.detected_at_ms / 1000).toFixed(3),
    f.method,
    finite(f.value),
    finite(f.expected),
    finite(f.lower),
    finite(f.upper),
    f.unit,
    finite(f.score),
    Math.round(f.n),
    f.contributor,
    finite(f.contributor_share),
    f.differs.map((d) => ({ ...d, share: finite(d.share), usual: finite(d.usual) })),
    f.evidence,
    f.traces,
    f.summary,
    (now_ms / 1000).toFixed(3),
  ])
  const lines = compactLines(rows)
  const token = createHash('sha256').update(lines).digest('hex')
  await store.insert('anomalies', COLUMNS, lines, `anomalies:${token}`)
}

const isKind = (kind: string): boolean => (ANOMALY_KINDS as readonly string[]).includes(kind)

/** Open findings, and those of single events that ended after `since` (seconds): they are not to be found again. */
export async function readFindings(store: Store, since: number): Promise<Finding[]> {
  const rows = await store.rows<Finding>(
    `SELECT id, kind, scope, series, server, tool, team, caller, toUInt32(v.started) AS started, toUInt32(v.ended) AS ended, toUInt32(v.last_seen) AS last_seen,
       toInt64(toUnixTimestamp64Milli(v.detected_at))::Float64 AS detected_at_ms, method, value, expected, lower, upper, unit, score, toFloat64(v.n) AS n, contributor, contributor_share, differs, evidence, traces, summary
     FROM ${store.database}.v_anomalies AS v
     WHERE v.is_open OR v.ended >= toDateTime(${Math.trunc(since)}, 'UTC')`,
  )
  return rows.filter((row) => isKind(row.kind))
}
