/** One server: its tools as they are defined now, how definitions changed, and all versions of the one that is chosen. */
import type { ServerRow } from '../../../collector/queries/servers.ts'
import type { ToolChange } from '../../../collector/queries/tool-changes.ts'
import type { ToolDefinitionRow, ToolVersionRow } from '../../../collector/queries/tool-definitions.ts'
import { useAnswer } from '../answer.ts'
import { bytes, count, duration, percent } from '../format.ts'
import { html } from '../html.ts'
import { segment, When } from '../names.ts'
import { Panel, Stat } from '../panel.ts'
import { here, to, usePlace } from '../route.ts'
import { useScope } from '../scope.ts'
import { type Column, Table } from '../table.ts'

export function ServerPage({ server }: { server: string }) {
  const { params } = usePlace()
  const scope = useScope()
  const time = { from: scope.params.from, to: scope.params.to, server }
  const key = `${scope.key} ${server}`
  const chosen = params.definition ?? ''
  return html`<${ServerFigures} server=${server} time=${time} scope_key=${key} />
    <${Definitions} server=${server} chosen=${chosen} />
    ${chosen && html`<${Versions} server=${server} tool=${chosen} />`}
    <${Changes} time=${time} scope_key=${key} />`
}

type TimeProps = { time: Readonly<Record<string, string | number | null | undefined>>; scope_key: string }

function ServerFigures({ server, time, scope_key }: TimeProps & { server: string }) {
  const servers = useAnswer<ServerRow[]>('servers', time, scope_key)
  const r = servers.rows?.[0]
  const dash = '–'
  if (servers.error) return html`<${Panel} title="Figures" answer=${servers} />`
  return html`<div class="stats" role="group" aria-label="Figures" aria-busy=${servers.rows ? 'false' : 'true'}>
    <${Stat} name="Calls" value=${r ? count(r.calls) : dash} href=${to('/tools', { server })} note="by tool" />
    <${Stat} name="Its faults" value=${r?.calls ? percent(r.server_faults / r.calls) : dash} tone=${r?.server_faults ? 'warn' : ''} />
    <${Stat} name="p50" value=${r ? duration(r.p50_upstream_us) : dash} note="time the server worked" />
    <${Stat} name="p95" value=${r ? duration(r.p95_upstream_us) : dash} />
    <${Stat} name="Cost" value="by tool" href=${to('/cost', { server, by: 'tool' })} note="this month" />
  </div>`
}

function Definitions({ server, chosen }: { server: string; chosen: string }) {
  const tools = useAnswer<ToolDefinitionRow[]>('tool-definitions', { server }, server)
  const rows = tools.rows ?? []
  const tokens = rows.reduce((sum, r) => sum + r.tokens, 0)
  return html`<${Panel} title="Tools as defined now" note=${rows.length > 0 ? `${count(rows.length)} tools, ${count(tokens)} tokens when all are read` : ''} answer=${tools} isEmpty=${rows.length === 0}
    empty="No client has listed this server's tools through Weir yet.">
    <${Table} id="definitions" caption="Tools as defined now" rows=${rows} columns=${definitionColumns(server)} isSelected=${(r: ToolDefinitionRow) => r.tool === chosen} />
  </${Panel}>`
}

const Hints = ({ row }: { row: ToolDefinitionRow | ToolVersionRow }) =>
  row.read_only
    ? html`<span class="tag good">reads only</span>`
    : row.destructive
      ? html`<span class="tag warn">may destroy</span>`
      : html`<span class="tag">writes</span>`

const definitionColumns = (server: string): readonly Column<ToolDefinitionRow>[] => [
  {
    key: 'tool',
    head: 'Tool',
    class: 'clip',
    value: (r) => r.tool,
    cell: (r) => html`<a href=${here({ definition: r.tool })}>${r.tool}</a>`,
  },
  { key: 'tokens', head: 'Tokens', isNumber: true, value: (r) => r.tokens, cell: (r) => count(r.tokens) },
  { key: 'bytes', head: 'Size', isNumber: true, value: (r) => r.bytes, cell: (r) => bytes(r.bytes) },
  {
    key: 'hints',
    head: 'Hints',
    about: 'what the server says of it',
    isSortable: false,
    value: () => '',
    cell: (r) => html`<${Hints} row=${r} />`,
  },
  {
    key: 'versions',
    head: 'Versions',
    isNumber: true,
    value: (r) => r.versions,
    cell: (r) => html`<span class=${r.versions > 1 ? 'warn' : ''}>${r.versions}</span>`,
  },
  { key: 'server_version', head: 'Server version', value: (r) => r.server_version },
  {
    key: 'first',
    head: 'First seen',
    value: (r) => r.first_seen,
    cell: (r) => html`<${When} ts=${r.first_seen} relative />`,
  },
  {
    key: 'since',
    head: 'Like this since',
    value: (r) => r.since,
    cell: (r) => html`<${When} ts=${r.since} relative />`,
  },
  {
    key: 'last',
    head: 'Last listed',
    value: (r) => r.last_seen,
    cell: (r) => html`<${When} ts=${r.last_seen} relative />`,
  },
  {
    key: 'calls',
    head: 'Calls',
    isSortable: false,
    value: () => '',
    cell: (r) => html`<a href=${to(`/tools/${segment(server)}/${segment(r.tool)}`)}>its calls</a>`,
  },
]

/** Canonical JSON, laid out; as it is when it was cut. */
function laidOut(definition: string): string {
  try {
    return JSON.stringify(JSON.parse(definition), null, 2)
  } catch {
    return definition
  }
}

function Versions({ server, tool }: { server: string; tool: string }) {
  const versions = useAnswer<ToolVersionRow[]>('tool-versions', { server, tool }, `${server} ${tool}`)
  const rows = versions.rows ?? []
  const close = html`<a class="quiet" href=${here({ definition: null })}>Close</a>`
  return html`<${Panel} title=${`Versions of ${tool}`} note="newest first" answer=${versions} actions=${close} isEmpty=${rows.length === 0} empty="No definition of this tool was ever listed.">
    ${rows.map(
      (r) => html`<section key=${r.hash} aria-label=${`Version ${r.version}`}>
        <p><strong>Version ${r.version}</strong> · ${count(r.tokens)} tokens · <${Hints} row=${r} /> · <${When} ts=${r.first_seen} /> to <${When} ts=${r.last_seen} /> · <code>${r.hash.slice(0, 12)}</code></p>
        <pre class="payload" tabindex="0" aria-label=${`Definition, version ${r.version}`}>${r.definition ? laidOut(r.definition) : 'Its text is not kept (capture.definitions).'}</pre>
      </section>`,
    )}
  </${Panel}>`
}

function Changes({ time, scope_key }: TimeProps) {
  const changes = useAnswer<ToolChange[]>('tool-changes', time, scope_key)
  const rows = changes.rows ?? []
  return html`<${Panel} title="Changed definitions" note="in this time range" answer=${changes} isEmpty=${rows.length === 0}
    empty=${html`<span>No definition changed in this time. <a href=${here({ range: '30d', from: null, to: null })}>Look at 30 days</a>.</span>`}>
    <${Table} id="changes" caption="Changed definitions" rows=${rows} columns=${CHANGE_COLUMNS} />
  </${Panel}>`
}

const signed = (n: number): string => (n === 0 ? '=' : `${n > 0 ? '+' : '−'}${count(Math.abs(n))}`)
const CHANGE_COLUMNS: readonly Column<ToolChange>[] = [
  { key: 'ts', head: 'When', value: (r) => r.ts, cell: (r) => html`<${When} ts=${r.ts} />` },
  {
    key: 'tool',
    head: 'Tool',
    class: 'clip',
    value: (r) => r.tool,
    cell: (r) => html`<a href=${here({ definition: r.tool })}>${r.tool}</a>`,
  },
  { key: 'version', head: 'Version', isNumber: true, value: (r) => r.version },
  { key: 'tokens', head: 'Tokens', isNumber: true, value: (r) => r.tokens, cell: (r) => count(r.tokens) },
  {
    key: 'more',
    head: 'Against before',
    isNumber: true,
    value: (r) => r.tokens - r.tokens_before,
    cell: (r) => signed(r.tokens - r.tokens_before),
  },
  { key: 'server_version', head: 'Server version', value: (r) => r.server_version },
]
