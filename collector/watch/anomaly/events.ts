/**
 * The detectors of single calls: new tool for a caller, off-hours use, retry storm, agent loop, list shrinkage.
 * Each answers with hits; a hit about what is already open goes on with that finding, and what brings no more hits ends.
 */
import { type AnomalyKind, type AnomalyOptions, sensitivityOf } from '../../../config/anomalies.ts'
import type { Store } from '../../sink/store.ts'
import { DETECTORS, type Hit } from './event-detectors.ts'
import { tracesOf } from './event-sql.ts'
import { callsEvidence } from './evidence.ts'
import { type Finding, findingId, writeFindings } from './findings.ts'
import { keyOf } from './follow.ts'
import { isIgnored } from './ignore.ts'
import { BUCKET_S } from './metrics.ts'
import { isOfSeries } from './series-findings.ts'

/** A finding that brought nothing new for this long is over. */
const HOLD_S: Partial<Record<AnomalyKind, number>> = {
  new_tool: 3_600,
  off_hours: 3_600,
  retry_storm: 900,
  agent_loop: 1_800,
  list_shrinkage: 86_400,
}
const DAY_S = 86_400

/** Whether the hit belongs to a finding that is over already: the same night, the same new tool. */
const isOldNews = (hit: Hit, known: Finding): boolean =>
  hit.kind === 'off_hours'
    ? Math.floor(known.started / DAY_S) === Math.floor(hit.started / DAY_S)
    : known.ended > 0 && hit.last < known.ended

async function toFinding(store: Store, hit: Hit, before: Finding | undefined): Promise<Finding> {
  const started = before?.started ?? hit.started
  const last_seen = Math.max(before?.last_seen ?? 0, hit.last)
  const span = { from: started, to: last_seen + BUCKET_S }
  const differs = hit.differs ?? []
  return {
    ...hit.subject,
    id: findingId(hit.kind, hit.scope, hit.series, started),
    kind: hit.kind,
    scope: hit.scope,
    series: hit.series,
    started,
    ended: 0,
    last_seen,
    detected_at_ms: before?.detected_at_ms ?? hit.seen * 1000,
    method: hit.method,
    value: hit.value,
    expected: hit.expected,
    lower: 0,
    upper: hit.upper,
    unit: hit.unit,
    score: hit.score,
    n: hit.n,
    contributor: differs[0] ? `${differs[0].dimension}=${differs[0].value}` : '',
    contributor_share: differs[0]?.share ?? 0,
    differs,
    evidence: hit.evidence?.(span) ?? callsEvidence(hit.subject, span, hit.where),
    traces: await tracesOf(store, hit.subject, span.from, span.to, hit.traces_where ?? hit.where),
    summary: hit.summary,
  }
}

export type EventRange = { from: number; to: number; now_ms: number }

/** Looks at the calls from `from` to `to` (seconds). `known`: open findings and those that ended a short time ago. */
export async function judgeEvents(
  store: Store,
  options: AnomalyOptions,
  known: readonly Finding[],
  { from, to, now_ms }: EventRange,
): Promise<Finding[]> {
  const found = await Promise.all(
    DETECTORS.map(([kind, detector]) => {
      const sensitivity = sensitivityOf(options, kind)
      return sensitivity ? detector(store, { from, to, sensitivity }) : []
    }),
  )
  const hits = found.flat()
  const own = known.filter((f) => !isOfSeries(f))
  const open = new Map(own.filter((f) => f.ended === 0).map((f) => [keyOf(f), f]))
  const written = new Map<string, Finding>()
  // The calls of a storm are equal too; its last ones may come when it is no storm any more.
  const storms = [
    ...hits.filter((h) => h.kind === 'retry_storm').map((h) => ({ ...h.subject, until: h.last })),
    ...own.filter((f) => f.kind === 'retry_storm').map((f) => ({ ...f, until: f.last_seen })),
  ]
  const isStorm = (hit: Hit): boolean =>
    hit.kind === 'agent_loop' &&
    storms.some(
      (s) =>
        s.caller === hit.subject.caller &&
        s.server === hit.subject.server &&
        s.tool === hit.subject.tool &&
        s.until >= hit.started,
    )
  for (const hit of hits.sort((a, b) => a.seen - b.seen)) {
    if (isIgnored(options, { ...hit, ...hit.subject }) || isStorm(hit)) continue
    const key = keyOf(hit)
    const before = open.get(key)
    if (!before && own.some((f) => f.ended > 0 && keyOf(f) === key && isOldNews(hit, f))) continue
    const goesOn = before && hit.started - before.last_seen <= (HOLD_S[hit.kind] ?? 0) ? before : undefined
    if (before && !goesOn) written.set(before.id, { ...before, ended: before.last_seen })
    const finding = await toFinding(store, hit, goesOn)
    open.set(key, finding)
    written.set(finding.id, finding)
  }
  for (const finding of open.values()) {
    if (to - finding.last_seen <= (HOLD_S[finding.kind] ?? 0)) continue
    written.set(finding.id, { ...finding, ended: Math.max(finding.last_seen, finding.started + 1) })
  }
  const findings = [...written.values()]
  await writeFindings(store, findings, now_ms)
  return findings
}
