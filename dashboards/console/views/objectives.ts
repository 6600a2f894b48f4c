/** What is promised (service level objectives), what is left of the error budget, and how fast it burns. */
import type { SloRow } from '../../../collector/queries/slos.ts'
import { useAnswer } from '../answer.ts'
import { count, percent, plain } from '../format.ts'
import { html } from '../html.ts'
import { Panel } from '../panel.ts'
import { Table } from '../table.ts'
import { Since } from './alert-details.ts'

const BURNS = [
  ['burn_5m', '5 min'],
  ['burn_1h', '1 h'],
  ['burn_6h', '6 h'],
  ['burn_3d', '3 d'],
] as const
/** Burns the budget of 30 days in two days, or faster than it comes. */
const FAST = 14.4

const share = (n: number): string => `${Number((n * 100).toFixed(3))} %`
function promise({ objective, target, under, window_days }: SloRow): string {
  const good = {
    success: 'succeed',
    latency: `take less than ${count(under)} ms`,
    cost: `cost less than $${under}`,
  }[objective]
  return `${share(target)} of calls ${good}, within ${window_days} days`
}
const aboutOf = (r: SloRow): string => [r.server, r.tool, r.team].filter(Boolean).join(' / ') || 'all'
const left = (r: SloRow): string =>
  r.budget_left < 0 ? `−${percent(-r.budget_left)}` : percent(r.budget_left)

export function Objectives() {
  const answer = useAnswer<SloRow[]>('slos', {})
  const rows = answer.rows ?? []
  return html`<${Panel} title="Objectives" note="burn rate 1 uses up the budget exactly in its window" answer=${answer} isEmpty=${rows.length === 0}
    empty=${html`<span>Nothing is promised. Objectives stand under <code>slos</code> in weir.yaml.</span>`}>
    <${Table} id="slos" caption="Objectives" sort="left" rows=${rows} columns=${[
      { key: 'slo', head: 'Objective', value: (r: SloRow) => r.slo },
      { key: 'about', head: 'Of', value: aboutOf },
      { key: 'promise', head: 'Promise', class: 'wrap', value: promise },
      {
        key: 'good',
        head: 'Good',
        isNumber: true,
        value: (r: SloRow) => r.good_share ?? -1,
        cell: (r: SloRow) => (r.good_share === null ? 'no calls' : share(r.good_share)),
      },
      {
        key: 'bad',
        head: 'Bad calls',
        isNumber: true,
        value: (r: SloRow) => r.bad,
        cell: (r: SloRow) => `${count(r.bad)} of ${count(r.total)}`,
      },
      {
        key: 'left',
        head: 'Budget left',
        isNumber: true,
        value: (r: SloRow) => r.budget_left,
        cell: (r: SloRow) =>
          html`<span class=${r.budget_left <= 0 ? 'bad' : r.budget_left < 0.25 ? 'warn' : ''}>${left(r)}</span>`,
      },
      {
        key: 'bar',
        head: 'Left',
        isSortable: false,
        value: () => '',
        cell: (r: SloRow) =>
          html`<span class="bar-lane"><span class=${`bar ${r.budget_left < 0.25 ? 'bad' : ''}`} style=${{ width: `${Math.min(1, Math.max(0, r.budget_left)) * 100}%` }}></span></span>`,
      },
      ...BURNS.map(([column, name]) => ({
        key: column,
        head: `Burn ${name}`,
        about: 'how many times faster than the budget allows; – with too few calls to say',
        isNumber: true,
        value: (r: SloRow) => r[column] ?? -1,
        cell: (r: SloRow) => {
          const rate = r[column]
          if (rate === null) return '–'
          return html`<span class=${rate >= FAST ? 'bad' : rate > 1 ? 'warn' : ''}>${plain(rate)}</span>`
        },
      })),
      {
        key: 'at',
        head: 'Looked at',
        isNumber: true,
        value: (r: SloRow) => r.evaluated_ms,
        cell: (r: SloRow) => html`<${Since} ms=${r.evaluated_ms} />`,
      },
    ]} />
  </${Panel}>`
}
