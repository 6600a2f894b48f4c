/**
 * A month of costs as FOCUS 1.2 rows (FinOps Open Cost and Usage Specification): what calls cost by day and everything it is
 * attributed to, and the shares of monthly prices. Exact: EffectiveCost has nine places, and the rows add up to
 * v_costs_1d + v_fixed_costs. Unpriced calls are rows of cost zero that say so in x_UnpricedCalls.
 */
import type { Reader } from './client.ts'

type Column = { name: string; usage: string; fixed: string; invoice?: true }

const NO_TEXT = "CAST(NULL, 'Nullable(String)')"
const NO_NUMBER = "CAST(NULL, 'Nullable(Decimal(38, 9))')"
const both = (name: string, sql: string): Column => ({ name, usage: sql, fixed: sql })
const text = (column: string): string => `toString(r.${column})`
const textOrNull = (column: string): string => `nullIf(toString(r.${column}), '')`
const usd = (nano: string): string => `CAST(${nano}, 'Decimal(38, 9)') / 1000000000`
const PER_CALL = `if(p.per_call_nano > 0 AND p.formula = '' AND p.per_input_token_nano = 0 AND p.per_output_token_nano = 0 AND p.per_byte_in_nano = 0
  AND p.per_byte_out_nano = 0 AND p.per_second_nano = 0, CAST(${usd('p.per_call_nano')}, 'Nullable(Decimal(38, 9))'), NULL)`

/** The columns in their order. `invoice`: left out of a showback. */
const COLUMNS: readonly Column[] = [
  both('BilledCost', usd('r.cost_nano')),
  both('EffectiveCost', usd('r.cost_nano')),
  both('ListCost', usd('r.cost_nano')),
  both('ContractedCost', usd('r.cost_nano')),
  { ...both('BillingAccountId', '{account:String}'), invoice: true },
  { ...both('BillingAccountName', '{account:String}'), invoice: true },
  both('BillingCurrency', "'USD'"),
  both('BillingPeriodStart', "toDateTime({month:Date}, 'UTC')"),
  both('BillingPeriodEnd', "toDateTime(addMonths({month:Date}, 1), 'UTC')"),
  { name: 'ChargePeriodStart', usage: "toDateTime(r.d, 'UTC')", fixed: "toDateTime({month:Date}, 'UTC')" },
  {
    name: 'ChargePeriodEnd',
    usage: "toDateTime(r.d + 1, 'UTC')",
    fixed: "toDateTime(addMonths({month:Date}, 1), 'UTC')",
  },
  { name: 'ChargeCategory', usage: "'Usage'", fixed: "'Purchase'" },
  both('ChargeClass', NO_TEXT),
  {
    name: 'ChargeDescription',
    usage:
      "concat('Calls of ', r.server, '/', r.tool, if(r.cost_source = 'unpriced', ': unpriced, no price names them', ''))",
    fixed:
      "concat('Monthly price of ', r.server, if(r.unused = 1, ': used by nobody', concat(', split by ', r.split_by)))",
  },
  { name: 'ChargeFrequency', usage: "'Usage-Based'", fixed: "'Recurring'" },
  {
    name: 'ConsumedQuantity',
    usage: "CAST(r.calls, 'Nullable(Decimal(38, 9))')",
    fixed: NO_NUMBER,
  },
  { name: 'ConsumedUnit', usage: "CAST('Calls', 'Nullable(String)')", fixed: NO_TEXT },
  { name: 'ContractedUnitPrice', usage: PER_CALL, fixed: usd('toNullable(r.amount_nano)') },
  { ...both('InvoiceIssuerName', '{account:String}'), invoice: true },
  { name: 'ListUnitPrice', usage: PER_CALL, fixed: usd('toNullable(r.amount_nano)') },
  both('PricingCategory', "'Standard'"),
  {
    name: 'PricingQuantity',
    usage: "CAST(r.calls, 'Decimal(38, 9)')",
    fixed: "CAST(r.cost_nano, 'Decimal(38, 9)') / r.amount_nano",
  },
  { name: 'PricingUnit', usage: "'Calls'", fixed: "'Months'" },
  both('ProviderName', text('server')),
  both('PublisherName', text('server')),
  { name: 'ResourceId', usage: "concat(r.server, '/', r.tool)", fixed: text('server') },
  { name: 'ResourceName', usage: text('tool'), fixed: text('server') },
  { name: 'ResourceType', usage: "'MCP tool'", fixed: "'MCP server'" },
  both('ServiceCategory', "'AI and Machine Learning'"),
  both('ServiceName', text('server')),
  both('ServiceSubcategory', "'Other (AI and Machine Learning)'"),
  { name: 'SkuId', usage: "concat(r.server, '/', r.tool)", fixed: text('server') },
  both('SkuPriceId', textOrNull('price_id')),
  both('SubAccountId', textOrNull('team')),
  both('SubAccountName', textOrNull('team')),
  both(
    'Tags',
    "toJSONString(mapUpdate(mapFilter((k, v) -> v != '', map('project', toString(r.project), 'env', toString(r.env))), CAST(r.tags, 'Map(String, String)')))",
  ),
  both('x_Agent', textOrNull('agent')),
  both('x_Caller', textOrNull('caller')),
  both('x_CostNano', 'toInt64(r.cost_nano)'),
  { name: 'x_CostSource', usage: text('cost_source'), fixed: "'month'" },
  both('x_Environment', textOrNull('env')),
  both('x_Project', textOrNull('project')),
  both('x_Tool', textOrNull('tool')),
  { name: 'x_UnpricedCalls', usage: 'toInt64(r.unpriced)', fixed: 'toInt64(0)' },
]

const build = (columns: readonly Column[]): string => {
  const select = (from: 'usage' | 'fixed'): string =>
    columns.map((column) => `${column[from]} AS ${column.name}`).join(',\n  ')
  return `SELECT ${select('usage')}
FROM v_costs_1d AS r LEFT JOIN v_prices AS p ON p.price_id = r.price_id
WHERE r.d >= {month:Date} AND r.d < addMonths({month:Date}, 1) AND (r.calls != 0 OR r.cost_nano != 0)
ORDER BY r.d, r.team, r.project, r.server, r.tool, r.caller, r.agent, r.env, r.tags_id, r.price_id, r.cost_source
UNION ALL
SELECT ${select('fixed')}
FROM v_fixed_costs AS r WHERE r.month = {month:Date}
ORDER BY r.server, r.price_id, r.team, r.project, r.caller, r.agent, r.tool, r.env, r.tags_id`
}

export const sql = build(COLUMNS)
/** The same rows without what only an invoice has. */
export const showbackSql = build(COLUMNS.filter((column) => !column.invoice))
export const FOCUS_COLUMNS: readonly string[] = COLUMNS.map((column) => column.name)

export const totalSql = `SELECT (SELECT toString(sum(cost_nano)) FROM v_costs_1d WHERE d >= {month:Date} AND d < addMonths({month:Date}, 1)) AS used_nano,
  (SELECT toString(sum(cost_nano)) FROM v_fixed_costs WHERE month = {month:Date}) AS fixed_nano,
  (SELECT sum(unpriced) FROM v_costs_1d WHERE d >= {month:Date} AND d < addMonths({month:Date}, 1)) AS unpriced`

/** What the rows of a month add up to; sums as text, for they may be beyond 2^53. */
export type FocusTotal = { used_nano: string; fixed_nano: string; unpriced: number }

export async function run(reader: Reader, { month }: { month: string }): Promise<FocusTotal> {
  const [total] = await reader.rows<FocusTotal>(totalSql, { month })
  if (!total) throw new Error('the store gave no answer')
  return total
}
