/** The first look: how much, how well, how fast, what changed, what fails, how fresh all this is. */
import type { CostTodayRow } from '../../../collector/queries/cost-today.ts'
import type { FigureRow } from '../../../collector/queries/figures.ts'
import type { FingerprintRow } from '../../../collector/queries/fingerprints.ts'
import type { Freshness } from '../../../collector/queries/freshness.ts'
import type { MoverRow } from '../../../collector/queries/movers.ts'
import { Amount } from '../amount.ts'
import { type Answer, useAnswer } from '../answer.ts'
import { CallChart } from '../call-chart.ts'
import { TimeSeries } from '../chart.ts'
import { FilterBar } from '../filters.ts'
import { count, duration, percent, perTime, seconds } from '../format.ts'
import { html } from '../html.ts'
import { MarkList, useMarks } from '../marks.ts'
import { Outcome, ToolLink, toolName, traceHref, When } from '../names.ts'
import { Panel, Stat } from '../panel.ts'
import { go, here, to, usePlace } from '../route.ts'
import { SCOPE_FILTERS, useScope, type ViewScope } from '../scope.ts'
import { type SeriesAnswer, stepsOf } from '../steps.ts'
import { Table } from '../table.ts'
import { Concerns } from './concerns.ts'
import { Nothing } from './nothing.ts'

export function Overview() {
  const scope = useScope()
  const figures = useAnswer<FigureRow[]>('figures', scope.params, scope.key)
  const series = useAnswer<SeriesAnswer>('series', scope.params, scope.key)
  return html`<${FilterBar} names=${SCOPE_FILTERS} />
    <${Figures} figures=${figures} span_s=${(scope.span.to_ms - scope.span.from_ms) / 1000} />
    <${Concerns} />
    <${Charts} series=${series} scope=${scope} />
    <${Movers} scope=${scope} />
    <${Failures} scope=${scope} />`
}

function Figures({ figures, span_s }: { figures: Answer<FigureRow[]>; span_s: number }) {
  const cost = useAnswer<CostTodayRow[]>('cost-today', {})
  const fresh = useAnswer<Freshness[]>('freshness', {})
  const f = figures.rows?.[0]
  const c = cost.rows?.[0]
  const lag = fresh.rows?.[0]
  const share = f && f.calls > 0 ? f.failed / f.calls : 0
  const dash = '–'
  if (figures.error) return html`<${Panel} title="Figures" answer=${figures} />`
  return html`<div class="stats" role="group" aria-label="Figures" aria-busy=${f ? 'false' : 'true'}>
    <${Stat} name="Calls" value=${f ? count(f.calls) : dash} note=${f ? perTime(f.calls / span_s) : ''} href=${to('/audit')} />
    <${Stat} name="Failed" value=${f ? percent(share) : dash} tone=${share > 0.05 ? 'bad' : share > 0.01 ? 'warn' : ''} note=${f ? `${count(f.failed)} calls, ${count(f.faults)} not the client's` : ''} href=${to('/audit', { outcome: 'failed' })} />
    <${Stat} name="p50" value=${f?.calls ? duration(f.p50_us) : dash} />
    <${Stat} name="p95" value=${f?.calls ? duration(f.p95_us) : dash} note=${f?.calls ? `p99 ${duration(f.p99_us)}` : ''} />
    <${Stat} name="Weir's own share" value=${f?.calls ? duration(f.overhead_p50_us) : dash} note=${f?.calls ? `p99 ${duration(f.overhead_p99_us)}` : ''} href=${to('/health')} />
    <${Stat} name="Cost today" value=${c ? html`<${Amount} nano=${c.cost_nano} unpriced=${c.unpriced} />` : dash} note=${c && c.unpriced > 0 ? `${count(c.unpriced)} calls have no price` : ''} href=${to('/cost')} />
    <${Stat} name="Newest call" value=${lag ? (lag.newest_age_s === null ? 'none in a day' : seconds(Math.max(0, Math.floor(lag.newest_age_s)))) : dash} note=${lag && lag.delay_p99_s !== null ? `in the store after ${seconds(lag.delay_p99_s)}` : ''} tone=${lag && lag.lost_events > 0 ? 'warn' : ''} href=${to('/health')} />
  </div>`
}

function Charts({ series, scope }: { series: Answer<SeriesAnswer>; scope: ViewScope }) {
  const marks = useMarks(scope)
  const { rows } = series
  const steps = rows ? stepsOf(rows) : null
  const shared = rows
    ? { t: steps!.t, from_ms: rows.from_ms, to_ms: rows.to_ms, sync: 'overview', marks }
    : null
  const isEmpty = rows?.rows.length === 0
  return html`<${Panel} title="Calls" class="half" answer=${series} isEmpty=${isEmpty} empty=${html`<${Nothing} />`}>
      ${
        steps &&
        html`<${CallChart} steps=${steps} from_ms=${rows!.from_ms} to_ms=${rows!.to_ms} sync="overview" marks=${marks} /><${MarkList} marks=${marks} />`
      }
    </${Panel}>
    <${Panel} title="Duration" class="half" answer=${series} isEmpty=${isEmpty} empty=${html`<${Nothing} />`}>
      ${
        steps &&
        html`<${TimeSeries} ...${shared} label="Duration of calls" format=${duration} series=${[
          { name: 'p50', color: 'c1', values: steps.of((r) => r.p50_us) },
          { name: 'p95', color: 'c2', values: steps.of((r) => r.p95_us) },
          { name: 'p99', color: 'c4', values: steps.of((r) => r.p99_us), dash: true },
        ]} />`
      }
    </${Panel}>`
}

function Movers({ scope }: { scope: ReturnType<typeof useScope> }) {
  const { params } = usePlace()
  const against = params.against === 'week' ? 'week' : 'day'
  const movers = useAnswer<MoverRow[]>('movers', { ...scope.params, against }, `${scope.key}${against}`)
  const rows = movers.rows ?? []
  const hasPast = rows.some((r) => r.calls_before > 0)
  const choose = html`<select aria-label="Compared with" value=${against} onChange=${(e: Event) => go(here({ against: (e.target as HTMLSelectElement).value }), { replace: true })}>
    <option value="day">against the day before</option><option value="week">against the week before</option>
  </select>`
  const signed = (now: number, before: number, format: (n: number) => string): string =>
    before === 0
      ? now === 0
        ? ''
        : 'new'
      : now === before
        ? '='
        : `${now > before ? '+' : '−'}${format(Math.abs(now - before))}`
  const ratio = (now: number, before: number): number => (before === 0 ? 0 : now / before - 1)
  return html`<${Panel} title="What changed" class="half" answer=${movers} actions=${choose} isEmpty=${rows.length === 0} empty=${html`<${Nothing} />`}
    learning=${rows.length > 0 && !hasPast ? `There are no calls in the same time ${against === 'day' ? 'a day' : 'a week'} before to compare with.` : null}>
    <${Table} id="movers" caption="What changed, by tool" rows=${rows} page_size=${8} columns=${[
      { key: 'tool', head: 'Tool', value: toolName, cell: ToolLink, class: 'clip' },
      {
        key: 'calls',
        head: 'Calls',
        isNumber: true,
        value: (r: MoverRow) => r.calls,
        cell: (r: MoverRow) => count(r.calls),
      },
      {
        key: 'delta',
        head: 'Change',
        isNumber: true,
        value: (r: MoverRow) => r.calls - r.calls_before,
        cell: (r: MoverRow) => signed(r.calls, r.calls_before, count),
      },
      {
        key: 'failed',
        head: 'Failed',
        isNumber: true,
        value: (r: MoverRow) => r.failed,
        cell: (r: MoverRow) =>
          html`${count(r.failed)} <span class="muted">${signed(r.failed, r.failed_before, count)}</span>`,
      },
      {
        key: 'p95',
        head: 'p95',
        isNumber: true,
        value: (r: MoverRow) => r.p95_us,
        cell: (r: MoverRow) => duration(r.p95_us),
      },
      {
        key: 'p95d',
        head: 'Change',
        isNumber: true,
        value: (r: MoverRow) => ratio(r.p95_us, r.p95_before_us),
        cell: (r: MoverRow) =>
          r.p95_before_us === 0 ? '' : signed(r.p95_us, r.p95_before_us, (n) => percent(n / r.p95_before_us)),
      },
    ]} />
  </${Panel}>`
}

function Failures({ scope }: { scope: ReturnType<typeof useScope> }) {
  const failures = useAnswer<FingerprintRow[]>('fingerprints', { ...scope.params, limit: 50 }, scope.key)
  const rows = failures.rows ?? []
  return html`<${Panel} title="Failures by cause" class="half" answer=${failures} isEmpty=${rows.length === 0} empty="Nothing failed in this time range.">
    <${Table} id="causes" caption="Failures by cause" rows=${rows} page_size=${8} columns=${[
      {
        key: 'failures',
        head: 'Times',
        isNumber: true,
        value: (r: FingerprintRow) => r.failures,
        cell: (r: FingerprintRow) => count(r.failures),
      },
      {
        key: 'cause',
        head: 'Cause',
        class: 'wrap',
        value: (r: FingerprintRow) => r.error_message,
        cell: (r: FingerprintRow) =>
          html`<${Outcome} outcome=${r.outcome} owner=${r.owner} /> <a href=${traceHref(r.trace_id, r.span_id)}>${r.error_message || r.error_type || 'no message'}</a> <div class="note">${toolName(r)}</div>`,
      },
      {
        key: 'first',
        head: 'First',
        value: (r: FingerprintRow) => r.first_seen,
        cell: (r: FingerprintRow) => html`<${When} ts=${r.first_seen} relative />`,
      },
      {
        key: 'last',
        head: 'Last',
        value: (r: FingerprintRow) => r.last_seen,
        cell: (r: FingerprintRow) => html`<${When} ts=${r.last_seen} relative />`,
      },
    ]} />
  </${Panel}>`
}
