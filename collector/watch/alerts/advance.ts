/**
 * One evaluation over all alerts: from what stands and what is seen to what stands then. Pure.
 * Invariant: a rule that could not be looked at leaves its alerts as they are; one that is no longer in force ends them.
 */
import type { Rule } from '../../../config/alert-rules.ts'
import { type Alert, fingerprintOf, type Sample } from './alert.ts'
import type { Evaluation } from './evaluate.ts'
import { type AlertState, type Seen, step, type Timing } from './states.ts'

/** An alert after the evaluation. `sample` is there when it was seen. */
export type Advance = {
  readonly alert: Alert
  readonly before: Alert | null
  readonly from: AlertState
  readonly to: AlertState
  readonly sample: Sample | null
}

const GONE: Timing = { for_ms: 0, keep_firing_for_ms: 0, missing_evaluations: 1, no_data: 'ok' }

const timingOf = (rule: Rule, missing_evaluations: number): Timing => ({
  for_ms: rule.for_s * 1000,
  keep_firing_for_ms: rule.keep_firing_for_s * 1000,
  missing_evaluations,
  no_data: rule.no_data,
})

type Given = {
  /** By fingerprint. */
  alerts: ReadonlyMap<string, Alert>
  evaluations: readonly Evaluation[]
  missing_evaluations: number
  now_ms: number
}

function next(
  before: Alert | null,
  sample: Sample | null,
  seen: Seen,
  timing: Timing,
  now_ms: number,
  fingerprint: string,
): Advance | null {
  const taken = step(before?.standing ?? null, seen, timing, now_ms)
  if (taken.from === 'inactive' && taken.to === 'inactive') return null
  const alert: Alert = {
    rule: before?.rule ?? sample!.rule,
    severity: sample?.severity ?? before!.severity,
    fingerprint,
    labels: sample?.labels ?? before!.labels,
    annotations: before?.annotations ?? {},
    value: sample?.value ?? before!.value,
    standing: taken.standing,
    starts_ms: taken.standing?.starts_ms ?? before!.starts_ms,
    ends_ms: taken.standing ? 0 : now_ms,
    silenced_by: before?.silenced_by ?? '',
  }
  return { alert, before, from: taken.from, to: taken.to, sample }
}

/** Every alert that stands after this, or has just ended. Those that ended before are not among them. */
export function advance({ alerts, evaluations, missing_evaluations, now_ms }: Given): Advance[] {
  const advances: Advance[] = []
  const seen = new Set<string>()
  const add = (taken: Advance | null): void => void (taken && advances.push(taken))
  const rules = new Map(evaluations.map((evaluation) => [evaluation.rule.name, evaluation]))
  for (const { rule, samples } of evaluations)
    for (const sample of samples) {
      const fingerprint = fingerprintOf(sample.labels)
      if (seen.has(fingerprint)) continue
      seen.add(fingerprint)
      const before = alerts.get(fingerprint) ?? null
      const standing = before?.standing ? before : null
      add(next(standing, sample, sample.seen, timingOf(rule, missing_evaluations), now_ms, fingerprint))
    }
  for (const [fingerprint, before] of alerts) {
    if (seen.has(fingerprint) || !before.standing) continue
    const evaluation = rules.get(before.rule)
    if (evaluation && evaluation.state !== 'ok')
      advances.push({
        alert: before,
        before,
        from: before.standing.state,
        to: before.standing.state,
        sample: null,
      })
    else
      add(
        next(
          before,
          null,
          'missing',
          evaluation ? timingOf(evaluation.rule, missing_evaluations) : GONE,
          now_ms,
          fingerprint,
        ),
      )
  }
  return advances
}
