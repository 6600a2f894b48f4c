/** A collector with a day of known calls: what tests of the console look at, and its pictures are taken of. */
import { createHash } from 'node:crypto'
import { openReader, type Reader } from '../../../collector/queries/client.ts'
import { openStore } from '../../../collector/sink/store.ts'
import { writeFindings } from '../../../collector/watch/anomaly/findings.ts'
import { parseConfig } from '../../../config/load.ts'
import { moneyOptions } from '../../../config/price-book.ts'
import { configSchema } from '../../../config/schema.ts'
import type { ToolDefinition, ToolList } from '../../../event/catalogue.ts'
import type { CallEvent, Outcome, Owner } from '../../../event/fields.ts'
import { makeEvent, newBatchId, seeded, segmentOf, sendBatch } from '../../collector/support/events.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startCollector,
  startStore,
  until,
  WRITER,
} from '../../collector/support/processes.ts'
import { waitFor } from '../../support/wait.ts'

export const KEY = 'key-of-the-console-tests'
export const EVIL = '<script>document.title="owned"</script><img src=x onerror=alert(1)><b>bold</b>'
export const FORMULA = '=HYPERLINK("http://evil.example","x")'

export type World = {
  readonly address: string
  readonly store: string
  readonly reader: Reader
  /** Trace with spans of an agent and of Weir, a failure, and captured content that looks like markup. */
  readonly trace_id: string
  readonly now_ms: number
  stop(): Promise<void>
}

type Tool = { server: string; tool: string; us: number; weight: number; bad: number; says: string[] }
const TOOLS: readonly Tool[] = [
  {
    server: 'bank',
    tool: 'get_balance',
    us: 14_000,
    weight: 30,
    bad: 0.01,
    says: ['account 4711 is closed'],
  },
  {
    server: 'bank',
    tool: 'transfer',
    us: 90_000,
    weight: 6,
    bad: 0.06,
    says: ['limit of 10000 exceeded', EVIL],
  },
  {
    server: 'files',
    tool: 'read_file',
    us: 3_000,
    weight: 22,
    bad: 0.02,
    says: ['ENOENT: no such file, open /srv/q3.csv'],
  },
  { server: 'files', tool: 'search', us: 45_000, weight: 8, bad: 0, says: [] },
  {
    server: 'news',
    tool: 'get_headlines',
    us: 260_000,
    weight: 12,
    bad: 0.09,
    says: ['upstream timed out after 5000 ms', FORMULA],
  },
  {
    server: 'crm',
    tool: 'find_customer',
    us: 38_000,
    weight: 10,
    bad: 0.03,
    says: ['permission denied for tenant 17'],
  },
]
const CALLERS = [
  { caller: 'rm-agent', team: 'research', project: 'advisory', agent: 'planner', client_name: 'claude-code' },
  { caller: 'desk-bot', team: 'trading', project: 'desk', agent: 'executor', client_name: 'langgraph' },
  { caller: 'support-bot', team: 'service', project: 'helpdesk', agent: 'triage', client_name: 'cursor' },
]
export const RUN_ID = 'run-looping'
export const FINDINGS = { ended: '00000000000000e1', open: '00000000000000f2' } as const
const HOUR_US = 3_600e6
const CALLS_TODAY = 2_600
const CALLS_YESTERDAY = 1_500

const hash = (text: string): string => createHash('sha256').update(text).digest('hex')

function failureOf(tool: Tool, random: () => number): Partial<CallEvent> {
  const error_message = tool.says[Math.floor(random() * tool.says.length)]!
  const isSlow = /timed out/.test(error_message)
  return {
    outcome: (isSlow ? 'timeout' : 'tool_error') as Outcome,
    owner: (isSlow ? 'upstream' : 'client') as Owner,
    error_type: isSlow ? 'upstream_timeout' : 'tool_error',
    error_message,
    error_fingerprint: hash(error_message).slice(0, 16),
  }
}

/** One call at `ts` microseconds, made from `random` alone. */
function callAt(ts: number, random: () => number, id: number): CallEvent {
  let at = random() * TOOLS.reduce((sum, t) => sum + t.weight, 0)
  const tool = TOOLS.find((t) => (at -= t.weight) < 0) ?? TOOLS[0]!
  const who = CALLERS[Math.floor(random() ** 1.6 * CALLERS.length)]!
  const isBad = random() < tool.bad
  const upstream_us = Math.round(tool.us * Math.exp((random() + random() + random() - 1.5) * 1.1))
  const overhead_us = Math.round(140 + random() * 240 + (random() < 0.01 ? 2_000 : 0))
  const receive_us = Math.round(20 + random() * 60)
  const wait_us = Math.round(upstream_us * 0.93)
  const connect_us = Math.round(upstream_us * 0.01)
  return makeEvent({
    ts,
    trace_id: hash(`trace ${Math.floor(id / 6)}`).slice(0, 32),
    span_id: hash(`span ${id}`).slice(0, 16),
    client_span_id: hash(`client ${id}`).slice(0, 16),
    request_id: String(id),
    run_id: `run-${Math.floor(id / 18)}`,
    session_id: `session-${Math.floor(id / 40)}`,
    ...who,
    client_version: '2.1.0',
    labels: { ticket: `T-${id % 50}` },
    tags: { cost_center: who.team === 'trading' ? 'cc-20' : 'cc-10' },
    principal: `${who.caller}-key`,
    server: tool.server,
    tool: tool.tool,
    exposed_name: `${tool.server}_${tool.tool}`,
    era: tool.server === 'news' ? 'modern' : 'legacy',
    upstream_protocol_version: tool.server === 'news' ? '2026-07-28' : '2025-11-25',
    upstream_transport: tool.server === 'files' ? 'stdio' : 'http',
    upstream_endpoint:
      tool.server === 'files' ? 'npx server-filesystem' : `http://${tool.server}.internal:8080/mcp`,
    ...(isBad ? failureOf(tool, random) : {}),
    duration_us: upstream_us + overhead_us + receive_us,
    upstream_us,
    overhead_us,
    receive_us,
    authorise_us: Math.round(overhead_us * 0.6),
    queue_us: 0,
    connect_us,
    wait_us,
    transfer_us: upstream_us - wait_us - connect_us,
    answer_us: Math.round(overhead_us * 0.4),
    request_bytes: 200 + Math.floor(random() * 800),
    response_bytes: 500 + Math.floor(random() * 20_000),
    tokens_in: Math.floor(random() * 300),
    tokens_out: Math.floor(random() * 4_000),
  })
}

/** Spans of an agent: its task, and a model's answer at its beginning. `ids` are unlike those of other traces. */
const agentSpans = (trace_id: string, start_ms: number, ids: string, task_ms = 900): object => {
  const span = (spanId: string, parentSpanId: string, name: string, at: number, ms: number): object => ({
    traceId: trace_id,
    spanId,
    parentSpanId,
    name,
    kind: 1,
    startTimeUnixNano: String((start_ms + at) * 1_000_000),
    endTimeUnixNano: String((start_ms + at + ms) * 1_000_000),
    attributes: [{ key: 'gen_ai.request.model', value: { stringValue: 'large-1' } }],
  })
  return {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'planner-agent' } }] },
        scopeSpans: [
          {
            scope: { name: 'agent' },
            spans: [
              span(`00000000000000${ids}1`, '', 'answer the question', 0, task_ms),
              span(
                `00000000000000${ids}2`,
                `00000000000000${ids}1`,
                'chat large-1',
                task_ms > 900 ? 450 : 10,
                320,
              ),
            ],
          },
        ],
      },
    ],
  }
}

/** Spans of an agent, three calls below them (one failed), arguments and results kept. */
function tracedCalls(trace_id: string, start_us: number, random: () => number): CallEvent[] {
  const base = [0, 1, 2].map((i) => callAt(start_us + 350_000 + i * 170_000, random, 900_000 + i))
  const common = {
    trace_id,
    parent_span_id: '00000000000000a1',
    trace_source: 'meta' as const,
    run_id: 'run-traced',
    caller: 'rm-agent',
    team: 'research',
  }
  return base.map((event, i) => ({
    ...event,
    ...common,
    outcome: 'ok' as const,
    owner: 'none' as const,
    error_type: '',
    error_message: '',
    error_fingerprint: '',
    server: 'bank',
    tool: 'transfer',
    exposed_name: 'bank_transfer',
    upstream_endpoint: 'http://bank.internal:8080/mcp',
    upstream_transport: 'http',
    duration_us: 150_000,
    upstream_us: 148_000,
    wait_us: 140_000,
    transfer_us: 7_000,
    connect_us: 1_000,
    receive_us: 40,
    overhead_us: 1_960,
    authorise_us: 1_200,
    answer_us: 760,
    captured_arguments: JSON.stringify({ amount: 120 + i, note: EVIL }),
    captured_result: JSON.stringify({ content: [{ type: 'text', text: EVIL }] }),
    ...(i === 2
      ? {
          outcome: 'tool_error' as const,
          owner: 'client' as const,
          error_type: 'tool_error',
          error_message: EVIL,
          error_fingerprint: 'feedbeef',
        }
      : {}),
  }))
}

const RUN_STEP = {
  parent_span_id: '00000000000000b1',
  trace_source: 'meta',
  run_source: 'label',
  run_confidence: 100,
} as const

/**
 * A run that goes round in circles: the same balance three times with the same answer, a transfer that fails and is tried again
 * in vain with the same arguments, two files read at once. Seven calls, of which two fail.
 */
function loopingRun(trace_id: string, start_us: number): CallEvent[] {
  const call = (at_ms: number, ms: number, more: Partial<CallEvent>): CallEvent =>
    makeEvent({
      ...CALLERS[0]!,
      ...RUN_STEP,
      trace_id,
      run_id: RUN_ID,
      ts: start_us + at_ms * 1000,
      duration_us: ms * 1000,
      upstream_us: ms * 1000 - 900,
      ...more,
    })
  const same = { arguments_hash: 'a'.repeat(32), result_hash: 'b'.repeat(32) }
  const failing = {
    tool: 'transfer',
    exposed_name: 'bank_transfer',
    arguments_hash: 'c'.repeat(32),
    outcome: 'tool_error',
    owner: 'client',
    error_type: 'tool_error',
    error_message: EVIL,
    error_fingerprint: 'feedbeef',
    captured_arguments: JSON.stringify({ amount: 5, note: EVIL }),
  } as const
  const file = { server: 'files', tool: 'read_file', exposed_name: 'files_read_file' }
  return [
    call(300, 100, same),
    call(900, 100, same),
    call(1_500, 100, same),
    call(2_000, 200, failing),
    call(2_600, 200, failing),
    call(3_000, 400, file),
    call(3_100, 200, file),
  ]
}

/** A finding that ended, about a series; and one that is open, about a run, with markup in its words. */
async function findings(store_url: string, now_ms: number, trace_id: string): Promise<void> {
  const store = openStore({
    url: store_url,
    ...WRITER,
    database: 'weir',
    timeout_ms: 20_000,
    embedded: true,
    reader_password: '',
  })
  const now = Math.floor(now_ms / 1000)
  const common = {
    team: '',
    caller: '',
    detected_at_ms: now_ms,
    score: 9.4,
    contributor: 'caller=desk-bot',
    contributor_share: 0.93,
    differs: [{ dimension: 'caller', value: 'desk-bot', share: 0.93, usual: 0.31 }],
    evidence: 'SELECT count() FROM v_calls',
    traces: [trace_id],
  }
  await writeFindings(
    store,
    [
      {
        ...common,
        id: FINDINGS.ended,
        kind: 'latency',
        scope: 'tool',
        series: 'bank/get_balance',
        server: 'bank',
        tool: 'get_balance',
        started: now - 3_000,
        ended: now - 1_500,
        last_seen: now - 1_500,
        method: 'learning',
        value: 412_000,
        expected: 100_000,
        lower: 80_000,
        upper: 130_000,
        unit: 'us',
        n: 240,
        summary: 'bank/get_balance: p95 412 ms, usual 80 ms-130 ms; 93 % of it from caller desk-bot',
      },
      {
        ...common,
        id: FINDINGS.open,
        kind: 'agent_loop',
        scope: 'run',
        series: `${RUN_ID} bank/get_balance`,
        server: 'bank',
        tool: 'get_balance',
        caller: 'rm-agent',
        started: now - 200,
        ended: 0,
        last_seen: now,
        method: 'rule',
        value: 41,
        expected: 0,
        lower: 0,
        upper: 20,
        unit: 'calls',
        n: 60,
        summary: `rm-agent called ${EVIL} 41 times with the same arguments in one run`,
      },
    ],
    now_ms,
  )
  await store.close()
}

/** Rules that fire, wait, and a promise that is kept and one that is not. */
const ALERTS = configSchema.parse({
  alerts: {
    evaluation_interval_s: 2,
    rules: {
      ServerBusy: {
        figure: 'calls',
        over: 'server',
        server: ['bank'],
        value: 10,
        window_s: 3_600,
        severity: 'error',
      },
      ToolSlow: { figure: 'p95_ms', over: 'tool', server: ['news'], value: 1, window_s: 3_600, for_s: 3_600 },
    },
  },
  slos: {
    answers: { objective: 'success', target: 0.9, each: 'server', bad: 'failed' },
    quick: { objective: 'latency', under_ms: 50, target: 0.99, each: 'none' },
  },
})

/** Every kind of price, none for crm; budgets that are kept and some that are not. */
const MONEY = moneyOptions(
  parseConfig(
    `servers:
  bank: { url: "http://bank.internal:8080/mcp", price: { per_call_usd: 0.0015, per_output_token_usd: "0.0000030000001" } }
  news: { url: "http://news.internal:8080/mcp", price: { per_call_usd: 0.01, bill_on: ok } }
  files: { command: npx server-filesystem, price: { per_month_usd: 100.000000007, split_by: calls } }
  crm: { url: "http://crm.internal:8080/mcp" }
prices:
  - { server: bank, tool: transfer, formula: "0.01 + 0.000002 * tokens_out" }
  - { server: crm, per_call_usd: 0.05, valid_to: 2020-01-01 }
teams: { research: { budget_usd_per_month: 400 }, trading: { budget_usd_per_month: 20 } }
budgets:
  - { scope: caller, name: support-bot, period: day, amount_usd: 3, warn_at: [0.8, 1] }
  - { scope: server, name: crm, amount_usd: 50 }
`,
    'weir.yaml',
    {},
  ).config,
)

/** Tools as `[server, tool, tokens, version]`; close_account and delete_all are listed and never called. */
const LISTED = [
  ['bank', 'get_balance', 180, 2],
  ['bank', 'transfer', 310, 1],
  ['bank', 'close_account', 240, 1],
  ['files', 'read_file', 90, 1],
  ['files', 'delete_all', 420, 1],
] as const
type Listed = readonly [server: string, tool: string, tokens: number, version: number]

function definitionOf([server, tool, tokens, version]: Listed, ts: number): ToolDefinition {
  const reads = /^(get|read)/.test(tool)
  const text = JSON.stringify({
    name: tool,
    description: version > 1 ? `${EVIL} ${tool}` : tool,
    inputSchema: { type: 'object' },
  })
  return {
    definition: 1,
    ts,
    server,
    tool,
    hash: hash(`${tool} ${version}`).slice(0, 32),
    tokens,
    bytes: tokens * 4,
    read_only: reads,
    destructive: !reads,
    text,
    server_version: `1.${version}`,
  }
}

/** What two teams read of tool definitions at `ts_us`, before the calls that other tests count. */
function listings(ts_us: number): (ToolDefinition | ToolList | CallEvent)[] {
  const ts = Math.round(ts_us)
  const list_id = hash('the list').slice(0, 32)
  const parts = ['bank', 'files'].map((server) => ({
    server,
    part_id: hash(`part ${server}`).slice(0, 32),
    tools: LISTED.filter((t) => t[0] === server).map(
      ([, tool, tokens, version]) => [tool, hash(`${tool} ${version}`).slice(0, 32), tokens] as const,
    ),
  }))
  const readers = Array.from({ length: 12 }, (_, i) => CALLERS[i % 5 < 3 ? 0 : 1]!)
  return [
    definitionOf(['bank', 'get_balance', 120, 1], ts - 72 * HOUR_US),
    ...LISTED.map((tool) => definitionOf(tool, ts)),
    { list: 1, ts, list_id, parts },
    ...readers.map((who, i) =>
      makeEvent({
        ts: ts + i,
        ...who,
        method: 'tools/list',
        server: '',
        tool: '',
        session_id: `reading-${i}`,
        run_id: `reading-${i}`,
        list_id,
      }),
    ),
  ]
}

/** What policy said of 24 calls of the last two hours: six a verdict, and four that shadow rules would have refused. */
function decided(now_us: number): CallEvent[] {
  const said = [
    { decision: 'allow', decision_rule: 'research reads the bank', decision_reason: 'allowed by its rule' },
    {
      decision: 'deny',
      decision_rule: 'no large transfers',
      decision_reason: 'args.amount is over what is allowed',
    },
    { decision: 'limit', decision_rule: 'ten a second', decision_reason: 'rate of caller and tool' },
    { decision: 'invalid', decision_rule: 'schema', decision_reason: '/amount: expected number' },
  ] as const
  const failed = { deny: 'denied', limit: 'limited', invalid: 'invalid' } as const
  return Array.from({ length: 24 }, (_, i) => {
    const one = said[i % 4]!
    return makeEvent({
      ...one,
      ts: Math.round(now_us - 60e6 - i * 280e6),
      caller: 'gate-agent',
      team: 'research',
      agent: 'gate',
      roles: ['analyst'],
      session_id: 'gate',
      run_id: 'gate',
      server: 'bank',
      tool: 'transfer',
      exposed_name: 'bank_transfer',
      decision_facts: one.decision === 'limit' ? { limit: '10/s', remaining: '0' } : {},
      shadow: i % 8 === 0 ? ['office hours', 'small amounts'] : i === 4 ? ['office hours'] : [],
      ...(one.decision === 'allow'
        ? {}
        : {
            outcome: failed[one.decision],
            owner: 'client' as const,
            error_type: `policy_${one.decision}`,
            error_message: one.decision_reason,
            attempts: 0,
          }),
    })
  })
}

/** Starts store and collector and fills them. The same calls every time, at times relative to now. */
export async function startWorld(more: Parameters<typeof collectorOptions>[1] = {}): Promise<World> {
  const folder = scratchFolder()
  const store: Running = await startStore(folder.path)
  const collector = await startCollector(
    collectorOptions(store.address, {
      alerts: {
        alerts: ALERTS.alerts,
        slos: ALERTS.slos,
        config: { taken_ms: Date.now() - 1_200_000, changed: ['servers.news.url'] },
      },
      money: MONEY,
      ...more,
    }),
  )
  const reader = openReader({
    url: store.address,
    user: 'reader',
    password: '',
    database: 'weir',
    timeout_ms: 20_000,
  })
  const stop = async (): Promise<void> => {
    await reader.close()
    await collector.drain()
    await store.kill()
    folder.remove()
  }
  try {
    await until(() => isReady(collector.address), 'the collector is ready')
    const random = seeded(20_261_121)
    const now_ms = Date.now()
    const now_us = now_ms * 1000
    const events: CallEvent[] = []
    for (let i = 0; i < CALLS_TODAY; i++) {
      // Two thirds in the last hour, the rest over six.
      const back = i % 3 ? random() * HOUR_US * 0.98 : random() * 6 * HOUR_US
      events.push(callAt(Math.round(now_us - 2e6 - back), random, i))
    }
    for (let i = 0; i < CALLS_YESTERDAY; i++)
      events.push(callAt(Math.round(now_us - 24 * HOUR_US - random() * HOUR_US * 1.5), random, 10_000 + i))
    const trace_id = hash('the traced one').slice(0, 32)
    const start_ms = now_ms - 90_000
    events.push(...tracedCalls(trace_id, start_ms * 1000, random))
    const run_trace_id = hash('the looping one').slice(0, 32)
    const run_ms = now_ms - 200_000
    events.push(...loopingRun(run_trace_id, run_ms * 1000), ...decided(now_us))
    for (let i = 0; i < events.length; i += 1_000) {
      const sent = await sendBatch(collector.address, newBatchId(), segmentOf(events.slice(i, i + 1_000)))
      if (sent.status !== 200) throw new Error(`a batch was refused: ${JSON.stringify(sent)}`)
    }
    const listed = await sendBatch(collector.address, newBatchId(), segmentOf(listings(now_us - 8 * HOUR_US)))
    if (listed.status !== 200) throw new Error(`a batch was refused: ${JSON.stringify(listed)}`)
    await sendBatch(collector.address, newBatchId(), segmentOf(['{"version":1,"not":"an event"}']))
    for (const spans of [agentSpans(trace_id, start_ms, 'a'), agentSpans(run_trace_id, run_ms, 'b', 3_600)]) {
      const otlp = await fetch(`${collector.address}/v1/traces`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
        body: JSON.stringify(spans),
      })
      if (!otlp.ok) throw new Error(`spans were refused: ${otlp.status} ${await otlp.text()}`)
    }
    await findings(store.address, now_ms, run_trace_id)
    await waitFor(
      'the rules have been looked at',
      async () =>
        (await reader.rows("SELECT rule FROM v_alerts WHERE rule = 'ServerBusy' AND state = 'firing'"))
          .length > 0,
      90_000,
    )
    return { address: collector.address, store: store.address, reader, trace_id, now_ms, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
