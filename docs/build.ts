/**
 * Makes the reference pages from what the code itself goes by: config schema, event fields, error table, metric lists.
 * `npm run docs` writes them; a test fails when they have drifted.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { ConfigMeta } from '../config/leaves.ts'
import { configSchema } from '../config/schema.ts'
import type { ErrorSpec } from '../event/error-spec.ts'
import { ERRORS } from '../event/error-table.ts'
import { FIELDS, OUTCOMES } from '../event/fields.ts'
import { COLLECTOR_METRICS } from '../event/names.ts'
import { METRICS, type MetricSpec } from '../event/proxy-metrics.ts'
import { RATED_FIELDS } from '../event/rated-fields.ts'

const GENERATED = '<!-- Made by docs/build.ts from the source; edit that, then run `npm run docs`. -->\n\n'

type JsonSchema = {
  [key: string]: unknown
  type?: string | string[]
  properties?: Record<string, JsonSchema>
  additionalProperties?: JsonSchema | boolean
  items?: JsonSchema
  anyOf?: JsonSchema[]
  enum?: unknown[]
  default?: unknown
  required?: string[]
}

const cell = (text: string): string => text.replace(/\|/g, '\\|').replace(/\n/g, ' ')
const code = (text: string): string => (text === '' ? '' : `\`${text}\``)
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [
    `| ${head.join(' | ')} |`,
    `| ${head.map(() => '---').join(' | ')} |`,
    ...rows.map((r) => `| ${r.map(cell).join(' | ')} |`),
  ].join('\n')

function typeText(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.map((v) => `\`${v}\``).join(', ')
  if (schema.anyOf) return schema.anyOf.map(typeText).join(' or ')
  if (schema.type === 'array') return `list of ${schema.items ? typeText(schema.items) : 'values'}`
  if (schema.type === 'object') return 'mapping'
  if (schema.type === 'integer') return 'whole number'
  if (schema.type === 'string') return 'text'
  return String(schema.type ?? 'value')
}

const isShort = (value: unknown): boolean => value !== undefined && JSON.stringify(value).length <= 40

/** One row per setting, nested settings after the group they belong to. */
function settings(schema: JsonSchema, path: string, rows: string[][]): void {
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    const at = path ? `${path}.${key}` : key
    const meta = child as JsonSchema & ConfigMeta
    const isGroup = child.type === 'object' && child.properties !== undefined
    rows.push([
      code(at),
      isGroup ? '' : typeText(child) + (meta.unit ? ` (${meta.unit})` : ''),
      !isGroup && isShort(child.default) ? code(JSON.stringify(child.default)) : '',
      `${meta.description ?? ''}${meta.example === undefined ? '' : `, for example ${code(String(meta.example))}`}`,
      meta.reload === false ? 'restart' : '',
    ])
    settings(child, at, rows)
    const entries = typeof child.additionalProperties === 'object' ? child.additionalProperties : null
    if (entries) settings(entries, `${at}.<name>`, rows)
    for (const list of [child, ...(child.anyOf ?? [])])
      for (const item of list.items ? [list.items, ...(list.items.anyOf ?? [])] : [])
        settings(item, `${at}[]`, rows)
  }
}

const schema = z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema

function configPage(): string {
  const rows: string[][] = []
  settings(schema, '', rows)
  return `# Configuration

${GENERATED}One file, \`weir.yaml\`. Check it with \`weir check\`. Unknown keys are errors. In every text, \`\${NAME}\` is an environment
variable (\`\${NAME:-default}\` with a default) and a value \`file:path\` is read from that file; keep secrets there.
The file is read again when it changes and on SIGHUP: all of it is taken over, or nothing, with the reason on standard error.
Settings marked *restart* cannot change while running. Editors complete it with [weir.schema.json](weir.schema.json):
\`# yaml-language-server: $schema=…/weir.schema.json\`.

${table(['setting', 'type', 'default', 'meaning', ''], rows)}
`
}

const eventPage = (): string => `# The event

${GENERATED}Every call leaves exactly one record: a line in the spool, a row of \`calls\`, and the spans of \`otel_traces\` made from it.
Content columns stay empty unless a capture rule names the call.

What a server asks a client (\`sampling/createMessage\`, \`elicitation/create\`, \`roots/list\`, \`ping\`) leaves a record of its own,
\`kind\` \`server_request\`. The parts are reversed: the request is the server's and the answer the client's, so \`request_bytes\`
measures the question, \`response_bytes\` and \`result_hash\` the client's answer, \`wait_us\` and \`upstream_us\` the time the client
took, and a JSON-RPC error is the client's failure. Its span is a child of the CLIENT span of the call on whose stream it came;
what comes on the stream of a session belongs to the trace of the session. In the modern era each entry of an \`input_required\`
result is such a record, with that outcome and no duration: the client answers with its next call. It counts as no call: rollups,
\`v_calls\` and \`weir top\` leave it out, \`v_server_requests\` and the metric \`weir_server_request_duration_seconds\` hold nothing else.
An error text of a client is kept only where a capture rule keeps results.

Outcomes: ${OUTCOMES.map(code).join(', ')}. \`ok\` and \`input_required\` are no failures.

${table(
  ['field', 'ClickHouse column', 'unit', 'OpenTelemetry attribute', 'meaning'],
  FIELDS.map((f) => [
    code(f.name),
    f.column ? code(f.column.split(' CODEC')[0]!) : '(kept payloads)',
    f.unit,
    code(f.otel.replace('client:', '')),
    f.meaning + (f.sensitivity === 'none' ? '' : ` (${f.sensitivity})`),
  ]),
)}

What the collector adds when it stores the record:

${table(
  ['column', 'ClickHouse column', 'meaning'],
  RATED_FIELDS.map((f) => [code(f.name), code(f.column.split(' CODEC')[0]!), f.meaning]),
)}
`

const errorsPage = (): string => `# Errors

${GENERATED}What Weir itself answers with. The name is in \`error.data.weir\` (JSON-RPC) or \`error.code\` (plain HTTP), and in the
event's \`error_type\`. Errors of servers are passed on untouched.

${table(
  ['error', 'HTTP', 'JSON-RPC', 'outcome', 'owner', 'retry', 'text', 'fix'],
  Object.entries(ERRORS).map(([name, e]: [string, ErrorSpec]) => [
    code(name),
    String(e.http),
    e.rpc === 0 ? '' : String(e.rpc),
    e.outcome,
    e.owner,
    e.retry,
    e.text,
    e.fix,
  ]),
)}
`

function metricsPage(): string {
  const proxy = Object.entries(METRICS).map(([name, m]: [string, MetricSpec]) => [
    code(name),
    m.type,
    m.labels.map(code).join(', '),
    m.help,
  ])
  const collector = COLLECTOR_METRICS.map((m) => [
    code(m.name),
    m.type,
    m.labels.map(code).join(', '),
    m.help,
  ])
  return `# Metrics

${GENERATED}Prometheus text at \`/metrics\` of the proxy (all workers in one scrape) and of the collector. Labels are bounded: beyond
2,000 series of a metric the rest counts under \`other\`.

## Proxy

${table(['metric', 'type', 'labels', 'meaning'], proxy)}

## Collector

${table(['metric', 'type', 'labels', 'meaning'], collector)}
`
}

/** Every generated page by file name. */
export const pages = (): Record<string, string> => ({
  'config.md': configPage(),
  'event.md': eventPage(),
  'errors.md': errorsPage(),
  'metrics.md': metricsPage(),
  'weir.schema.json': `${JSON.stringify(schema, null, 1)}\n`,
})

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [file, text] of Object.entries(pages())) writeFileSync(new URL(file, import.meta.url), text)
