/** What calls cost: the month, budgets, where the money goes, prices, and what reading tool definitions costs. */
import type { BudgetRow } from '../../../collector/queries/budgets.ts'
import type { CostSourceRow, CostTotals, UnpricedRow } from '../../../collector/queries/cost-summary.ts'
import { Amount, Exact } from '../amount.ts'
import { type Answer, useAnswer } from '../answer.ts'
import { COST_FILTERS, monthOf, useCostScope } from '../cost-scope.ts'
import { FilterBar } from '../filters.ts'
import { count, exactMoney, percent } from '../format.ts'
import { html } from '../html.ts'
import { usePulse } from '../live.ts'
import { Panel, Stat } from '../panel.ts'
import { here, to } from '../route.ts'
import { ContextTax } from './context-tax.ts'
import { FixedCosts, Prices, Sources, Unpriced } from './cost-prices.ts'
import { CostSplit } from './cost-split.ts'

export type CostSummary = { total: CostTotals; sources: CostSourceRow[]; unpriced: UnpricedRow[] }

export function Cost() {
  const scope = useCostScope()
  const summary = useAnswer<CostSummary>('cost-summary', {})
  return html`<${Month} summary=${summary} />
    <${Budgets} />
    <${FilterBar} names=${COST_FILTERS} hint="value; a tag as key=value" />
    <${CostSplit} scope=${scope} summary=${summary} />
    <${Sources} summary=${summary} />
    <${Unpriced} summary=${summary} />
    <${Prices} summary=${summary} />
    <${FixedCosts} scope=${scope} />
    <${ContextTax} scope=${scope} />
    <${ExportHint} />`
}

function Month({ summary }: { summary: Answer<CostSummary> }) {
  const total = summary.rows?.total
  const dash = '–'
  if (summary.error) return html`<${Panel} title="This month" answer=${summary} />`
  const unpriced = total?.unpriced ?? 0
  const isUnknown = unpriced > 0 && total!.spent_nano === 0
  return html`<div class="stats" role="group" aria-label="This month" aria-busy=${total ? 'false' : 'true'}>
    <${Stat} name="Month to date" value=${total ? html`<${Amount} nano=${total.spent_nano} unpriced=${unpriced} />` : dash}
      note=${total ? (isUnknown ? 'no call has a price' : `${exactMoney(total.spent_nano)} since ${total.month}, UTC`) : ''} />
    <${Stat} name="Forecast to its end" value=${total ? html`<${Amount} nano=${total.forecast_nano} unpriced=${unpriced} />` : dash}
      note=${total && !isUnknown ? 'at the pace of the last seven full days' : ''} />
    <${Stat} name="Monthly prices" value=${total ? html`<${Exact} nano=${total.fixed_nano} />` : dash} note="part of both, due as a whole" />
    <${Stat} name="Last month" value=${total ? html`<${Amount} nano=${total.before_nano} unpriced=${total.before_unpriced} />` : dash}
      note=${total && total.before_unpriced > 0 ? `${count(total.before_unpriced)} unpriced calls` : ''} href=${here({ period: 'before' })} />
    <${Stat} name="Unpriced calls" value=${total ? count(unpriced) : dash} tone=${unpriced > 0 ? 'warn' : ''}
      note=${total ? (unpriced > 0 ? 'their cost is unknown, not zero' : 'every call has a price') : ''} />
  </div>`
}

const TONE = { ok: 'good', at_risk: 'warn', exceeded: 'bad' } as const
const STATE = { ok: 'ok', at_risk: 'at risk', exceeded: 'exceeded' } as const

function Budgets() {
  const budgets = useAnswer<BudgetRow[]>('budgets', {})
  const rows = budgets.rows ?? []
  const empty = html`<div class="how"><p>No budget is set. One line in <code>weir.yaml</code> sets one:</p>
    <pre class="payload" tabindex="0" aria-label="Lines for weir.yaml">teams: { research: { budget_usd_per_month: 400 } }</pre></div>`
  return html`<${Panel} title="Budgets" answer=${budgets} isEmpty=${rows.length === 0} empty=${empty}>
    <ul class="tiles">${rows.map((row) => html`<${Tile} key=${row.budget_id} row=${row} />`)}</ul>
  </${Panel}>`
}

/** Where a budget's name leads: its costs, within the present days. */
const within = ({ scope, value }: BudgetRow): string => to('/cost', { [scope]: value })

function Tile({ row }: { row: BudgetRow }) {
  const share = (nano: number): number => (row.amount_nano === 0 ? 1 : Math.min(1, nano / row.amount_nano))
  // Nothing but calls without a price: that the budget is kept is not known either.
  const isUnknown = row.unpriced > 0 && row.spent_nano === 0
  return html`<li class="tile">
    <div class="tile-head"><a href=${within(row)}>${row.value}</a> <span class="muted">${row.scope}, a ${row.period}</span>
      <span class=${isUnknown ? 'tag' : `tag ${TONE[row.state]}`}>${isUnknown ? 'unknown' : STATE[row.state]}</span></div>
    <div class="meter" aria-hidden="true">
      <span class="meter-forecast" style=${{ width: `${share(row.forecast_nano) * 100}%` }}></span>
      <span class=${`meter-spent ${TONE[row.state]}`} style=${{ width: `${share(row.spent_nano) * 100}%` }}></span>
    </div>
    <div><strong><${Amount} nano=${row.spent_nano} unpriced=${row.unpriced} /></strong> of <${Exact} nano=${row.amount_nano} />${isUnknown ? '' : `, ${percent(row.spent_share)}`}</div>
    <div class="muted">forecast <${Amount} nano=${row.forecast_nano} unpriced=${row.unpriced} /> until ${row.period_end}${row.unpriced > 0 ? ` · ${count(row.unpriced)} unpriced` : ''}</div>
  </li>`
}

function ExportHint() {
  const { now_ms } = usePulse()
  const month = monthOf(now_ms, -1).slice(0, 7)
  return html`<${Panel} title="For finance" note="FOCUS 1.2 rows that add up to these figures">
    <pre class="payload" tabindex="0" aria-label="Command that exports a month">weir export focus --month ${month} --out ${month}.csv</pre>
  </${Panel}>`
}
