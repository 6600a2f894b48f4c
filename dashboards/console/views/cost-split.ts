/** Where the money goes: over time and as a table, by one thing at a time; each row leads one level down. */
import type { CostRow } from '../../../collector/queries/cost-by.ts'
import type { CostPoint } from '../../../collector/queries/cost-series.ts'
import type { CostTagRow } from '../../../collector/queries/cost-tags.ts'
import { Amount, Exact } from '../amount.ts'
import { type Answer, useAnswer } from '../answer.ts'
import { type Series, TimeSeries } from '../chart.ts'
import { type CostScope, inside, nameOf, PERIODS, SPLITS } from '../cost-scope.ts'
import { count, money, percent } from '../format.ts'
import { html } from '../html.ts'
import { segment } from '../names.ts'
import { Panel } from '../panel.ts'
import { go, here, to } from '../route.ts'
import { type Column, Table } from '../table.ts'
import type { CostSummary } from './cost.ts'
import { HowToPrice } from './pricing.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** As many as there are colours; the last is for all others. */
const SHOWN_MAX = 8

type Props = { scope: CostScope; summary: Answer<CostSummary> }

export function CostSplit({ scope, summary }: Props) {
  const { by, tag, params, key, isStill, step } = scope
  const tags = useAnswer<CostTagRow[]>('cost-tags', { from: scope.from, to: scope.to }, key, isStill)
  const keyOfTag = tag || tags.rows?.[0]?.key || ''
  const split = { ...params, by, tag: by === 'tag' ? keyOfTag : '' }
  const name = `${key} ${by} ${split.tag}`
  // Without any tag there is nothing to ask.
  const isAsked = by !== 'tag' || keyOfTag !== ''
  const costs = useAnswer<CostRow[]>('cost-by', isAsked ? split : null, name, isStill)
  const points = useAnswer<CostPoint[]>('cost-series', isAsked ? { ...split, step } : null, name, isStill)
  const isNothingPriced =
    (summary.rows?.total.unpriced ?? 0) > 0 &&
    summary.rows!.sources.every((s) => s.cost_source === 'unpriced')
  const [first] = summary.rows?.unpriced ?? []
  const empty = !isAsked
    ? 'No call of these days carries a tag. Tags come from teams.<name>.tags and callers.<name>.tags.'
    : isNothingPriced
      ? html`<${HowToPrice} server=${first?.server} tool=${first?.tool} />`
      : html`<span>Nothing cost anything in these days. <a href=${here({ period: 'before' })}>Last month</a>, or take a filter away.</span>`
  const at = { ...scope, tag: keyOfTag }
  return html`<${Splits} scope=${at} tags=${tags.rows ?? []} />
    <${OverTime} scope=${at} points=${points} empty=${empty} />
    <${Costs} scope=${at} costs=${costs} empty=${empty} />`
}

function Splits({ scope, tags }: { scope: CostScope; tags: readonly CostTagRow[] }) {
  const chosen = (event: Event): string => (event.target as HTMLSelectElement).value
  return html`<div class="filters" role="group" aria-label="How costs are shown">
    <nav class="choices" aria-label="Costs by">
      ${SPLITS.map((word) => html`<a key=${word} class="choice" href=${here({ by: word, page_costs: null, sort_costs: null })} aria-current=${scope.by === word ? 'true' : undefined}>${word}</a>`)}
    </nav>
    ${
      scope.by === 'tag' &&
      tags.length > 0 &&
      html`<select aria-label="Key of the tag" value=${scope.tag} onChange=${(e: Event) => go(here({ tag: chosen(e) }))}>
        ${tags.map((t) => html`<option key=${t.key} value=${t.key}>${t.key}</option>`)}
      </select>`
    }
    <select aria-label="Days" value=${scope.period} onChange=${(e: Event) => go(here({ period: chosen(e) === 'month' ? null : chosen(e) }))}>
      ${PERIODS.map(([word, text]) => html`<option key=${word} value=${word}>${text}</option>`)}
    </select>
  </div>`
}

/** One series for each of the greatest, one for all others. */
function seriesOf(points: readonly CostPoint[], t: readonly number[], by: string): Series[] {
  const sums = new Map<string, number>()
  for (const p of points) sums.set(p.value, (sums.get(p.value) ?? 0) + p.cost_nano)
  const names = [...sums].sort((a, b) => b[1] - a[1]).map(([value]) => value)
  const shown = names.length > SHOWN_MAX ? names.slice(0, SHOWN_MAX - 1) : names
  const lane = (value: string): number => {
    const i = shown.indexOf(value)
    return i < 0 ? shown.length : i
  }
  const at = new Map(t.map((ms, i) => [ms, i]))
  const lanes = Array.from({ length: Math.min(names.length, SHOWN_MAX) }, () => t.map(() => 0))
  for (const p of points) {
    const i = at.get(p.t_ms)
    if (i !== undefined) lanes[lane(p.value)]![i]! += p.cost_nano
  }
  return lanes.map((values, i) => ({
    name: i < shown.length ? nameOf(by, shown[i]!) : `${names.length - shown.length} others`,
    color: `c${i + 1}`,
    values,
  }))
}

type PartProps = { scope: CostScope; empty: unknown }

function OverTime({ scope, points, empty }: PartProps & { points: Answer<CostPoint[]> }) {
  const rows = points.rows ?? []
  const [from_ms, to_ms] = [Date.parse(scope.from), Date.parse(scope.to)]
  const step_ms = scope.step === 'hour' ? HOUR_MS : DAY_MS
  const t = Array.from({ length: Math.round((to_ms - from_ms) / step_ms) }, (_, i) => from_ms + i * step_ms)
  const unpriced = rows.reduce((sum, p) => sum + p.unpriced, 0)
  const note = `by ${scope.by}, ${scope.step === 'hour' ? 'an hour' : 'a day'} a bar, UTC${unpriced > 0 ? `; without ${count(unpriced)} unpriced calls` : ''}`
  return html`<${Panel} title="Cost over time" note=${note} answer=${points} isEmpty=${rows.every((p) => p.cost_nano === 0)} empty=${empty}>
    <${TimeSeries} label=${`Cost by ${scope.by}`} kind="stacked-bars" t=${t} from_ms=${from_ms} to_ms=${to_ms} format=${money} series=${seriesOf(rows, t, scope.by)} />
  </${Panel}>`
}

const total = (r: CostRow): number => r.cost_nano + r.fixed_nano

function Costs({ scope, costs, empty }: PartProps & { costs: Answer<CostRow[]> }) {
  const rows = costs.rows ?? []
  const sum = rows.reduce((all, r) => all + total(r), 0)
  const unpriced = rows.reduce((all, r) => all + r.unpriced, 0)
  const what = scope.by === 'tag' ? `tag ${scope.tag}` : scope.by
  const note = html`${scope.from} to before ${scope.to}: <${Amount} nano=${sum} unpriced=${unpriced} />`
  return html`<${Panel} title=${`Costs by ${what}`} note=${note} answer=${costs} isEmpty=${rows.length === 0} empty=${empty}>
    <${Table} id="costs" caption=${`Costs by ${what}`} rows=${rows} columns=${columnsOf(
      scope,
      sum,
      rows.some((r) => r.fixed_nano !== 0),
    )} />
  </${Panel}>`
}

function Name({ scope, value }: { scope: CostScope; value: string }) {
  const name = nameOf(scope.by === 'tag' ? scope.tag : scope.by, value)
  const text = value ? name : html`<span class="muted">${name}</span>`
  if (scope.by !== 'tool') return html`<a href=${inside(scope, value)}>${text}</a>`
  const at = value.indexOf('/')
  return at < 1
    ? text
    : html`<a href=${to(`/tools/${segment(value.slice(0, at))}/${segment(value.slice(at + 1))}`)}>${text}</a>`
}

function columnsOf(scope: CostScope, sum: number, hasFixed: boolean): Column<CostRow>[] {
  const number = (
    key: keyof CostRow,
    head: string,
    cell: Column<CostRow>['cell'],
    about = '',
  ): Column<CostRow> => ({
    key,
    head,
    about,
    isNumber: true,
    value: (r) => r[key],
    ...(cell ? { cell } : {}),
  })
  const share = (r: CostRow): number => (sum === 0 ? 0 : total(r) / sum)
  return [
    {
      key: 'value',
      head: scope.by,
      class: 'clip',
      value: (r) => r.value,
      cell: (r) => html`<${Name} scope=${scope} value=${r.value} />`,
    },
    {
      key: 'share',
      head: 'Share',
      isSortable: false,
      value: share,
      cell: (r) =>
        sum === 0
          ? html`<span class="muted">unknown</span>`
          : html`<span class="share"><span class="bar-lane"><span class="bar" style=${{ width: `${Math.max(0, share(r)) * 100}%` }}></span></span>${percent(share(r))}</span>`,
    },
    number(
      'cost_nano',
      'Cost of calls',
      (r) => html`<${Amount} nano=${r.cost_nano} unpriced=${r.unpriced} />`,
    ),
    ...(hasFixed
      ? [number('fixed_nano', 'Of monthly prices', (r) => html`<${Exact} nano=${r.fixed_nano} />`)]
      : []),
    number('calls', 'Calls', (r) => count(r.calls), 'those that may cost something'),
    number(
      'unpriced',
      'Unpriced',
      (r) => html`<span class=${r.unpriced > 0 ? 'warn' : 'muted'}>${count(r.unpriced)}</span>`,
      'calls whose cost is unknown',
    ),
    number('tokens', 'Tokens', (r) => count(r.tokens), 'in and out'),
  ]
}
