/** What agents did: runs with their failures, loops, duration and cost; one run's page when the address names it. */
import type { RunRow } from '../../../collector/queries/run-list.ts'
import { Amount } from '../amount.ts'
import { useAnswer } from '../answer.ts'
import { FilterBar, filtersOf } from '../filters.ts'
import { count, duration } from '../format.ts'
import { html } from '../html.ts'
import { groupedBy, runHref, When } from '../names.ts'
import { Panel } from '../panel.ts'
import { here, usePlace } from '../route.ts'
import { useScope } from '../scope.ts'
import { Table } from '../table.ts'
import type { ViewProps } from '../views.ts'
import { RunPage } from './run-page.ts'

const FILTERS = ['agent', 'caller', 'team', 'project', 'text'] as const
/** Columns the store sorts by, so that the first rows are the greatest of all. */
const SORTS = ['started', 'duration', 'calls', 'failed', 'cost', 'tokens']
const ROWS = 200

export function Runs({ rest }: ViewProps) {
  return rest[0] ? html`<${RunPage} key=${rest[0]} id=${rest[0]} />` : html`<${RunTable} />`
}

function RunTable() {
  const { params } = usePlace()
  const scope = useScope()
  const only = filtersOf(params, [...FILTERS, 'failing', 'looping'])
  const sorted = (params.sort_runs ?? '').replace(/^-/, '')
  const sort = SORTS.includes(sorted) ? sorted : 'started'
  const runs = useAnswer<RunRow[]>(
    'runs',
    { from: scope.params.from, to: scope.params.to, ...only, sort, limit: ROWS },
    `${scope.key}${JSON.stringify(only)}${sort}`,
  )
  const rows = runs.rows ?? []
  const note = rows.length === ROWS ? `the first ${ROWS} by ${sort}` : `${rows.length} runs`
  return html`<${FilterBar} names=${FILTERS} hint="text: part of an id, agent, caller, project, client" />
    <div class="filters" role="group" aria-label="Which runs">
      <${Switch} name="failing" text="with failures" />
      <${Switch} name="looping" text="with loops" />
    </div>
    <${Panel} title="Runs" note=${note} answer=${runs} isEmpty=${rows.length === 0} empty=${html`<${NoRuns} isNarrow=${Object.keys(only).length > 0} />`}>
      <${Table} id="runs" caption="Runs" sort="-started" rows=${rows} columns=${columns} />
    </${Panel}>`
}

function Switch({ name, text }: { name: string; text: string }) {
  const { params } = usePlace()
  const isOn = params[name] === 'true'
  return html`<a class=${`switch ${isOn ? 'on' : ''}`} href=${here({ [name]: isOn ? null : 'true', page_runs: null })} aria-current=${isOn ? 'true' : undefined}>${isOn ? 'only ' : ''}${text}</a>`
}

const NoRuns = ({ isNarrow }: { isNarrow: boolean }) =>
  html`<span>No run ${isNarrow ? 'fits' : 'began in this time'}. <a href=${here({ range: '7d', from: null, to: null })}>Look at 7 days</a>${isNarrow ? ', or take a filter away' : ''}. Weir finds runs by labels, sessions, traces and habits of the client.</span>`

const columns = [
  {
    key: 'run',
    head: 'Run',
    value: (r: RunRow) => r.run_id,
    class: 'clip',
    cell: (r: RunRow) => html`<a class="mono" href=${runHref(r.run_id)}>${r.run_id}</a>`,
  },
  { key: 'agent', head: 'Agent', value: (r: RunRow) => r.agent || r.client_name },
  {
    key: 'caller',
    head: 'Caller',
    value: (r: RunRow) => r.caller,
    cell: (r: RunRow) => html`<a href=${here({ caller: r.caller })}>${r.caller}</a>`,
  },
  {
    key: 'team',
    head: 'Team / project',
    value: (r: RunRow) => [r.team, r.project].filter(Boolean).join(' / '),
  },
  {
    key: 'grouped',
    head: 'Grouped by',
    about: 'what made the calls one run, and how sure that is',
    value: groupedBy,
    cell: (r: RunRow) =>
      html`<span class=${r.confidence_min < 70 ? 'warn' : ''} title=${`least certain call: ${r.confidence_min} %`}>${groupedBy(r)}</span>`,
  },
  {
    key: 'calls',
    head: 'Calls',
    isNumber: true,
    value: (r: RunRow) => r.calls,
    cell: (r: RunRow) => count(r.calls),
  },
  {
    key: 'failed',
    head: 'Failed',
    isNumber: true,
    value: (r: RunRow) => r.failed,
    cell: (r: RunRow) => html`<span class=${r.failed > 0 ? 'bad' : ''}>${count(r.failed)}</span>`,
  },
  {
    key: 'repeats',
    head: 'Repeats',
    about: 'how often the most repeated call was made with the same arguments',
    isNumber: true,
    value: (r: RunRow) => r.repeats,
    cell: (r: RunRow) => (r.repeats > 0 ? html`<span class="tag warn">${count(r.repeats)}×</span>` : ''),
  },
  {
    key: 'duration',
    head: 'Duration',
    isNumber: true,
    value: (r: RunRow) => r.duration_us,
    cell: (r: RunRow) => duration(r.duration_us),
  },
  {
    key: 'tokens',
    head: 'Tokens',
    about: 'in and out',
    isNumber: true,
    value: (r: RunRow) => r.tokens_in + r.tokens_out,
    cell: (r: RunRow) => count(r.tokens_in + r.tokens_out),
  },
  {
    key: 'cost',
    head: 'Cost',
    isNumber: true,
    value: (r: RunRow) => r.cost_nano,
    cell: (r: RunRow) => html`<${Amount} nano=${r.cost_nano} unpriced=${r.unpriced} />`,
  },
  {
    key: 'started',
    head: 'Began',
    isNumber: true,
    value: (r: RunRow) => r.started,
    cell: (r: RunRow) => html`<${When} ts=${r.started} />`,
  },
]
