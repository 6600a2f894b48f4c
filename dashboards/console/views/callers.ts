/** Who calls: callers with their team, project and agent. */
import type { CallerRow } from '../../../collector/queries/callers.ts'
import { Amount } from '../amount.ts'
import { useAnswer } from '../answer.ts'
import { FilterBar } from '../filters.ts'
import { bytes, count, duration, percent } from '../format.ts'
import { html } from '../html.ts'
import { When } from '../names.ts'
import { Panel } from '../panel.ts'
import { to } from '../route.ts'
import { SCOPE_FILTERS, useScope } from '../scope.ts'
import { Table } from '../table.ts'
import { Nothing } from './nothing.ts'

const share = (r: CallerRow): number => (r.calls === 0 ? 0 : r.failed / r.calls)

export function Callers() {
  const scope = useScope()
  const callers = useAnswer<CallerRow[]>('callers', scope.params, scope.key)
  const rows = callers.rows ?? []
  const most = Math.max(1, ...rows.map((r) => r.calls))
  const isDaily = rows.length > 0 && rows.every((r) => r.p95_us === null)
  return html`<${FilterBar} names=${SCOPE_FILTERS} />
    <${Panel} title="Callers" note=${isDaily ? 'whole days, UTC' : ''} answer=${callers} isEmpty=${rows.length === 0} empty=${html`<${Nothing} />`}>
      <${Table} id="callers" caption="Callers" sort="-calls" rows=${rows} columns=${[
        {
          key: 'caller',
          head: 'Caller',
          value: (r: CallerRow) => r.caller,
          cell: (r: CallerRow) =>
            html`<a href=${to('/audit', { caller: r.caller, agent: r.agent })}>${r.caller || 'refused'}</a>`,
        },
        {
          key: 'team',
          head: 'Team',
          value: (r: CallerRow) => r.team,
          cell: (r: CallerRow) => r.team && html`<a href=${to('/tools', { team: r.team })}>${r.team}</a>`,
        },
        { key: 'project', head: 'Project', value: (r: CallerRow) => r.project },
        { key: 'agent', head: 'Agent', value: (r: CallerRow) => r.agent },
        {
          key: 'calls',
          head: 'Calls',
          isNumber: true,
          value: (r: CallerRow) => r.calls,
          cell: (r: CallerRow) => count(r.calls),
        },
        {
          key: 'share',
          head: 'Share',
          isSortable: false,
          value: () => '',
          cell: (r: CallerRow) =>
            html`<span class="bar-lane"><span class="bar" style=${{ width: `${(r.calls / most) * 100}%` }}></span></span>`,
        },
        {
          key: 'failed',
          head: 'Failed',
          isNumber: true,
          value: share,
          cell: (r: CallerRow) =>
            html`<span class=${share(r) > 0.05 ? 'bad' : share(r) > 0.01 ? 'warn' : ''}>${percent(share(r))}</span>`,
        },
        {
          key: 'faults',
          head: 'Faults',
          about: "failures that are not the client's",
          isNumber: true,
          value: (r: CallerRow) => r.faults,
          cell: (r: CallerRow) => count(r.faults),
        },
        ...(isDaily
          ? []
          : [
              {
                key: 'p95',
                head: 'p95',
                isNumber: true,
                value: (r: CallerRow) => r.p95_us ?? 0,
                cell: (r: CallerRow) => duration(r.p95_us ?? Number.NaN),
              },
            ]),
        { key: 'tools', head: 'Tools', isNumber: true, value: (r: CallerRow) => r.tools },
        {
          key: 'tokens',
          head: 'Tokens',
          about: 'in and out',
          isNumber: true,
          value: (r: CallerRow) => r.tokens_in + r.tokens_out,
          cell: (r: CallerRow) => count(r.tokens_in + r.tokens_out),
        },
        {
          key: 'bytes',
          head: 'Bytes',
          isNumber: true,
          value: (r: CallerRow) => r.response_bytes,
          cell: (r: CallerRow) => bytes(r.response_bytes),
        },
        {
          key: 'cost',
          head: 'Cost',
          isNumber: true,
          value: (r: CallerRow) => r.cost_nano,
          cell: (r: CallerRow) => html`<${Amount} nano=${r.cost_nano} unpriced=${r.unpriced} />`,
        },
        {
          key: 'first',
          head: 'First',
          value: (r: CallerRow) => r.first_seen,
          cell: (r: CallerRow) => html`<${When} ts=${r.first_seen} relative />`,
        },
        {
          key: 'last',
          head: 'Last',
          value: (r: CallerRow) => r.last_seen,
          cell: (r: CallerRow) => html`<${When} ts=${r.last_seen} relative />`,
        },
      ]} />
    </${Panel}>`
}
