/** What policy said: by rule, limit and budget; what was refused, and what something in shadow mode would have refused. */
import type { DecisionRow } from '../../../collector/queries/decisions.ts'
import type { RefusalRow } from '../../../collector/queries/refusals.ts'
import { Amount } from '../amount.ts'
import { useAnswer } from '../answer.ts'
import { FilterBar, filtersOf } from '../filters.ts'
import { count } from '../format.ts'
import { html } from '../html.ts'
import { eventHref, ToolLink, toolName, traceHref, When } from '../names.ts'
import { Panel, Stat } from '../panel.ts'
import { here, to, usePlace } from '../route.ts'
import { SCOPE_FILTERS, useScope } from '../scope.ts'
import { Table } from '../table.ts'

const FIELDS = [...SCOPE_FILTERS, 'rule'] as const
const REFUSED = ['deny', 'limit', 'invalid']
const TONE: Readonly<Record<string, string>> = {
  allow: 'good',
  deny: 'bad',
  limit: 'bad',
  invalid: 'warn',
  shadow: 'warn',
}
const MEANING: Readonly<Record<string, string>> = {
  allow: 'let through',
  deny: 'refused by a rule or a scope',
  limit: 'refused by a rate, quota, concurrency or budget',
  invalid: 'refused: the arguments do not fit the schema of the tool',
  shadow: 'let through; would have been refused if it were enforced',
}

const Verdict = ({ word }: { word: string }) =>
  html`<span class=${`tag ${TONE[word] ?? ''}`} title=${MEANING[word] ?? ''}>${word}</span>`

export function Policy() {
  const { params } = usePlace()
  const scope = useScope()
  const { rule = '' } = filtersOf(params, ['rule'])
  const decisions = useAnswer<DecisionRow[]>('decisions', scope.params, scope.key)
  const refusals = useAnswer<RefusalRow[]>('refusals', { ...scope.params, rule }, `${scope.key}${rule}`)
  const rows = (decisions.rows ?? []).filter((r) => !rule || r.rule === rule)
  const sum = (fits: (r: DecisionRow) => boolean): number =>
    rows.filter(fits).reduce((all, r) => all + r.calls, 0)
  return html`<${FilterBar} names=${FIELDS} />
    <div class="stats">
      <${Stat} name="Allowed" value=${count(sum((r) => r.verdict === 'allow'))} note="by a rule, or because nothing refused" />
      <${Stat} name="Refused" value=${count(sum((r) => REFUSED.includes(r.verdict)))} note="denied, limited or invalid" />
      <${Stat} name="Shadow" value=${count(sum((r) => r.verdict === 'shadow'))} note="verdicts that were not enforced" />
    </div>
    <${Panel} title="Decisions" note="by rule, limit and budget" answer=${decisions} isEmpty=${rows.length === 0} empty=${html`<${NoPolicy} />`}>
      <${Table} id="decisions" caption="Decisions" rows=${rows} columns=${decisionColumns()} />
    </${Panel}>
    <${Panel} title="Refused lately" answer=${refusals} isEmpty=${(refusals.rows ?? []).length === 0} empty="Nothing was refused in this time range.">
      <${Table} id="refusals" caption="Refused lately" page_size=${50} rows=${refusals.rows ?? []} columns=${refusalColumns()} />
    </${Panel}>`
}

const NoPolicy = () =>
  html`<span>Nothing decided on calls in this time range. Who may call what, how often and for how much is set by <code>rules</code>, <code>limits</code> and <code>budgets</code> in weir.yaml; <code>mode: shadow</code> tries one without refusing anybody.</span>`

const decisionColumns = () => [
  {
    key: 'verdict',
    head: 'Verdict',
    value: (r: DecisionRow) => r.verdict,
    cell: (r: DecisionRow) => html`<${Verdict} word=${r.verdict} />`,
  },
  {
    key: 'rule',
    head: 'By',
    value: (r: DecisionRow) => r.rule,
    cell: (r: DecisionRow) =>
      r.verdict === 'shadow'
        ? r.rule
        : html`<a href=${to('/audit', { decision: r.verdict, decision_rule: r.rule })}>${r.rule || 'default'}</a>`,
  },
  {
    key: 'calls',
    head: 'Calls',
    isNumber: true,
    value: (r: DecisionRow) => r.calls,
    cell: (r: DecisionRow) => count(r.calls),
  },
  { key: 'callers', head: 'Callers', isNumber: true, value: (r: DecisionRow) => r.callers },
  { key: 'tools', head: 'Tools', isNumber: true, value: (r: DecisionRow) => r.tools },
  {
    key: 'cost',
    head: 'Cost',
    about: 'of shadow: what enforcing would have saved',
    isNumber: true,
    value: (r: DecisionRow) => r.cost_nano,
    cell: (r: DecisionRow) => html`<${Amount} nano=${r.cost_nano} unpriced=${r.unpriced} />`,
  },
  {
    key: 'first',
    head: 'First',
    value: (r: DecisionRow) => r.first_seen,
    cell: (r: DecisionRow) => html`<${When} ts=${r.first_seen} relative />`,
  },
  {
    key: 'last',
    head: 'Last',
    value: (r: DecisionRow) => r.last_seen,
    cell: (r: DecisionRow) =>
      html`<a href=${traceHref(r.trace_id, r.span_id)}><${When} ts=${r.last_seen} relative /></a>`,
  },
  { key: 'reason', head: 'Why', about: 'of the newest', class: 'clip', value: (r: DecisionRow) => r.reason },
]

const refusalColumns = () => [
  {
    key: 'ts',
    head: 'Time',
    value: (r: RefusalRow) => r.ts,
    cell: (r: RefusalRow) => html`<a href=${eventHref(r.event_id)}><${When} ts=${r.ts} /></a>`,
  },
  {
    key: 'caller',
    head: 'Caller',
    value: (r: RefusalRow) => r.caller,
    cell: (r: RefusalRow) => html`<a href=${here({ caller: r.caller })}>${r.caller || 'unknown'}</a>`,
  },
  { key: 'team', head: 'Team', value: (r: RefusalRow) => r.team },
  { key: 'agent', head: 'Agent', value: (r: RefusalRow) => r.agent },
  { key: 'tool', head: 'Tool', value: toolName, cell: ToolLink, class: 'clip' },
  {
    key: 'verdict',
    head: 'Verdict',
    value: (r: RefusalRow) => r.verdict,
    cell: (r: RefusalRow) => html`<${Verdict} word=${r.verdict} />`,
  },
  {
    key: 'rule',
    head: 'By',
    value: (r: RefusalRow) => r.rule,
    cell: (r: RefusalRow) => html`<a href=${here({ rule: r.rule })}>${r.rule || 'default'}</a>`,
  },
  { key: 'reason', head: 'Why', class: 'clip', value: (r: RefusalRow) => r.reason },
  {
    key: 'trace',
    head: 'Trace',
    value: (r: RefusalRow) => r.trace_id,
    cell: (r: RefusalRow) =>
      html`<a class="mono" href=${traceHref(r.trace_id, r.span_id)}>${r.trace_id.slice(0, 8)}</a>`,
  },
]
