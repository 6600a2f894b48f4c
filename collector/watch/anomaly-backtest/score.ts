/** Findings against faults: recall, precision and delay by kind. Pure. */
import { familyOf } from '../anomaly/follow.ts'
import { EVENT_FAULTS, type Fault, type FaultKind, SERIES_FAULTS } from './faults.ts'

export type Found = {
  kind: string
  scope: string
  series: string
  server: string
  tool: string
  caller: string
  started: number
  last_seen: number
  /** Seconds since 1970. */
  detected_at: number
}

export type Line = {
  fault: FaultKind | 'all'
  injected: number
  found: number
  /** Of the faults where the series has enough traffic to be judged (20 calls in 15 minutes). */
  judgeable: number
  judgeable_found: number
  /** Findings of the kind, and those of them that no fault explains. */
  findings: number
  false_findings: number
  recall: number
  precision: number
  /** Median from the first second of the fault to the finding; null when nothing was found. */
  delay_min: number | null
}

/** After its end a fault still fills the 15 minutes that are judged, and may be confirmed by them. */
const AFTER_S = 900
const JUDGEABLE = 20

const sameFamily = (finding: Found, fault: Fault): boolean =>
  familyOf(finding.kind as Fault['finds']) === familyOf(fault.finds)

/** Whether the finding is about the fault: right kind, right subject (or its server), right time. */
export function explains(finding: Found, fault: Fault): boolean {
  if (!sameFamily(finding, fault)) return false
  if (finding.started > fault.to + AFTER_S || finding.last_seen < fault.from) return false
  if (fault.caller !== '' && finding.caller !== '' && finding.caller !== fault.caller) return false
  if (fault.kind === 'off_hours') return finding.caller === fault.caller
  if (finding.scope === 'all') return true
  return finding.server === fault.server && (finding.tool === '' || finding.tool === fault.tool)
}

const round = (x: number): number => Math.round(x * 1000) / 1000
const median = (values: number[]): number | null =>
  values.length === 0 ? null : values.sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!

/** `lag_s`: how long after its end a bucket is closed. */
export function score(faults: readonly Fault[], findings: readonly Found[], lag_s: number): Line[] {
  const line = (name: Line['fault'], own: readonly Fault[], ofKind: readonly Found[]): Line => {
    const hits = own.map((fault) => ({ fault, by: findings.filter((f) => explains(f, fault)) }))
    const found = hits.filter((h) => h.by.length > 0)
    const judgeable = hits.filter((h) => h.fault.traffic === 0 || h.fault.traffic >= JUDGEABLE)
    const wrong = ofKind.filter((f) => !faults.some((fault) => explains(f, fault)))
    const delays = found.map((h) => (Math.min(...h.by.map((f) => f.detected_at)) + lag_s - h.fault.from) / 60)
    const delay = median(delays)
    return {
      fault: name,
      injected: own.length,
      found: found.length,
      judgeable: judgeable.length,
      judgeable_found: judgeable.filter((h) => h.by.length > 0).length,
      findings: ofKind.length,
      false_findings: wrong.length,
      recall: round(found.length / Math.max(1, own.length)),
      precision: round(ofKind.length === 0 ? 1 : 1 - wrong.length / ofKind.length),
      delay_min: delay === null ? null : round(delay),
    }
  }
  const kinds = [...SERIES_FAULTS, ...EVENT_FAULTS].filter((kind) => faults.some((f) => f.kind === kind))
  const ofKind = (kind: FaultKind): Found[] => {
    const sample = faults.find((f) => f.kind === kind)!
    const family = findings.filter((f) => sameFamily(f, sample))
    // Drop, surge and silence share a family: a finding that no fault explains counts against each of them.
    return family.filter(
      (f) =>
        faults.some((fault) => fault.kind === kind && explains(f, fault)) ||
        !faults.some((fault) => explains(f, fault)),
    )
  }
  return [
    ...kinds.map((kind) =>
      line(
        kind,
        faults.filter((f) => f.kind === kind),
        ofKind(kind),
      ),
    ),
    line('all', faults, findings),
  ]
}
