/**
 * From verdicts to findings: what is far from usual in two of three buckets is one, what is calm for three is over.
 * A change of many children is one finding of their parent (tools of a server, servers of the installation, callers of a team).
 * Pure; walks bucket by bucket and remembers nothing but the last three and what is open, so that a restart goes on where it was.
 */
import type { AnomalyKind } from '../../../config/anomalies.ts'
import type { Verdict } from './judge.ts'
import { BUCKET_S, type Scope } from './metrics.ts'

/** The verdicts on one subject and kind at one bucket, put together. */
export type Judged = {
  /** Volume and silence are one family: the second is the first at its worst. */
  kind: AnomalyKind
  scope: Scope
  series: string
  /** Metric that decided: the one furthest out. */
  metric: string
  verdict: Verdict
}

export type Open = {
  kind: AnomalyKind
  scope: Scope
  series: string
  metric: string
  /** Seconds since 1970, start of the first bucket that stood out. */
  started: number
  /** Start of the last bucket that stood out. */
  last: number
  direction: -1 | 1
  /** As it was when it stood out last. */
  verdict: Verdict
}

export type Step = { opened: Open[]; continued: Open[]; ended: Open[] }

/** Families whose parts add up. */
const COUNTED = new Set(['volume', 'errors'])
const CONFIRM = 2
const OF = 3
const CALM = 3
/** Without a verdict (no traffic to judge) a finding is over after an hour. */
const UNKNOWN_MAX_S = 3_600

export const familyOf = (kind: AnomalyKind): string => (kind === 'silence' ? 'volume' : kind)
export const keyOf = (a: { kind: AnomalyKind; scope: string; series: string }): string =>
  `${familyOf(a.kind)}\n${a.scope}\n${a.series}`

/** `teamOf`: team of a caller, '' when it has none. */
export type Family = { teamOf(caller: string): string }

export function parentOf(
  scope: Scope,
  series: string,
  family: Family,
): { scope: Scope; series: string } | null {
  if (scope === 'tool') return { scope: 'server', series: series.slice(0, series.indexOf('/')) }
  if (scope === 'server') return { scope: 'all', series: '' }
  if (scope !== 'caller') return null
  const team = family.teamOf(series)
  return team === '' ? null : { scope: 'team', series: team }
}

type Flags = { t: number; directions: Map<string, number> }

export class Follower {
  readonly open = new Map<string, Open>()
  readonly #family: Family
  #recent: Flags[] = []

  constructor(open: Iterable<Open>, family: Family) {
    this.#family = family
    for (const finding of open) this.open.set(keyOf(finding), finding)
  }

  /** A bucket before the ones to be followed: only what stood out in it is remembered. */
  warm(t: number, judged: readonly Judged[]): void {
    this.#remember(t, judged)
  }

  #remember(t: number, judged: readonly Judged[]): void {
    const directions = new Map(judged.map((j) => [keyOf(j), j.verdict.direction as number]))
    this.#recent = [...this.#recent.filter((f) => f.t > t - OF * BUCKET_S && f.t < t), { t, directions }]
  }

  /** The next bucket. */
  step(t: number, judged: readonly Judged[]): Step {
    this.#remember(t, judged)
    const step: Step = { opened: [], continued: [], ended: [] }
    const seen = new Map(judged.map((j) => [keyOf(j), j]))
    for (const [key, finding] of this.open) this.#goOn(t, key, finding, seen.get(key), step)
    const children = this.#childrenOf(judged)
    const parents = this.#parents(judged, children)
    for (const j of judged) {
      const { direction } = j.verdict
      const key = keyOf(j)
      if (direction === 0 || this.open.has(key)) continue
      if (this.#isOfParent(j, parents)) continue
      if (parents.get(key) === false) continue
      const { isCertain, isSilent, minutes } = j.verdict
      const silent_s = isSilent ? minutes * 60 : 0
      // Silence of ten minutes is two buckets already.
      const isEnough = isCertain && (silent_s > BUCKET_S || !this.#isShared(j, children))
      const stoodOut = this.#recent.filter((f) => f.directions.get(key) === direction)
      if (stoodOut.length < CONFIRM && !isEnough) continue
      step.opened.push({
        ...withoutVerdict(j),
        started: Math.min(stoodOut[0]!.t, t + BUCKET_S - silent_s),
        last: t,
        direction,
        verdict: j.verdict,
      })
    }
    for (const finding of step.opened) this.open.set(keyOf(finding), finding)
    return step
  }

  #goOn(t: number, key: string, finding: Open, now: Judged | undefined, step: Step): void {
    if (now && now.verdict.direction === finding.direction) {
      // Silence stays silence while its last minutes leave the window.
      const kind = finding.kind === 'silence' ? finding.kind : now.kind
      Object.assign(finding, { last: t, verdict: now.verdict, kind, metric: now.metric })
      step.continued.push(finding)
      return
    }
    const quiet_s = t - finding.last
    const isOver = now ? now.verdict.isCalm && quiet_s >= CALM * BUCKET_S : quiet_s >= UNKNOWN_MAX_S
    // Neither calm nor beyond the threshold may last, but not for ever.
    if (!isOver && quiet_s < UNKNOWN_MAX_S) return
    this.open.delete(key)
    step.ended.push(finding)
  }

  /** What was judged, by the key of its parent. */
  #childrenOf(judged: readonly Judged[]): Map<string, Judged[]> {
    const children = new Map<string, Judged[]>()
    for (const j of judged) {
      const parent = parentOf(j.scope, j.series, this.#family)
      if (!parent) continue
      const key = keyOf({ ...parent, kind: j.kind })
      const own = children.get(key)
      if (own) own.push(j)
      else children.set(key, [j])
    }
    return children
  }

  /**
   * For each subject with children that were judged: whether a change of it is its own (at least two children and half of
   * them went the same way) rather than that of one child.
   */
  #parents(judged: readonly Judged[], children: ReadonlyMap<string, Judged[]>): Map<string, boolean> {
    const own = new Map<string, boolean>()
    for (const j of judged) {
      const parts = children.get(keyOf(j))
      if (!parts || j.verdict.direction === 0) continue
      const same = parts.filter((c) => c.verdict.direction === j.verdict.direction).length
      // Nothing stands out but the sum. Of counts that is a change spread thin; a mean also moves when the mix of its parts does.
      const isThin = same === 0 && COUNTED.has(familyOf(j.kind))
      own.set(keyOf(j), isThin || (same >= 2 && same >= parts.length / 2))
    }
    return own
  }

  /** Whether another bucket may tell that this is the change of its parent, or of a child: then one bucket is not enough. */
  #isShared(j: Judged, children: ReadonlyMap<string, Judged[]>): boolean {
    const { direction } = j.verdict
    const parts = children.get(keyOf(j))
    if (parts && !parts.some((c) => c.verdict.direction === direction)) return true
    const parent = parentOf(j.scope, j.series, this.#family)
    const siblings = parent ? (children.get(keyOf({ ...parent, kind: j.kind })) ?? []) : []
    return siblings.some(
      (s) =>
        s !== j && !s.verdict.isCalm && Math.sign(s.verdict.z) === direction && s.verdict.direction === 0,
    )
  }

  #isOfParent(j: Judged, parents: ReadonlyMap<string, boolean>): boolean {
    let at = parentOf(j.scope, j.series, this.#family)
    while (at) {
      const key = keyOf({ ...at, kind: j.kind })
      const open = this.open.get(key)
      if (open && open.direction === j.verdict.direction) return true
      if (parents.get(key) === true && this.#recent.at(-1)!.directions.get(key) === j.verdict.direction)
        return true
      at = parentOf(at.scope, at.series, this.#family)
    }
    return false
  }
}

const withoutVerdict = ({ kind, scope, series, metric }: Judged): Omit<Judged, 'verdict'> => ({
  kind,
  scope,
  series,
  metric,
})
