/** What models pay for reading tool definitions, and which of these nobody called. */
import type { ContextCostRow } from '../../../collector/queries/context-costs.ts'
import type { ContextTotals, UnusedTool } from '../../../collector/queries/unused-tools.ts'
import { Amount } from '../amount.ts'
import { type Answer, useAnswer } from '../answer.ts'
import { type CostScope, nameOf } from '../cost-scope.ts'
import { count, percent } from '../format.ts'
import { html } from '../html.ts'
import { segment } from '../names.ts'
import { Panel, Stat } from '../panel.ts'
import { go, here, to, usePlace } from '../route.ts'
import { type Column, Table } from '../table.ts'

type Unused = { rows: UnusedTool[]; totals: ContextTotals[] }

type Priced = { cost_nano: number | null; unpriced_tokens: number }
/** Tokens are always known; money only where the team's tokens have a price. */
const Cost = ({ of }: { of: Priced }) =>
  html`<${Amount} nano=${of.cost_nano ?? 0} unpriced=${of.unpriced_tokens} />`

const LINE = 'context: { usd_per_million_input_tokens: 3.00 }'
const unread =
  'No client has listed tools through Weir in these days. Lists are counted from the first tools/list on.'

export function ContextTax({ scope }: { scope: CostScope }) {
  const { params } = usePlace()
  const by = params.context_by === 'server' ? 'server' : 'team'
  // Whole days, the last included.
  const days = { from: String(Date.parse(scope.from)), to: String(Date.parse(scope.to) - 1000) }
  const key = `${scope.from} ${scope.to}`
  const costs = useAnswer<ContextCostRow[]>('context-costs', { ...days, by }, `${key} ${by}`, scope.isStill)
  const team = scope.filters.team ?? ''
  const unused = useAnswer<Unused>('unused-tools', { ...days, team }, `${key} ${team}`, scope.isStill)
  const rows = costs.rows ?? []
  const choose = html`<select aria-label="Context tax by" value=${by} onChange=${(e: Event) => go(here({ context_by: (e.target as HTMLSelectElement).value, page_context: null }), { replace: true })}>
    <option value="team">by team</option><option value="server">by server</option>
  </select>`
  return html`<${Panel} title="Context tax" note="what models read of tool definitions before any call" class="half" answer=${costs} actions=${choose} isEmpty=${rows.length === 0} empty=${unread}>
      <${Table} id="context" caption=${`Context tax by ${by}`} rows=${rows} columns=${contextColumns(by)} />
    </${Panel}>
    <${NeverCalled} unused=${unused} team=${team} />`
}

function NeverCalled({ unused, team }: { unused: Answer<Unused>; team: string }) {
  const rows = unused.rows?.rows ?? []
  const totals = unused.rows?.totals[0]
  const tokens = rows.reduce((sum, r) => sum + r.context_tokens, 0)
  const saving = {
    cost_nano: rows.reduce((sum, r) => sum + (r.cost_nano ?? 0), 0),
    unpriced_tokens: rows.reduce((sum, r) => sum + r.unpriced_tokens, 0),
  }
  const isUnpriced = rows.every((r) => r.cost_nano === null)
  return html`<${Panel} title="Listed, never called" note=${team ? `by ${team}` : 'by anybody'} class="half" answer=${unused} isEmpty=${rows.length === 0}
    empty=${totals && totals.tools > 0 ? 'Every tool that was listed was called.' : unread}>
    <div class="stats" role="group" aria-label="What leaving them out saves">
      <${Stat} name="Tools" value=${count(rows.length)} note=${totals ? `of ${count(totals.tools)} listed` : ''} />
      <${Stat} name="Tokens read" value=${count(tokens)} note=${totals && totals.context_tokens > 0 ? `${percent(tokens / totals.context_tokens)} of all` : ''} />
      <${Stat} name="Saving" value=${html`<${Cost} of=${saving} />`} note=${isUnpriced ? html`<code>${LINE}</code> prices it` : 'when they are left out'} />
    </div>
    <${Table} id="unused" caption="Tools listed and never called" page_size=${10} rows=${rows} columns=${UNUSED_COLUMNS} />
  </${Panel}>`
}

const contextColumns = (by: string): readonly Column<ContextCostRow>[] => [
  {
    key: 'name',
    head: by,
    value: (r) => r.name,
    cell: (r) =>
      by === 'server' && r.name
        ? html`<a href=${to(`/servers/${segment(r.name)}`)}>${r.name}</a>`
        : nameOf(by, r.name),
  },
  {
    key: 'sessions',
    head: 'Sessions',
    isNumber: true,
    value: (r) => r.sessions,
    cell: (r) => count(r.sessions),
  },
  {
    key: 'unread',
    head: 'Unread',
    about: 'sessions with a list Weir could not read: their tokens are unknown',
    isNumber: true,
    value: (r) => r.unread_sessions,
    cell: (r) =>
      html`<span class=${r.unread_sessions > 0 ? 'warn' : 'muted'}>${count(r.unread_sessions)}</span>`,
  },
  { key: 'tokens', head: 'Tokens', isNumber: true, value: (r) => r.tokens, cell: (r) => count(r.tokens) },
  {
    key: 'cost',
    head: 'Cost',
    isNumber: true,
    value: (r) => r.cost_nano ?? -1,
    cell: (r) => html`<${Cost} of=${r} />`,
  },
]

const UNUSED_COLUMNS: readonly Column<UnusedTool>[] = [
  {
    key: 'tool',
    head: 'Tool',
    class: 'clip',
    value: (r) => `${r.server} / ${r.tool}`,
    cell: (r) =>
      html`<a href=${to(`/servers/${segment(r.server)}`, { definition: r.tool })}><span class="muted">${r.server} / </span>${r.tool}</a>`,
  },
  {
    key: 'tokens',
    head: 'Tokens',
    about: 'of its definition, once',
    isNumber: true,
    value: (r) => r.tokens,
    cell: (r) => count(r.tokens),
  },
  {
    key: 'sessions',
    head: 'Sessions',
    isNumber: true,
    value: (r) => r.sessions,
    cell: (r) => count(r.sessions),
  },
  {
    key: 'read',
    head: 'Tokens read',
    isNumber: true,
    value: (r) => r.context_tokens,
    cell: (r) => count(r.context_tokens),
  },
  {
    key: 'saving',
    head: 'Saving',
    isNumber: true,
    value: (r) => r.cost_nano ?? -1,
    cell: (r) => html`<${Cost} of=${r} />`,
  },
]
