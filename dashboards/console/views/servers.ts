/** Servers as their calls show them; one server's page when the address names it. */
import type { ServerRow } from '../../../collector/queries/servers.ts'
import { useAnswer } from '../answer.ts'
import { FilterBar } from '../filters.ts'
import { count, duration, percent } from '../format.ts'
import { html } from '../html.ts'
import { segment, traceHref, When } from '../names.ts'
import { Panel } from '../panel.ts'
import { to } from '../route.ts'
import { useScope } from '../scope.ts'
import { Table } from '../table.ts'
import type { ViewProps } from '../views.ts'
import { Nothing } from './nothing.ts'
import { ServerPage } from './server-page.ts'

const TONE = { fine: 'good', failing: 'warn', down: 'bad' } as const
const LEGACY_LAST = '2025-11-25'

/** Era of a server by the revision it speaks: ISO dates compare as text. */
const eraOf = (versions: readonly string[]): string =>
  versions.length === 0
    ? '–'
    : versions.every((v) => v > LEGACY_LAST)
      ? 'modern'
      : versions.some((v) => v > LEGACY_LAST)
        ? 'both'
        : 'legacy'

export function Servers({ rest }: ViewProps) {
  return rest[0] ? html`<${ServerPage} server=${rest[0]} />` : html`<${ServerTable} />`
}

function ServerTable() {
  const scope = useScope()
  const servers = useAnswer<ServerRow[]>(
    'servers',
    { from: scope.params.from, to: scope.params.to, server: scope.params.server },
    scope.key,
  )
  const rows = servers.rows ?? []
  const faults = (r: ServerRow): number => (r.calls === 0 ? 0 : r.server_faults / r.calls)
  return html`<${FilterBar} names=${['server']} />
  <${Panel} title="Servers" note="as their calls show them" answer=${servers} isEmpty=${rows.length === 0} empty=${html`<${Nothing} />`}>
    <${Table} id="servers" caption="Servers" rows=${rows} columns=${[
      {
        key: 'server',
        head: 'Server',
        value: (r: ServerRow) => r.server,
        cell: (r: ServerRow) => html`<a href=${to(`/servers/${segment(r.server)}`)}>${r.server}</a>`,
      },
      {
        key: 'state',
        head: 'Health',
        about:
          'down: three faults or more and nothing well since; failing: more than 1 call in 20 is a fault of the server',
        value: (r: ServerRow) => r.state,
        cell: (r: ServerRow) => html`<span class=${`tag ${TONE[r.state]}`}>${r.state}</span>`,
      },
      { key: 'era', head: 'Era', value: (r: ServerRow) => eraOf(r.protocol_versions) },
      { key: 'protocol', head: 'Protocol', value: (r: ServerRow) => r.protocol_versions.join(', ') },
      { key: 'transport', head: 'Transport', value: (r: ServerRow) => r.transports.join(', ') },
      {
        key: 'calls',
        head: 'Calls',
        isNumber: true,
        value: (r: ServerRow) => r.calls,
        cell: (r: ServerRow) => count(r.calls),
      },
      {
        key: 'faults',
        head: 'Its faults',
        isNumber: true,
        value: faults,
        cell: (r: ServerRow) =>
          html`<span class=${faults(r) > 0.05 ? 'bad' : faults(r) > 0 ? 'warn' : ''}>${percent(faults(r))}</span>`,
      },
      {
        key: 'p50',
        head: 'p50',
        about: 'time the server worked',
        isNumber: true,
        value: (r: ServerRow) => r.p50_upstream_us,
        cell: (r: ServerRow) => duration(r.p50_upstream_us),
      },
      {
        key: 'p95',
        head: 'p95',
        about: 'time the server worked',
        isNumber: true,
        value: (r: ServerRow) => r.p95_upstream_us,
        cell: (r: ServerRow) => duration(r.p95_upstream_us),
      },
      {
        key: 'last',
        head: 'Last call',
        value: (r: ServerRow) => r.last_seen,
        cell: (r: ServerRow) => html`<${When} ts=${r.last_seen} relative />`,
      },
      {
        key: 'fault',
        head: 'Last fault',
        class: 'clip',
        value: (r: ServerRow) => r.last_fault,
        cell: (r: ServerRow) =>
          r.last_fault
            ? html`<a href=${traceHref(r.last_fault_trace)}><${When} ts=${r.last_fault} relative /></a> ${r.last_fault_message}`
            : '',
      },
      {
        key: 'tools',
        head: 'Tools used',
        isNumber: true,
        value: (r: ServerRow) => r.tools,
        cell: (r: ServerRow) =>
          html`<a href=${to('/tools', { server: r.server })} aria-label=${`${r.tools} tools of ${r.server}`}>${r.tools}</a>`,
      },
      {
        key: 'sessions',
        head: 'Sessions',
        isNumber: true,
        value: (r: ServerRow) => r.sessions,
        cell: (r: ServerRow) => count(r.sessions),
      },
      {
        key: 'overhead',
        head: 'Weir',
        about: "Weir's own share, median",
        isNumber: true,
        value: (r: ServerRow) => r.overhead_p50_us,
        cell: (r: ServerRow) => duration(r.overhead_p50_us),
      },
      { key: 'clients', head: 'Clients', class: 'clip', value: (r: ServerRow) => r.clients.join(', ') },
      {
        key: 'endpoints',
        head: 'Endpoints',
        class: 'clip',
        value: (r: ServerRow) => r.endpoints.join(', '),
        cell: (r: ServerRow) => html`<span class="mono">${r.endpoints.join(', ')}</span>`,
      },
    ]} />
  </${Panel}>`
}
