/** What costs come from: sources, tools without a price, the price book, monthly prices and who bears them. */
import type { CostSourceRow, UnpricedRow } from '../../../collector/queries/cost-summary.ts'
import type { FixedCostRow } from '../../../collector/queries/fixed-costs.ts'
import type { PriceRow } from '../../../collector/queries/prices.ts'
import { Amount, Exact } from '../amount.ts'
import { type Answer, useAnswer } from '../answer.ts'
import { type CostScope, monthOf, nameOf } from '../cost-scope.ts'
import { count, exactRate, percent } from '../format.ts'
import { html } from '../html.ts'
import { usePulse } from '../live.ts'
import { Panel } from '../panel.ts'
import { type Column, Table } from '../table.ts'
import { momentMs } from '../time.ts'
import type { CostSummary } from './cost.ts'
import { HowToPrice, priceLine } from './pricing.ts'

const SOURCES: Readonly<Record<string, string>> = {
  reported: 'said by the server in its answer',
  formula: 'a formula',
  tool: 'a price of the tool',
  server: 'a price of the server',
  default: 'the price of everything else',
  unpriced: 'no price',
}

type SummaryProps = { summary: Answer<CostSummary> }

export function Sources({ summary }: SummaryProps) {
  const rows = summary.rows?.sources ?? []
  return html`<${Panel} title="Where costs come from" note="this month" class="half" answer=${summary} isEmpty=${rows.length === 0} empty="No call of this month may cost anything.">
    <${Table} id="sources" caption="Costs by source" rows=${rows} columns=${SOURCE_COLUMNS} />
  </${Panel}>`
}

const SOURCE_COLUMNS: readonly Column<CostSourceRow>[] = [
  {
    key: 'cost_source',
    head: 'Source',
    value: (r) => r.cost_source,
    cell: (r) => html`${r.cost_source} <span class="muted">${SOURCES[r.cost_source] ?? ''}</span>`,
  },
  { key: 'calls', head: 'Calls', isNumber: true, value: (r) => r.calls, cell: (r) => count(r.calls) },
  {
    key: 'cost_nano',
    head: 'Cost',
    isNumber: true,
    value: (r) => r.cost_nano,
    cell: (r) =>
      html`<${Amount} nano=${r.cost_nano} unpriced=${r.cost_source === 'unpriced' ? r.calls : 0} />`,
  },
]

export function Unpriced({ summary }: SummaryProps) {
  const rows = summary.rows?.unpriced ?? []
  // The rows as CSV are those of the costs by tool.
  return html`<${Panel} title="Tools without a price" note="this month" class="half" answer=${{ ...summary, csv: '' }} isEmpty=${rows.length === 0} empty="Every call of this month has a price.">
    <${Table} id="unpriced" caption="Tools without a price" page_size=${10} rows=${rows} columns=${UNPRICED_COLUMNS} />
  </${Panel}>`
}

const UNPRICED_COLUMNS: readonly Column<UnpricedRow>[] = [
  { key: 'tool', head: 'Tool', class: 'clip', value: (r) => `${r.server} / ${r.tool}` },
  { key: 'calls', head: 'Calls', isNumber: true, value: (r) => r.calls, cell: (r) => count(r.calls) },
  {
    key: 'line',
    head: 'A line below prices: in weir.yaml',
    isSortable: false,
    value: () => '',
    cell: (r) => html`<code>${priceLine(r.server, r.tool)}</code>`,
  },
]

const RATES = [
  ['per_call_nano', 'a call'],
  ['per_input_token_nano', 'an input token'],
  ['per_output_token_nano', 'an output token'],
  ['per_byte_in_nano', 'a byte in'],
  ['per_byte_out_nano', 'a byte out'],
  ['per_second_nano', 'a second'],
  ['per_month_nano', 'a month'],
] as const

function priceText(row: PriceRow): string {
  if (row.formula) return row.formula
  const rates = RATES.filter(([column]) => Number(row[column]) > 0)
  if (rates.length > 0) return rates.map(([column, unit]) => `${exactRate(row[column])} ${unit}`).join(' + ')
  return row.reported ? 'nothing of its own' : 'free'
}
const sourceOf = (row: PriceRow): string =>
  `${row.formula ? 'formula' : row.tool !== '*' ? 'tool' : row.server !== '*' ? 'server' : 'default'}${row.reported ? ', reported wins' : ''}`
/** Prices without an end reach from 1970 to 2100. */
const edge = (ts: string): string =>
  ts.startsWith('1970-01-01') || ts.startsWith('2100-01-01')
    ? ''
    : ts.slice(0, ts.includes('00:00:00') ? 10 : 16)
const validity = ({ valid_from, valid_to }: PriceRow): string => {
  const [from, until] = [edge(valid_from), edge(valid_to)]
  return from || until
    ? [from && `from ${from}`, until && `before ${until}`].filter(Boolean).join(', ')
    : 'always'
}

/** A price may be in the book and not hold: not yet, or no more. */
function stateOf({ in_force, valid_from, valid_to }: PriceRow, now_ms = Date.now()): string {
  if (!in_force || momentMs(valid_to) <= now_ms) return 'past'
  return momentMs(valid_from) > now_ms ? 'to come' : 'in force'
}

export function Prices({ summary }: SummaryProps) {
  const prices = useAnswer<PriceRow[]>('prices', {})
  const rows = prices.rows ?? []
  const [first] = summary.rows?.unpriced ?? []
  return html`<${Panel} title="Prices" note="in force, and those that priced calls of the last 30 days" answer=${prices} isEmpty=${rows.length === 0}
    empty=${html`<${HowToPrice} server=${first?.server} tool=${first?.tool} />`}>
    <${Table} id="prices" caption="Prices" rows=${rows} columns=${PRICE_COLUMNS} />
  </${Panel}>`
}

const PRICE_COLUMNS: readonly Column<PriceRow>[] = [
  { key: 'what', head: 'For', class: 'clip', value: (r) => `${r.server} / ${r.tool}` },
  {
    key: 'price',
    head: 'Price',
    value: priceText,
    cell: (r) => html`<span class=${r.formula ? 'mono' : ''}>${priceText(r)}</span>`,
    isSortable: false,
  },
  { key: 'source', head: 'Source', value: sourceOf },
  {
    key: 'bill_on',
    head: 'Of calls',
    about: 'ok: that succeeded; executed: that a server answered; all',
    value: (r) => r.bill_on,
  },
  { key: 'valid', head: 'Holds (UTC)', value: validity },
  {
    key: 'in_force',
    head: 'State',
    value: (r) => stateOf(r),
    cell: (r) => html`<span class=${`tag ${stateOf(r) === 'in force' ? 'good' : ''}`}>${stateOf(r)}</span>`,
  },
  { key: 'calls', head: 'Calls, 30 d', isNumber: true, value: (r) => r.calls, cell: (r) => count(r.calls) },
  {
    key: 'cost',
    head: 'Cost, 30 d',
    isNumber: true,
    value: (r) => r.cost_nano,
    cell: (r) => html`<${Exact} nano=${r.cost_nano} />`,
  },
]

/** By what monthly prices can be split; other ways of looking at costs fall back to the first. */
const FIXED_BY: readonly string[] = ['team', 'project', 'caller', 'agent', 'tool', 'env']

export function FixedCosts({ scope }: { scope: CostScope }) {
  const { now_ms } = usePulse()
  const month = scope.period === 'before' ? monthOf(now_ms, -1) : monthOf(now_ms)
  const by = FIXED_BY.includes(scope.by) ? scope.by : FIXED_BY[0]!
  const fixed = useAnswer<FixedCostRow[]>('fixed-costs', { month, by }, `${month} ${by}`)
  const rows = fixed.rows ?? []
  return html`<${Panel} title="Monthly prices and who bears them" note=${`${month.slice(0, 7)}, by ${by}`} answer=${fixed} isEmpty=${rows.length === 0}
    empty=${html`<span>No server has a price of a month: <code>price: { per_month_usd: 400, split_by: calls }</code> at a server gives it one.</span>`}>
    <${Table} id="fixed" caption=${`Monthly prices by ${by}`} rows=${rows} columns=${fixedColumns(by)} />
  </${Panel}>`
}

const fixedColumns = (by: string): readonly Column<FixedCostRow>[] => [
  { key: 'server', head: 'Server', value: (r) => r.server },
  {
    key: 'amount',
    head: 'Price of the month',
    isNumber: true,
    value: (r) => r.amount_nano,
    cell: (r) => html`<${Exact} nano=${r.amount_nano} />`,
  },
  { key: 'split_by', head: 'Split by', value: (r) => r.split_by },
  { key: 'value', head: by, value: (r) => (r.unused ? 'nobody used it' : nameOf(by, r.value)) },
  {
    key: 'share',
    head: 'Share',
    isNumber: true,
    value: (r) => r.cost_nano / r.amount_nano,
    cell: (r) => percent(r.cost_nano / r.amount_nano),
  },
  {
    key: 'cost',
    head: 'Cost',
    isNumber: true,
    value: (r) => r.cost_nano,
    cell: (r) => html`<${Exact} nano=${r.cost_nano} />`,
  },
]
