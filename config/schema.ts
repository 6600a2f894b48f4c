/**
 * The one schema of weir.yaml. JSON Schema, the commented sample and docs/config.md are made from it.
 * Keys are snake_case with the unit last; unknown keys are refused; `reload: false` marks what needs a restart.
 */
import { z } from 'zod'
import { admin } from './admin.ts'
import { alertsSchema, slosSchema } from './alerts.ts'
import { anomalies } from './anomalies.ts'
import { context } from './context.ts'
import { caller, captureRule, labelSource, server, serverName } from './entries.ts'
import { address, byteCount, httpUrl, meta, ms, plainName, restart } from './leaves.ts'
import { limit, limitsStore } from './limits.ts'
import { INCOMING, LISTENERS, LISTENERS_MAX, listenerEntry, listenersOf } from './listeners.ts'
import { budget, priceEntry, team } from './money.ts'
import { auth, publicUrl } from './oauth.ts'
import { rules } from './rules.ts'
import { runs } from './runs.ts'
import { validation } from './validation.ts'

export const REDACTIONS = ['email', 'card', 'iban', 'secret', 'phone', 'ip'] as const

/** Shape of weir.yaml. */
export const configSchema = z.strictObject({
  listen: z
    .union(
      [address, z.array(listenerEntry).min(1).max(LISTENERS_MAX)],
      'expected host:port, or a list of listeners, for example 127.0.0.1:7332',
    )
    .default('127.0.0.1:7332')
    .transform(listenersOf)
    .meta(
      meta('Where clients connect: an address, or a list of listeners', { ...restart, example: LISTENERS }),
    ),
  instance: z
    .string()
    .max(100)
    .default('')
    .meta(meta('Name of this installation in events; default: the host name', restart)),
  env: z
    .string()
    .max(50)
    .default('')
    .meta(meta('Deployment environment in events, for example production', restart)),
  data: z
    .string()
    .min(1)
    .default('./weir-data')
    .meta(meta('Folder of the embedded ClickHouse, the spool and the secrets made at first start', restart)),
  workers: z.number().int().min(1).max(64).default(1).meta(meta('Proxy worker processes', restart)),
  servers: z.record(serverName, server).default({}).meta(meta('MCP servers behind Weir, by name')),
  callers: z
    .record(plainName, caller)
    .default({})
    .meta(meta('Who may call; empty, and no `auth.oauth`: everyone on loopback is `local`')),
  auth,
  teams: z.record(plainName, team).default({}).meta(meta('Teams of callers: their budgets and tags')),
  prices: z
    .array(priceEntry)
    .default([])
    .meta(meta('The price book: what calls cost, since when; beside `servers.<name>.price`')),
  budgets: z.array(budget).default([]).meta(meta('What may be spent, by whom, in which time')),
  rules,
  limits: z.array(limit).default([]).meta(meta('Rates, concurrency, quotas and spending of calls')),
  limits_store: limitsStore,
  labels: z
    .record(
      z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, 'a label is a lower-case word, for example agent'),
      labelSource,
    )
    .default({
      agent: { header: 'x-weir-agent', baggage: 'agent' },
      run: { header: 'x-weir-run', baggage: 'run' },
      project: { header: 'x-weir-project', baggage: 'project' },
    })
    .meta(meta('Labels a client may set: agent, run, project, and any further word')),
  trace: z
    .strictObject({
      incoming: z
        .enum(INCOMING)
        .default('parent')
        .meta(meta("What a client's trace context becomes: the parent, a link, or nothing")),
      run_gap_ms: ms(
        300_000,
        'A client without sessions and trace context starts a new run after this pause',
      ),
    })
    .prefault({})
    .meta(meta('Trace context')),
  runs,
  capture: z
    .strictObject({
      arguments: z.enum(['hash', 'size']).default('hash').meta(meta('What is kept of every argument object')),
      results: z.enum(['hash', 'size']).default('hash').meta(meta('What is kept of every result')),
      keep: z.array(captureRule).default([]).meta(meta('Calls whose arguments or results are kept, masked')),
      redact: z
        .array(z.enum(REDACTIONS))
        .default([...REDACTIONS])
        .meta(meta('What is masked in kept payloads and error texts')),
      max_bytes: byteCount(65_536, 1, 'Longest kept payload; the rest is cut'),
      definitions: z
        .boolean()
        .default(true)
        .meta(
          meta('Whether the text of tool definitions is kept, masked; their sizes and hashes always are'),
        ),
    })
    .prefault({})
    .meta(meta('Arguments and results')),
  validation,
  context,
  http: z
    .strictObject({
      allowed_hosts: z
        .array(z.string())
        .default([])
        .meta(
          meta(
            'Host names clients may use besides localhost and the address itself; empty on a non-loopback listener: any',
          ),
        ),
      allowed_origins: z
        .array(z.string())
        .default([])
        .meta(
          meta(
            'Origins of browser clients, for example https://app.example.com; loopback origins are always allowed on a loopback listener',
          ),
        ),
      body_max_bytes: byteCount(4_194_304, 1024, 'Largest request body'),
      batch_max: z
        .number()
        .int()
        .min(1)
        .max(1000)
        .default(100)
        .meta(meta('Most messages in one JSON-RPC batch (MCP 2025-03-26 and older)')),
      streams_max: z
        .number()
        .int()
        .min(1)
        .default(4096)
        .meta(meta('Most open streams per worker; beyond it: 503')),
      drain_timeout_ms: ms(30_000, 'How long a stop waits for calls in flight'),
      session_idle_ms: ms(
        3_600_000,
        'A session at /mcp unused for this long gives up its place and its sessions with servers; both come back when its client does',
        restart,
      ),
      session_max_age_ms: z
        .number()
        .int()
        .min(1000)
        .max(2_678_400_000)
        .default(604_800_000)
        .meta(
          meta('A session id opens nothing any more after this long: its client starts a new session', {
            unit: 'ms',
            ...restart,
          }),
        ),
      sessions_per_caller_max: z
        .number()
        .int()
        .min(1)
        .default(1000)
        .meta(
          meta(
            'Most sessions of one caller: at /mcp in each worker, over HTTP+SSE and WebSocket in each worker, and at each hosted server; beyond it: 429',
          ),
        ),
      sessions_max: z
        .number()
        .int()
        .min(1)
        .default(10_000)
        .meta(meta('Most sessions a worker remembers', restart)),
    })
    .prefault({})
    .meta(meta('HTTP towards clients')),
  roof: z
    .strictObject({
      separator: z
        .enum(['_', '__', '-', '.'])
        .default('_')
        .meta(meta('What stands between server and tool in the names at /mcp')),
      name_max: z
        .number()
        .int()
        .min(32)
        .max(128)
        .default(64)
        .meta(meta('Longest name at /mcp; longer ones are cut and get a hash (several model APIs take 64)')),
    })
    .prefault({})
    .meta(meta('The endpoint /mcp with all servers')),
  durability: z
    .enum(['normal', 'strict'])
    .default('normal')
    .meta(meta('strict: no tools/call is forwarded before the record of its intent is synced to disk')),
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
      full: z
        .enum(['drop_oldest', 'drop_newest'])
        .default('drop_oldest')
        .meta(meta('Which events are given up, and counted, when the spool is full')),
    })
    .prefault({})
    .meta(meta('Events on their way to the collector', restart)),
  collector: z
    .strictObject({
      url: httpUrl.optional().meta(
        meta('`weir proxy` only: the collector to ship events to; `weir up` starts its own', {
          ...restart,
          example: 'https://collector.internal:7333',
        }),
      ),
      token: z
        .string()
        .min(16)
        .optional()
        .meta(meta('Shared secret of proxies and collectors; made by `weir up` when absent', restart)),
    })
    .prefault({})
    .meta(meta('Where events go')),
  console: z
    .strictObject({
      listen: address
        .default('127.0.0.1:7333')
        .meta(meta('Where the collector serves the console, intake, OTLP, /metrics and health', restart)),
      public_url: publicUrl.optional().meta(
        meta('Where browsers reach the console; default: http:// and the address of `listen`', {
          example: 'https://weir.example.com',
        }),
      ),
    })
    .prefault({})
    .meta(meta('The collector and its console')),
  store: z
    .strictObject({
      listen: address
        .default('127.0.0.1:7334')
        .meta(meta('Where the embedded ClickHouse speaks its HTTP interface', restart)),
      url: httpUrl.optional().meta(
        meta('An external ClickHouse in place of the embedded one', {
          ...restart,
          example: 'https://clickhouse.internal:8443',
        }),
      ),
      user: z.string().default('').meta(meta('User of the external ClickHouse', restart)),
      password: z
        .string()
        .default('')
        .meta(meta('Password of the external ClickHouse; use ${ENV} or file:', restart)),
      database: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, 'expected letters, digits and _, for example weir')
        .default('weir')
        .meta(meta('Database; the embedded store always uses weir', restart)),
      memory_max_bytes: byteCount(1_610_612_736, 268_435_456, 'Memory of the embedded engine', restart),
      reader_password: z
        .string()
        .default('')
        .meta(meta('Password of the read-only user of the embedded store; empty: none needed', restart)),
      timeout_ms: ms(60_000, 'How long one insert may take', restart),
    })
    .prefault({})
    .meta(meta('ClickHouse')),
  retention: z
    .strictObject({
      calls_days: z
        .number()
        .int()
        .min(1)
        .max(3650)
        .default(30)
        .meta(meta('Calls and spans', { unit: 'days', ...restart })),
      payloads_days: z
        .number()
        .int()
        .min(1)
        .max(3650)
        .default(7)
        .meta(meta('Kept payloads', { unit: 'days', ...restart })),
      rollups_days: z
        .number()
        .int()
        .min(1)
        .max(3650)
        .default(800)
        .meta(meta('Daily rollups', { unit: 'days', ...restart })),
    })
    .prefault({})
    .meta(meta('How long rows live')),
  anomalies,
  export: z
    .strictObject({
      otlp: z
        .array(
          z.strictObject({
            url: httpUrl.meta(
              meta('OTLP/HTTP traces endpoint', { example: 'http://otel-collector:4318/v1/traces' }),
            ),
            headers: z
              .record(z.string(), z.string())
              .default({})
              .meta(meta('Headers for the endpoint, for example its API key')),
            queue_max: z
              .number()
              .int()
              .min(1)
              .max(1_000_000)
              .default(10_000)
              .meta(meta('Spans waiting at most; beyond it they are dropped and counted')),
            batch_max: z.number().int().min(1).max(10_000).default(512).meta(meta('Spans in one request')),
            timeout_ms: ms(10_000, 'How long one request may take'),
          }),
        )
        .default([])
        .meta(meta('Endpoints that get every span', restart)),
    })
    .prefault({})
    .meta(meta('Spans for others')),
  alerts: alertsSchema.prefault({}).meta(meta('Who is told when something is wrong, and what that is')),
  slos: slosSchema.default({}).meta(meta('Service level objectives, by name')),
  admin,
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .meta(meta('Least severe line that is written')),
    })
    .prefault({})
    .meta(meta('Log on standard error', restart)),
})

/** The whole configuration, defaults filled in. Frozen; a reload makes a new one. */
export type Config = z.infer<typeof configSchema>
export type ServerConfig = Config['servers'][string]
export type CallerConfig = Config['callers'][string]
