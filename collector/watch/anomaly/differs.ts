/**
 * What differs: which caller, version, argument shape… a change comes from. Each value of each dimension is held against its
 * share of the calls: a value counts when it explains much more of the change than it has of the traffic.
 * Reads the window of the finding and as long before, bounded in rows. Ranking is pure.
 */
import type { AnomalyKind } from '../../../config/anomalies.ts'
import { seconds } from './close.ts'
import { about, type Span } from './evidence.ts'
import type { Difference, Finding } from './findings.ts'
import type { Subject } from './ignore.ts'
import type { Source } from './load.ts'

const ROWS_MAX = 300_000
const COMPARE_S = 3_600
const SHARE_MIN = 0.5
/** How much more of the change than of the traffic. */
const LIFT_MIN = 0.25
const VALUES_MAX = 5
/** Dimensions whose values stay: a new one is news. New runs and new arguments are not. */
const LASTING = new Set([
  'caller',
  'error_fingerprint',
  'outcome',
  'client',
  'upstream',
  'server_protocol',
  'team',
])

/** Name → expression on `v_calls`. The shape of arguments: their size to the power of two, and the very same ones. */
const DIMENSIONS: Readonly<Record<string, string>> = {
  caller: 'toString(caller)',
  tool: "concat(toString(server), '/', toString(tool))",
  error_fingerprint: 'toString(error_fingerprint)',
  outcome: 'toString(outcome)',
  arguments: 'arguments_hash',
  argument_size:
    "if(arguments_bytes = 0, '', concat('up to ', toString(toUInt32(exp2(ceil(log2(greatest(arguments_bytes, 1)))))), ' bytes'))",
  client: "trim(concat(toString(client_name), ' ', toString(client_version)))",
  upstream: 'toString(upstream_endpoint)',
  server_protocol: 'toString(upstream_protocol_version)',
  team: 'toString(team)',
  run: 'run_id',
}

/** What a call adds to the change. `limit`: the upper end of what is usual. */
function weightOf(kind: AnomalyKind, limit: number): string {
  switch (kind) {
    case 'latency':
      return `toFloat64(duration_us > ${Math.max(0, Math.round(limit))})`
    case 'errors':
      return 'toFloat64(fault)'
    case 'cost':
      return 'toFloat64(cost_nano)'
    case 'result_size':
      return 'toFloat64(response_bytes)'
    default:
      return '1.'
  }
}

const isOfCalls = (kind: AnomalyKind): boolean => kind === 'volume' || kind === 'silence'

export type Group = {
  dimension: string
  value: string
  n_now: number
  w_now: number
  n_before: number
  w_before: number
}

/** Shares of the change by value, most telling first. `scale`: length of the window now to before. */
export function rank(groups: readonly Group[], kind: AnomalyKind, scale: number): Difference[] {
  const found: (Difference & { order: number })[] = []
  const names = Object.keys(DIMENSIONS)
  for (const dimension of new Set(groups.map((g) => g.dimension))) {
    const own = groups.filter((g) => g.dimension === dimension)
    const sum = (of: (g: Group) => number): number => own.reduce((total, g) => total + of(g), 0)
    const calls_now = sum((g) => g.n_now)
    const calls_before = sum((g) => g.n_before)
    const mean_before = calls_before > 0 ? sum((g) => g.w_before) / calls_before : 0
    const change = (g: Group): number =>
      isOfCalls(kind) ? g.n_now - g.n_before * scale : g.w_now - g.n_now * mean_before
    const total = sum(change)
    if (total === 0) continue
    for (const g of own) {
      if (g.value === '') continue
      const share = Math.min(1, change(g) / total)
      // A version or an error that was not there before has all of its share to its credit, however many calls it has now.
      const usual =
        g.n_before === 0 && calls_before > 0 && LASTING.has(dimension)
          ? 0
          : isOfCalls(kind)
            ? g.n_before / Math.max(1, calls_before)
            : g.n_now / Math.max(1, calls_now)
      if (share < SHARE_MIN || share - usual < LIFT_MIN) continue
      found.push({ dimension, value: g.value, share, usual, order: names.indexOf(dimension) })
    }
  }
  return found
    .sort((a, b) => b.share - b.usual - (a.share - a.usual) || a.order - b.order)
    .slice(0, VALUES_MAX)
    .map(({ order: _, ...difference }) => difference)
}

export type Question = { kind: AnomalyKind; subject: Subject; span: Span; upper: number }

const dimensionsFor = ({ kind, subject }: Question): [name: string, sql: string][] =>
  Object.entries(DIMENSIONS).filter(
    ([name]) =>
      !(name in subject && subject[name as keyof Subject]) &&
      !(name === 'outcome' && kind !== 'latency' && kind !== 'result_size') &&
      !(name === 'error_fingerprint' && kind !== 'errors'),
  )

/** `database`: '' when the source has one of its own. Empty when nothing stands out, or there are no rows to look at. */
export async function whatDiffers(
  source: Source,
  database: string,
  question: Question,
): Promise<{ differs: Difference[]; traces: string[] }> {
  const { kind, subject, span, upper } = question
  const weight = weightOf(kind, upper)
  const before = span.from - COMPARE_S
  const dimensions = dimensionsFor(question)
  const groups = await source.rows<Group>(
    `SELECT d.1 AS dimension, d.2 AS value, toFloat64(countIf(is_now)) AS n_now, sumIf(w, is_now) AS w_now, toFloat64(countIf(NOT is_now)) AS n_before, sumIf(w, NOT is_now) AS w_before
     FROM (SELECT ts >= ${seconds(span.from)} AS is_now, ${weight} AS w, [${dimensions.map(([name, sql]) => `('${name}', ${sql})`).join(', ')}] AS ds
       FROM ${database && `${database}.`}v_calls WHERE ${about(subject)} AND ts >= ${seconds(before)} AND ts < ${seconds(span.to)}
       ORDER BY ts DESC LIMIT ${ROWS_MAX})
     ARRAY JOIN ds AS d GROUP BY dimension, value
     ORDER BY abs(n_now - n_before) + w_now DESC LIMIT 200 BY dimension`,
  )
  const differs = rank(groups, kind, (span.to - span.from) / COMPARE_S)
  const traces = await source.rows<{ trace_id: string }>(
    `SELECT trace_id FROM ${database && `${database}.`}v_calls WHERE ${about(subject)} AND ts >= ${seconds(span.from)} AND ts < ${seconds(span.to)} AND trace_id != ''
     ORDER BY ${weight} DESC, ${kind === 'latency' ? 'duration_us DESC, ' : ''}ts DESC LIMIT 1 BY trace_id LIMIT 5`,
  )
  return { differs, traces: traces.map((row) => row.trace_id) }
}

/** The first difference as the columns of a finding hold it. */
export const contributorOf = (
  differs: readonly Difference[],
): Pick<Finding, 'contributor' | 'contributor_share'> => ({
  contributor: differs[0] ? `${differs[0].dimension}=${differs[0].value}` : '',
  contributor_share: differs[0]?.share ?? 0,
})
