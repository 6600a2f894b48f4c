/**
 * A store with one known day: yesterday. Every figure that boards and alerts show of it can be counted on paper; the tests do.
 *
 * bank/get_balance, 100 calls of rm-agent from 12:00, ten seconds apart: 4 upstream errors, 3 invalid, 2 denied, 91 fine at
 * $0.002 each; 5 of the fine ones took 2 s, all others 100 ms; six of them equal. 2 more at 03:00. 50 a week before.
 * files/read, 20 calls of ops-bot from 13:00, a minute apart, 10 ms each, unpriced. One call at 14:00 without a key, one body unreadable.
 */

import { readEvent } from '../../collector/intake/row.ts'
import { openLog } from '../../collector/log.ts'
import { EVENT_COLUMN_NAMES } from '../../collector/schema/columns.ts'
import { migrate } from '../../collector/schema/migrate.ts'
import { compactLines, openStore, type Store } from '../../collector/sink/store.ts'
import type { CallEvent } from '../../event/fields.ts'
import { makeEvent } from '../collector/support/events.ts'
import {
  collectorOptions,
  type Running,
  scratchFolder,
  startStore,
  WRITER,
} from '../collector/support/processes.ts'

const DAY = 86_400_000
const HOUR = 3_600_000
/** Yesterday 00:00 UTC, milliseconds. */
export const DAY_START = Math.floor(Date.now() / DAY) * DAY - DAY
export const RANGE = { from: new Date(DAY_START - 9 * HOUR), to: new Date(DAY_START + 15 * HOUR) }
/** When alerts are evaluated: the calls from 12:00 are a quarter of an hour old. */
export const ALERT_MOMENT = new Date(DAY_START + 12 * HOUR + 16 * 60_000)
export const TRACE = 'a'.repeat(32)
export const RUN = 'run-of-research'
export const isWeekend = [0, 6].includes(new Date(DAY_START).getUTCDay())

type Rated = { cost_nano: number; cost_source: 'none' | 'unpriced' | 'tool' }
type Known = { event: CallEvent; rated: Rated }
const at = (hour: number, more_ms = 0): number => (DAY_START + hour * HOUR + more_ms) * 1000
const free: Rated = { cost_nano: 0, cost_source: 'none' }
const failure = (
  outcome: CallEvent['outcome'],
  owner: CallEvent['owner'],
  error_type: string,
  error_message: string,
): Partial<CallEvent> => ({
  outcome,
  owner,
  error_type,
  error_message,
  error_fingerprint: `fp-${error_type}`,
})

function balance(i: number): Known {
  const bad =
    i < 4
      ? failure('upstream_error', 'upstream', 'upstream_protocol', 'the server sent half an answer')
      : i < 7
        ? failure('invalid', 'client', 'params_invalid', 'account is missing')
        : i < 9
          ? {
              ...failure('denied', 'client', 'denied', 'not for this team'),
              decision: 'deny' as const,
              decision_rule: 'other teams',
              decision_reason: 'not for this team',
              shadow: i === 8 ? ['office hours'] : [],
            }
          : {}
  const same = i >= 20 && i < 26
  const slow = i >= 90 && i < 95
  return {
    event: makeEvent({
      ts: at(12, i * 10_000),
      duration_us: slow ? 2_000_000 : 100_000,
      upstream_us: slow ? 1_990_000 : 90_000,
      overhead_us: 800,
      run_id: RUN,
      arguments_hash: same ? 'e'.repeat(32) : `${i}`.padStart(32, '0'),
      result_hash: 'f'.repeat(32),
      ...(i === 0 ? { trace_id: TRACE, span_id: '1'.repeat(16), client_span_id: '2'.repeat(16) } : {}),
      ...bad,
    }),
    rated: bad.outcome === undefined ? { cost_nano: 2_000_000, cost_source: 'tool' } : free,
  }
}

const calls: Known[] = [
  ...Array.from({ length: 100 }, (_, i) => balance(i)),
  ...[0, 1].map((i) => ({
    event: makeEvent({ ts: at(3, i * 1000), duration_us: 100_000, run_id: 'run-at-night' }),
    rated: free,
  })),
  ...Array.from({ length: 50 }, (_, i) => ({
    event: makeEvent({ ts: at(12.5 - 7 * 24, i * 1000), duration_us: 100_000, run_id: 'run-last-week' }),
    rated: free,
  })),
  ...Array.from({ length: 20 }, (_, i) => ({
    event: makeEvent({
      ts: at(13, i * 60_000),
      server: 'files',
      tool: 'read',
      exposed_name: 'files_read',
      caller: 'ops-bot',
      team: 'ops',
      project: '',
      agent: '',
      run_id: 'run-of-ops',
      session_id: 'session-of-ops',
      duration_us: 10_000,
      tokens_out: 500,
      worker: 'w1',
    }),
    rated: { cost_nano: 0, cost_source: 'unpriced' as const },
  })),
  {
    event: makeEvent({
      ts: at(14),
      ...failure('denied', 'client', 'unauthenticated', 'no key'),
      caller: '',
      team: '',
      project: '',
      agent: '',
      principal: '',
      server: '',
      tool: '',
      method: 'tools/list',
      run_id: '',
      session_id: '',
      duration_us: 1000,
    }),
    rated: free,
  },
  {
    event: makeEvent({
      ts: at(14),
      kind: 'unreadable',
      ...failure('invalid', 'client', 'parse_error', 'no JSON'),
      caller: '',
      team: '',
      server: '',
      tool: '',
      method: '',
      run_id: '',
      session_id: '',
      duration_us: 500,
    }),
    rated: free,
  },
]

const iso = (us: number): string => new Date(us / 1000).toISOString().replace('T', ' ').replace('Z', '')

/** Rows of tables that other parts of Weir fill. */
const others: Record<string, Record<string, unknown>[]> = {
  annotations: [
    {
      id: '1',
      ts: iso(at(12)),
      kind: 'deploy',
      title: 'bank 2.0',
      detail: 'a new bank',
      server: 'bank',
      tool: '',
    },
    {
      id: '2',
      ts: iso(at(11)),
      kind: 'config',
      title: 'config taken over',
      detail: 'limits',
      server: '',
      tool: '',
    },
    {
      id: '3',
      ts: iso(at(11)),
      kind: 'access',
      title: 'rules changed',
      detail: 'no large transfers, by platform-ci',
      server: '',
      tool: '',
    },
  ],
  tool_definitions: [
    {
      server: 'bank',
      tool: 'get_balance',
      hash: 'a',
      tokens: 100,
      first_seen: iso(at(-48)),
      last_seen: iso(at(12)),
    },
    {
      server: 'bank',
      tool: 'get_balance',
      hash: 'b',
      tokens: 140,
      first_seen: iso(at(12.1)),
      last_seen: iso(at(14)),
    },
    {
      server: 'files',
      tool: 'read',
      hash: 'c',
      tokens: 50,
      first_seen: iso(at(-48)),
      last_seen: iso(at(14)),
    },
    {
      server: 'files',
      tool: 'shred',
      hash: 'd',
      tokens: 75,
      first_seen: iso(at(-48)),
      last_seen: iso(at(14)),
    },
  ],
  anomalies: [
    {
      id: 'x',
      kind: 'latency',
      series: 'bank/get_balance',
      server: 'bank',
      tool: 'get_balance',
      team: '',
      caller: '',
      started: iso(at(12)).slice(0, 19),
      ended: 0,
      value: 2,
      expected: 0.1,
      unit: 's',
      summary: 'slower than usual',
    },
    {
      id: 'y',
      kind: 'volume',
      series: 'files/read',
      server: 'files',
      tool: 'read',
      team: '',
      caller: '',
      started: iso(at(5)).slice(0, 19),
      ended: iso(at(6)).slice(0, 19),
      value: 0,
      expected: 9,
      unit: 'calls',
      summary: 'quieter than usual',
    },
  ],
  alert_events: [
    {
      ts: iso(at(12.2)),
      rule: 'slow-bank',
      fingerprint: 'f1',
      labels: {},
      annotations: { summary: 'bank is slow' },
      severity: 'page',
      from_state: 'pending',
      to_state: 'firing',
      value: 2,
      starts_at: iso(at(12.1)),
    },
    {
      ts: iso(at(4)),
      rule: 'quiet-files',
      fingerprint: 'f2',
      labels: {},
      annotations: { summary: 'files is quiet' },
      severity: 'ticket',
      from_state: 'pending',
      to_state: 'firing',
      value: 0,
      starts_at: iso(at(4)),
    },
    {
      ts: iso(at(6)),
      rule: 'quiet-files',
      fingerprint: 'f2',
      labels: {},
      annotations: { summary: 'files is quiet' },
      severity: 'ticket',
      from_state: 'firing',
      to_state: 'resolved',
      value: 0,
      starts_at: iso(at(4)),
    },
  ],
  tool_lists: [
    {
      list_id: 'l1',
      server: 'files',
      part_id: 'p1',
      tool: 'read',
      hash: 'c',
      tokens: 50,
      first_seen: iso(at(-48)),
      last_seen: iso(at(14)),
    },
    {
      list_id: 'l1',
      server: 'files',
      part_id: 'p1',
      tool: 'shred',
      hash: 'd',
      tokens: 75,
      first_seen: iso(at(-48)),
      last_seen: iso(at(14)),
    },
  ],
  tool_listings: [
    {
      caller: 'ops-bot',
      session: 'session-of-ops',
      server: 'files',
      list_id: 'l1',
      team: 'ops',
      project: '',
      first_ts: iso(at(13)),
      last_ts: iso(at(13)),
      listings: 1,
    },
  ],
  budgets: [
    {
      budget_id: 'research',
      scope: 'team',
      value: 'research',
      period: 'month',
      amount_nano: 200_000_000,
      warn_at: [0.5],
      book: 'b',
    },
  ],
  prices: [
    {
      price_id: 'files-month',
      server: 'files',
      tool: '*',
      valid_from: iso(at(-48)),
      valid_to: '2100-01-01 00:00:00.000',
      per_month_nano: 30_000_000_000,
      split_by: 'calls',
      book: 'b',
    },
  ],
  alert_rules: [
    {
      rule: 'slow-bank',
      kind: 'latency',
      severity: 'page',
      about: '',
      state: 'ok',
      detail: '',
      removed: 0,
      updated_at: iso(at(14)),
    },
  ],
  alert_deliveries: [
    { ts: iso(at(12.2)), key: 'k', receiver: 'slack', group_key: 'g', rule: 'slow-bank', status: 'queued' },
    {
      ts: iso(at(12.3)),
      key: 'k',
      receiver: 'slack',
      group_key: 'g',
      rule: 'slow-bank',
      status: 'sent',
      attempt: 1,
      http_status: 200,
    },
  ],
  slo_status: [
    {
      slo: 'bank',
      server: 'bank',
      tool: '',
      team: '',
      objective: 'success',
      target: 0.98,
      window_days: 30,
      total: 100,
      bad: 1,
      budget_left: 0.5,
      burn_5m: -1,
      burn_1h: 0.5,
      removed: 0,
      updated_at: iso(at(14)),
    },
  ],
  ingest_batches: [1, 2, 4].map((seq) => ({
    batch_id: `w0-${seq}`,
    worker_id: 'w0',
    instance: 'test',
    seq,
    complete: 1,
    received_at: iso(at(12)),
  })),
  losses: [
    { worker_id: 'w0', reason: 'spool_full', instance: 'test', events: 7, first_reported: iso(at(12)) },
  ],
  dead_letters: [
    {
      batch_id: 'w0-1',
      row_no: 3,
      instance: 'test',
      reason: 'not_json',
      error: 'unexpected end',
      body: '{',
      received_at: iso(at(12)),
    },
  ],
  call_intents: [
    {
      ts: iso(at(12)),
      event_id: '01234567-89ab-4cde-8f01-23456789abcd',
      trace_id: 'c'.repeat(32),
      server: 'bank',
      tool: 'get_balance',
    },
  ],
  otel_spans: [
    {
      Timestamp: iso(at(12)),
      TraceId: TRACE,
      SpanId: '9'.repeat(16),
      ParentSpanId: '1'.repeat(16),
      SpanName: 'SELECT balance',
      SpanKind: 'Internal',
      ServiceName: 'bank',
      Duration: 1000,
      StatusCode: 'Ok',
    },
  ],
}

export type KnownStore = {
  url: string
  /** Puts the known day in; until then the store is empty, with its schema in place. */
  seed(): Promise<void>
  /** Rows as lists of values, in the order of `columns`. NaN and infinities as they are. Rejects with the store's own words. */
  ask(sql: string, user?: { user: string; password: string }): Promise<Answer>
  end(): Promise<void>
}
export type Answer = { columns: string[]; rows: unknown[][] }

const READER = { user: 'reader', password: '' }

async function post(url: string, sql: string, { user, password }: typeof READER): Promise<string> {
  const response = await fetch(
    `${url}/?database=weir&default_format=JSONCompact&output_format_json_quote_denormals=1&output_format_json_quote_64bit_integers=0`,
    {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` },
      body: sql,
    },
  )
  const text = await response.text()
  if (!response.ok) throw new Error(text.slice(0, 600))
  return text
}

export async function startKnownStore(): Promise<KnownStore> {
  const folder = scratchFolder()
  const running: Running = await startStore(folder.path)
  const store: Store = openStore({ ...collectorOptions(running.address).store, database: 'weir' })
  await migrate({
    store,
    retention: { calls_days: 30, payloads_days: 7, rollups_days: 800 },
    log: openLog('error'),
  })
  const put = (table: string, rows: readonly object[]): Promise<string> =>
    post(
      running.address,
      `INSERT INTO ${table} SETTINGS async_insert = 0 FORMAT JSONEachRow\n${rows.map((row) => JSON.stringify(row)).join('\n')}`,
      WRITER,
    )
  return {
    url: running.address,
    async seed() {
      const lines = compactLines(
        calls.map(({ event, rated }) => [
          ...readEvent(event, (name) => {
            throw new Error(`unknown field ${name}`)
          }),
          rated.cost_nano,
          rated.cost_source,
        ]),
      )
      await store.insert('calls', [...EVENT_COLUMN_NAMES, 'cost_nano', 'cost_source'], lines, 'known')
      for (const [table, rows] of Object.entries(others)) await put(table, rows)
    },
    async ask(sql, user = READER) {
      const answer = JSON.parse(await post(running.address, sql, user)) as {
        meta: { name: string }[]
        data: unknown[][]
      }
      return { columns: answer.meta.map((column) => column.name), rows: answer.data }
    },
    async end() {
      await store.close()
      await running.drain()
      folder.remove()
    },
  }
}
