/** Rules that compare a figure of calls: which series there are, their value, and whether it is beyond the limit. */
import { type Figure, isShipped, type ThresholdRule } from '../../../config/alert-rules.ts'
import { type FigureRow, run, runKnown, type Series } from '../../queries/alert-figures.ts'
import type { Sample } from './alert.ts'
import { conditions, momentText, type View } from './links.ts'
import type { Look, Once } from './look.ts'
import { figureText, type Shown, sampleOf, secondsText } from './sample.ts'

type CallFigure = Exclude<Figure, 'lost_events' | 'dead_letters' | 'ingest_age_s' | 'failed_deliveries'>

type About = {
  value(row: FigureRow): number
  /** The same in SQL over v_calls, for people. */
  sql: string
  text(value: number): string
  view: View
  order: 'failed' | 'slow' | 'costly'
  /** A few calls say nothing about it. */
  needsCalls: boolean
}

const percent = (value: number): string => `${figureText(value * 100)} %`
const millis = (value: number): string => `${figureText(value)} ms`
const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)

const ABOUT: Readonly<Record<CallFigure, About>> = {
  error_share: {
    value: (row) => share(row.failed_calls, row.calls),
    sql: 'countIf(failed) / count()',
    text: (value) => `${percent(value)} of calls failed`,
    view: 'tools',
    order: 'failed',
    needsCalls: true,
  },
  fault_share: {
    value: (row) => share(row.faults, row.calls),
    sql: 'countIf(fault) / count()',
    text: (value) => `${percent(value)} of calls failed by no fault of the client`,
    view: 'tools',
    order: 'failed',
    needsCalls: true,
  },
  p95_ms: {
    value: (row) => row.p95_us / 1000,
    sql: 'quantile(0.95)(duration_us) / 1000',
    text: (value) => `95 % of calls take up to ${millis(value)}`,
    view: 'tools',
    order: 'slow',
    needsCalls: true,
  },
  p99_ms: {
    value: (row) => row.p99_us / 1000,
    sql: 'quantile(0.99)(duration_us) / 1000',
    text: (value) => `99 % of calls take up to ${millis(value)}`,
    view: 'tools',
    order: 'slow',
    needsCalls: true,
  },
  calls: {
    value: (row) => row.calls,
    sql: 'count()',
    text: (value) => `${figureText(value)} calls`,
    view: 'tools',
    order: 'slow',
    needsCalls: false,
  },
  cost_usd: {
    value: (row) => row.cost_nano / 1e9,
    sql: 'sum(cost_nano) / 1e9',
    text: (value) => `${figureText(value)} USD spent`,
    view: 'cost',
    order: 'costly',
    needsCalls: false,
  },
  overhead_p99_ms: {
    value: (row) => row.overhead_p99_us / 1000,
    sql: 'quantile(0.99)(overhead_us) / 1000',
    text: (value) => `Weir itself adds up to ${millis(value)} to 99 % of calls`,
    view: 'health',
    order: 'slow',
    needsCalls: true,
  },
}

/** What evidence counts, and where. Costs are those of the prices of now: rows of calls hold what they were first rated at. */
const seenIn = (figure: Figure): { columns: string; from: string } =>
  figure === 'cost_usd'
    ? { columns: 'sum(calls) AS calls, sum(unpriced) AS unpriced', from: 'v_costs' }
    : { columns: 'count() AS calls', from: 'v_calls' }

export function isBeyond(value: number, op: ThresholdRule['op'], limit: number): boolean {
  switch (op) {
    case '>':
      return value > limit
    case '>=':
      return value >= limit
    case '<':
      return value < limit
    case '<=':
      return value <= limit
  }
}

const seriesKey = ({ server, tool, team, caller }: Series): string =>
  JSON.stringify([server, tool, team, caller])
const NOBODY: Series = { server: '', tool: '', team: '', caller: '' }
const noCalls = (series: Series): FigureRow => ({
  ...series,
  calls: 0,
  failed_calls: 0,
  faults: 0,
  p95_us: 0,
  p99_us: 0,
  overhead_p99_us: 0,
  cost_nano: 0,
})

/** Everything but a figure's own name: '' for all calls. */
const whoText = ({ server, tool, team, caller }: Series): string =>
  tool !== ''
    ? `${server}/${tool}`
    : server || (team && `team ${team}`) || (caller && `caller ${caller}`) || 'all calls'

/** `calls` counts as zero where there are none; every other figure of no calls is no data. */
function seenOf(rule: ThresholdRule, about: About, row: FigureRow): Sample['seen'] {
  if (row.calls === 0 && rule.figure !== 'calls' && rule.figure !== 'cost_usd') return 'nodata'
  if (about.needsCalls && row.calls < rule.min_calls) return 'good'
  return isBeyond(about.value(row), rule.op, rule.value) ? 'bad' : 'good'
}

export async function thresholdSamples(rule: ThresholdRule, look: Look, once: Once): Promise<Sample[]> {
  const about = ABOUT[rule.figure as CallFigure]
  const { columns, from } = seenIn(rule.figure)
  const { over, server, tool, team, caller, window_s } = rule
  const names = { server, tool, team, caller }
  const from_ms = look.to_ms - window_s * 1000
  const asked = { over, names, from_ms, to_ms: look.to_ms }
  const rows = await once(JSON.stringify(['figures', over, names, window_s]), () => run(look.reader, asked))
  const found = new Map(rows.map((row) => [seriesKey(row), row]))
  if (over === 'all' && !found.has(seriesKey(NOBODY))) found.set(seriesKey(NOBODY), noCalls(NOBODY))
  // Whoever is watched for being silent must be known although nothing is heard.
  if (over !== 'all' && (rule.no_data !== 'ok' || rule.figure === 'calls'))
    for (const series of await once(JSON.stringify(['known', over, names]), () =>
      runKnown(look.reader, asked),
    ))
      if (!found.has(seriesKey(series))) found.set(seriesKey(series), noCalls(series))
  return [...found.values()].map((row) => {
    const series: Series = { server: row.server, tool: row.tool, team: row.team, caller: row.caller }
    const value = about.value(row)
    const seen = seenOf(rule, about, row)
    const labels = { ...series, figure: rule.figure }
    return sampleOf(rule, look, seen, value, labels, (): Shown => {
      const what = seen === 'nodata' ? 'no calls' : about.text(value)
      return {
        summary: `${whoText(series)}: ${what} in ${secondsText(window_s)} (limit ${rule.op} ${rule.value})`,
        view: about.view,
        window_s,
        series,
        evidence: `SELECT ${columns}, ${about.sql} AS ${rule.figure} FROM ${from} WHERE ts >= ${momentText(from_ms)} AND ts < ${momentText(look.to_ms)} AND method != 'subscriptions/listen'${conditions(series)}`,
        heading: headingOf(rule),
        traces: { order: about.order },
      }
    })
  })
}

/** Rules of Weir have headings of their own; a rule of the config is explained by its figure. */
export const headingOf = (rule: ThresholdRule): string =>
  isShipped(rule.name) ? rule.name : `figure-${rule.figure}`
