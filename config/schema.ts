/**
 * The one schema of weir.yaml. JSON Schema, the commented sample and docs/config.md are made from it.
 * Keys are snake_case with the unit last; unknown keys are refused; `reload: false` marks what needs a restart.
 */
import { z } from 'zod'

/** What a leaf tells its reader besides its type. */
export type ConfigMeta = { description: string; unit?: string; reload?: boolean; since: string; example?: unknown }

const restart = { reload: false } as const
const meta = (description: string, more: Omit<ConfigMeta, 'description' | 'since'> = {}): ConfigMeta => ({
  description,
  since: '0.1',
  reload: true,
  ...more,
})

const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'expected host:port, for example 127.0.0.1:7332')
  .refine((a) => !/:\d{1,5}$/.test(a) || Number(a.slice(a.lastIndexOf(':') + 1)) <= 65535, 'the port is above 65535, for example 127.0.0.1:7332')
const httpUrl = z.string().refine(
  (u) => {
    try {
      const { protocol, username, password } = new URL(u)
      decodeURIComponent(username + password)
      return ['http:', 'https:'].includes(protocol)
    } catch {
      return false
    }
  },
  'expected an http:// or https:// URL, for example https://example.com/mcp',
)
const ms = (fallback: number, description: string, more = {}): z.ZodDefault<z.ZodNumber> =>
  z.number().int().min(1).max(86_400_000).default(fallback).meta(meta(description, { unit: 'ms', ...more }))
const byteCount = (fallback: number, min: number, description: string, more = {}): z.ZodDefault<z.ZodNumber> =>
  z.number().int().min(min).default(fallback).meta(meta(description, { unit: 'bytes', ...more }))

/** Key of a server: becomes a path segment and the prefix of its names under the roof. */
const serverName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,39}$/, 'a server name is 1 to 40 letters, digits and "-" and begins with a letter or digit, for example my-server')

const server = z
  .strictObject({
    url: httpUrl.optional().meta(meta('Streamable HTTP endpoint of the server', { example: 'https://example.com/mcp' })),
    command: z
      .union([z.string().min(1), z.array(z.string()).min(1)])
      .optional()
      .meta(meta('Command of a stdio server, hosted by Weir: one line, or a list of words', { example: 'npx -y @modelcontextprotocol/server-memory' })),
    args: z.array(z.string()).default([]).meta(meta('Further arguments of the command')),
    env: z.record(z.string(), z.string()).default({}).meta(meta('Environment of the command, added to the allow-listed PATH, HOME, LANG, TMPDIR and the like')),
    cwd: z.string().optional().meta(meta('Working folder of the command; default: the folder of weir.yaml')),
    headers: z.record(z.string(), z.string()).default({}).meta(meta('Headers sent to the server with every request')),
    credentials: z
      .strictObject({
        bearer: z.string().min(1).optional().meta(meta('Bearer token for the server; use ${ENV} or file:', { example: '${GITHUB_TOKEN}' })),
      })
      .default({})
      .meta(meta("Weir's own credentials towards the server; the caller's are never passed on")),
    timeout_ms: ms(120_000, 'Deadline of one call: from forwarded to its answer; each streamed message extends it'),
    timeout_max_ms: ms(3_600_000, 'Hard end of one call, however much progress it reports'),
    list_timeout_ms: ms(10_000, 'How long a merged list waits for this server'),
    connections_max: z.number().int().min(1).max(4096).default(128).meta(meta('Connections to the server for calls; streams have a pool of their own')),
    era: z.enum(['auto', 'legacy', 'modern']).default('auto').meta(meta('Wire era of the server; auto probes it with server/discover')),
    isolation: z
      .enum(['caller', 'session', 'shared'])
      .default('caller')
      .meta(meta('stdio only. Who shares a child process: one per caller (a client that answers sampling, elicitation or roots gets its own), one per session, or one for all (only for servers that keep no state)')),
    processes_max: z.number().int().min(1).max(1000).default(32).meta(meta('stdio only. Most child processes of this server at a time')),
    idle_timeout_ms: ms(600_000, 'stdio only. An unused child process is ended after this time'),
  })
  .superRefine((s, context) => {
    if ((s.url === undefined) === (s.command === undefined))
      context.addIssue({ code: 'custom', message: 'a server has either `url` (streamable HTTP) or `command` (stdio), for example url: https://example.com/mcp' })
  })

const caller = z.strictObject({
  team: z.string().max(100).default('').meta(meta('Team the caller belongs to')),
  project: z.string().max(100).default('').meta(meta('Project the caller works for')),
  keys: z
    .array(
      z.strictObject({
        sha256: z
          .string()
          .regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits, the SHA-256 of the key, for example the output of: printf %s "$KEY" | sha256sum')
          .meta(meta('SHA-256 of the API key in hex; the key itself is never stored')),
        expires: z
          .union([z.iso.date(), z.iso.datetime({ offset: true })])
          .optional()
          .meta(meta('Day or moment from which the key is refused', { example: '2027-01-31' })),
      }),
    )
    .min(1)
    .meta(meta('API keys; several allow rotation without a gap')),
})

const labelSource = z.strictObject({
  header: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/, 'expected a header name, for example x-weir-agent')
    .optional()
    .meta(meta('HTTP header to read')),
  baggage: z.string().min(1).optional().meta(meta('W3C baggage key to read, in `_meta` or the HTTP header')),
})

const captureRule = z.strictObject({
  tools: z.string().min(1).meta(meta('Which calls, as server_tool with * as wildcard', { example: 'files_*' })),
  callers: z.string().min(1).default('*').meta(meta('Which callers, with * as wildcard')),
  arguments: z.boolean().default(false).meta(meta('Keep the arguments, masked')),
  results: z.boolean().default(false).meta(meta('Keep the result, masked')),
})

export const REDACTIONS = ['email', 'card', 'iban', 'secret', 'phone', 'ip'] as const

/** Shape of weir.yaml. */
export const configSchema = z.strictObject({
  listen: address.default('127.0.0.1:7332').meta(meta('Where clients connect', restart)),
  instance: z.string().max(100).default('').meta(meta('Name of this installation in events; default: the host name', restart)),
  env: z.string().max(50).default('').meta(meta('Deployment environment in events, for example production', restart)),
  data: z.string().min(1).default('./weir-data').meta(meta('Folder of the embedded ClickHouse, the spool and the secrets made at first start', restart)),
  workers: z.number().int().min(1).max(64).default(1).meta(meta('Proxy worker processes', restart)),
  servers: z.record(serverName, server).default({}).meta(meta('MCP servers behind Weir, by name')),
  callers: z.record(z.string().min(1).max(100), caller).default({}).meta(meta('Who may call; empty: everyone on loopback is `local`')),
  labels: z
    .record(z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, 'a label is a lower-case word, for example agent'), labelSource)
    .default({
      agent: { header: 'x-weir-agent', baggage: 'agent' },
      run: { header: 'x-weir-run', baggage: 'run' },
      project: { header: 'x-weir-project', baggage: 'project' },
    })
    .meta(meta('Labels a client may set: agent, run, project, and any further word')),
  trace: z
    .strictObject({
      incoming: z.enum(['parent', 'link', 'ignore']).default('parent').meta(meta("What a client's trace context becomes: the parent, a link, or nothing")),
      run_gap_ms: ms(300_000, 'A client without sessions and trace context starts a new run after this pause'),
    })
    .prefault({})
    .meta(meta('Trace context')),
  capture: z
    .strictObject({
      arguments: z.enum(['hash', 'size']).default('hash').meta(meta('What is kept of every argument object')),
      results: z.enum(['hash', 'size']).default('hash').meta(meta('What is kept of every result')),
      keep: z.array(captureRule).default([]).meta(meta('Calls whose arguments or results are kept, masked')),
      redact: z.array(z.enum(REDACTIONS)).default([...REDACTIONS]).meta(meta('What is masked in kept payloads and error texts')),
      max_bytes: byteCount(65_536, 1, 'Longest kept payload; the rest is cut'),
    })
    .prefault({})
    .meta(meta('Arguments and results')),
  http: z
    .strictObject({
      allowed_hosts: z.array(z.string()).default([]).meta(meta('Host names clients may use besides localhost and the address itself; empty on a non-loopback listener: any')),
      allowed_origins: z.array(z.string()).default([]).meta(meta('Origins of browser clients; loopback origins are always allowed on a loopback listener')),
      body_max_bytes: byteCount(4_194_304, 1024, 'Largest request body'),
      streams_max: z.number().int().min(1).default(4096).meta(meta('Most open streams per worker; beyond it: 503')),
      drain_timeout_ms: ms(30_000, 'How long a stop waits for calls in flight'),
      session_idle_ms: ms(3_600_000, 'A session unused for this long is forgotten', restart),
      sessions_max: z.number().int().min(1).default(10_000).meta(meta('Most sessions a worker remembers', restart)),
    })
    .prefault({})
    .meta(meta('HTTP towards clients')),
  roof: z
    .strictObject({
      separator: z.enum(['_', '__', '-', '.']).default('_').meta(meta('What stands between server and tool in the names at /mcp')),
      name_max: z.number().int().min(32).max(128).default(64).meta(meta('Longest name at /mcp; longer ones are cut and get a hash (several model APIs take 64)')),
    })
    .prefault({})
    .meta(meta('The endpoint /mcp with all servers')),
  durability: z.enum(['normal', 'strict']).default('normal').meta(meta('strict: no tools/call is forwarded before the record of its intent is synced to disk')),
  spool: z
    .strictObject({
      max_bytes: byteCount(1_073_741_824, 1_048_576, 'Most disk the spool may take'),
      segment_bytes: z
        .number()
        .int()
        .min(4096)
        .max(33_554_432)
        .default(4_194_304)
        .meta(meta('A segment is sealed at this size, at most an eighth of max_bytes', { unit: 'bytes' })),
      segment_age_ms: ms(400, 'A segment is sealed at this age, once the one before it is stored'),
      full: z.enum(['drop_oldest', 'drop_newest']).default('drop_oldest').meta(meta('Which events are given up, and counted, when the spool is full')),
    })
    .prefault({})
    .meta(meta('Events on their way to the collector', restart)),
  collector: z
    .strictObject({
      url: httpUrl.optional().meta(meta('`weir proxy` only: the collector to ship events to; `weir up` starts its own', { ...restart, example: 'https://collector.internal:7333' })),
      token: z.string().min(16).optional().meta(meta('Shared secret of proxies and collectors; made by `weir up` when absent', restart)),
    })
    .prefault({})
    .meta(meta('Where events go')),
  console: z
    .strictObject({
      listen: address.default('127.0.0.1:7333').meta(meta('Where the collector serves intake, OTLP, /metrics and health', restart)),
    })
    .prefault({})
    .meta(meta('The collector')),
  store: z
    .strictObject({
      listen: address.default('127.0.0.1:7334').meta(meta('Where the embedded ClickHouse speaks its HTTP interface', restart)),
      url: httpUrl.optional().meta(meta('An external ClickHouse in place of the embedded one', { ...restart, example: 'https://clickhouse.internal:8443' })),
      user: z.string().default('').meta(meta('User of the external ClickHouse', restart)),
      password: z.string().default('').meta(meta('Password of the external ClickHouse; use ${ENV} or file:', restart)),
      database: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'expected letters, digits and _, for example weir')
        .default('weir')
        .meta(meta('Database; the embedded store always uses weir', restart)),
      memory_max_bytes: byteCount(1_610_612_736, 268_435_456, 'Memory of the embedded engine', restart),
      reader_password: z.string().default('').meta(meta('Password of the read-only user of the embedded store; empty: none needed', restart)),
      timeout_ms: ms(60_000, 'How long one insert may take', restart),
    })
    .prefault({})
    .meta(meta('ClickHouse')),
  retention: z
    .strictObject({
      calls_days: z.number().int().min(1).max(3650).default(30).meta(meta('Calls and spans', { unit: 'days', ...restart })),
      payloads_days: z.number().int().min(1).max(3650).default(7).meta(meta('Kept payloads', { unit: 'days', ...restart })),
      rollups_days: z.number().int().min(1).max(3650).default(800).meta(meta('Daily rollups', { unit: 'days', ...restart })),
    })
    .prefault({})
    .meta(meta('How long rows live')),
  export: z
    .strictObject({
      otlp: z
        .array(
          z.strictObject({
            url: httpUrl.meta(meta('OTLP/HTTP traces endpoint', { example: 'http://otel-collector:4318/v1/traces' })),
            headers: z.record(z.string(), z.string()).default({}).meta(meta('Headers for the endpoint, for example its API key')),
            queue_max: z.number().int().min(1).max(1_000_000).default(10_000).meta(meta('Spans waiting at most; beyond it they are dropped and counted')),
            batch_max: z.number().int().min(1).max(10_000).default(512).meta(meta('Spans in one request')),
            timeout_ms: ms(10_000, 'How long one request may take'),
          }),
        )
        .default([])
        .meta(meta('Endpoints that get every span', restart)),
    })
    .prefault({})
    .meta(meta('Spans for others')),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').meta(meta('Least severe line that is written')),
    })
    .prefault({})
    .meta(meta('Log on standard error', restart)),
})

/** The whole configuration, defaults filled in. Frozen; a reload makes a new one. */
export type Config = z.infer<typeof configSchema>
export type ServerConfig = Config['servers'][string]
export type CallerConfig = Config['callers'][string]
