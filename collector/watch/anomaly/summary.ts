/** One sentence of plain English about a finding. Pure; values in units people read. */
import type { Difference, Finding } from './findings.ts'

const round = (x: number): string =>
  x >= 100 ? Math.round(x).toLocaleString('en-US') : String(Number(x.toPrecision(3)))

export function duration(us: number): string {
  return us >= 1e6 ? `${round(us / 1e6)} s` : us >= 1e3 ? `${round(us / 1e3)} ms` : `${round(us)} us`
}
const bytes = (b: number): string =>
  b >= 1e6 ? `${round(b / 1e6)} MB` : b >= 1e3 ? `${round(b / 1e3)} kB` : `${round(b)} B`
const dollars = (nano: number): string => `$${Number((nano / 1e9).toPrecision(3))}`
const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`

const UNITS: Readonly<Record<string, (x: number) => string>> = {
  us: duration,
  bytes,
  nano_usd: dollars,
  share: percent,
  calls: round,
}

/** Hours and minutes in UTC; with the day when that is not today's. */
export function clock(t: number, now: number): string {
  const iso = new Date(t * 1000).toISOString()
  const isToday = iso.slice(0, 10) === new Date(now * 1000).toISOString().slice(0, 10)
  return isToday ? iso.slice(11, 16) : `${iso.slice(0, 10)} ${iso.slice(11, 16)}`
}

const MEASURES: Readonly<Record<string, string>> = {
  p95: 'p95',
  mid: 'typical duration',
  err: 'faults',
  vol: 'calls in 15 minutes:',
  cost: 'cost per call',
  size: 'bytes per call:',
}

const DIMENSION_WORDS: Readonly<Record<string, string>> = {
  error_fingerprint: 'error',
  argument_size: 'arguments of',
  arguments: 'the very same arguments',
  server_protocol: 'protocol',
}

export function differenceText(difference: Difference | undefined): string {
  if (!difference) return ''
  const word = DIMENSION_WORDS[difference.dimension] ?? difference.dimension
  return `; ${Math.round(difference.share * 100)} % of it from ${word} ${difference.value}`
}

export type SeriesWords = Pick<
  Finding,
  | 'kind'
  | 'scope'
  | 'series'
  | 'started'
  | 'ended'
  | 'value'
  | 'expected'
  | 'lower'
  | 'upper'
  | 'unit'
  | 'differs'
  | 'method'
> & { metric: string; minutes: number }

const QUARTER_MIN = 15

const nameOf = ({ scope, series }: { scope: string; series: string }): string =>
  scope === 'all' ? 'all servers' : scope === 'tool' ? series : `${scope} ${series}`

/** "bank/get_balance: p95 412 ms, usual 80-130 ms, since 10:15; 93 % of it from caller rm-agent" */
export function seriesSummary(f: SeriesWords, now: number): string {
  const unit = UNITS[f.unit] ?? round
  const when =
    f.ended > 0 ? `from ${clock(f.started, now)} to ${clock(f.ended, now)}` : `since ${clock(f.started, now)}`
  const learning = f.method === 'learning' ? ' (still learning: compared with its last day)' : ''
  const tail = `${when}${learning}${differenceText(f.differs[0])}`
  if (f.kind === 'silence')
    return `${nameOf(f)}: no calls, usual ${unit(f.lower)}-${unit(f.upper)} in 15 minutes, ${tail}`
  const value =
    f.minutes === QUARTER_MIN ? unit(f.value) : `${unit(f.value)} by the last ${f.minutes} minutes`
  return `${nameOf(f)}: ${MEASURES[f.metric] ?? f.metric} ${value}, usual ${unit(f.lower)}-${unit(f.upper)}, ${tail}`
}
