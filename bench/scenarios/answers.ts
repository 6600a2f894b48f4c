/**
 * How long people wait for an answer: the questions that dashboards and console ask, on a month of calls in the embedded store,
 * as its reader. And how many rows each has to read, which is what decides at ten times the size.
 */
import { join } from 'node:path'
import { DAYS, dayOfCalls } from '../support/history.ts'
import type { Findings, Gate, RunOptions, Scenario } from '../support/scenario.ts'
import { quantile, spreadOf } from '../support/spread.ts'
import { startWeir, type Weir } from '../support/weir.ts'

const CALLS = { full: 10_000_000, quick: 300_000 } as const
const RUNS = { full: 20, quick: 5 } as const
const LIMIT_MS = 300
const DAY_S = 86_400

type Question = { name: string; sql: string; isExtra?: boolean }

/** The first twelve have a limit; `trace` and `session` are ones that exist. Times are of the newest moment there is. */
const questions = (trace: string, session: string): Question[] => [
  {
    name: 'p50, p95, p99 per tool, 24 h',
    sql: 'SELECT server, tool, calls, p50_us, p95_us, p99_us FROM v_tools(from = now() - 86400, to = now()) ORDER BY calls DESC',
  },
  {
    name: 'share of failures over time, 24 h',
    sql: 'SELECT t, sum(failed) / sum(calls) AS share FROM v_tool_5m WHERE t > now() - 86400 GROUP BY t ORDER BY t',
  },
  {
    name: 'slowest 100 calls, 24 h',
    sql: 'SELECT ts, trace_id, server, tool, duration_us FROM v_calls WHERE ts > now64(6) - toIntervalDay(1) ORDER BY duration_us DESC LIMIT 100',
  },
  {
    name: 'one trace by its id',
    sql: `WITH '${trace}' AS id, (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = id) AS t0, (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = id) AS t1
SELECT TraceId, SpanId, ParentSpanId, ServiceName, SpanName, Timestamp, Duration FROM otel_traces WHERE TraceId = id AND Timestamp >= t0 AND Timestamp <= t1`,
  },
  {
    name: 'cost per team, 30 days',
    sql: 'SELECT team, sum(cost_nano) AS nano, sum(unpriced) AS unknown FROM v_usage_1d WHERE d > today() - 30 GROUP BY team ORDER BY nano DESC',
  },
  {
    name: 'cost per project and tool, 30 days',
    sql: 'SELECT project, server, tool, sum(cost_nano) AS nano FROM v_usage_1d WHERE d > today() - 30 GROUP BY project, server, tool ORDER BY nano DESC LIMIT 1000',
  },
  {
    name: 'busiest callers, 30 days',
    // The tools of the hundred only: merging every caller's takes five times as long.
    sql: `WITH busiest AS (SELECT caller, sum(calls) AS n FROM caller_1d WHERE d > today() - 30 GROUP BY caller ORDER BY n DESC LIMIT 100)
SELECT b.caller, b.n, t.different FROM busiest AS b LEFT JOIN (SELECT caller, uniqExact(server, tool) AS different FROM caller_tools
  WHERE last_seen > today() - 30 AND caller IN (SELECT caller FROM busiest) GROUP BY caller) AS t ON t.caller = b.caller ORDER BY b.n DESC`,
  },
  {
    name: 'sessions, 24 h',
    sql: 'SELECT session_id, started, ended, calls, failed, cost_nano FROM v_sessions WHERE started > now64(6) - toIntervalDay(1) ORDER BY started DESC LIMIT 100',
  },
  {
    name: 'one session, step by step',
    sql: `WITH (SELECT (min(started), max(ended)) FROM v_sessions WHERE session_id = '${session}') AS at
SELECT ts, server, tool, outcome, duration_us FROM v_calls WHERE session_id = '${session}' AND ts >= at.1 AND ts <= at.2 ORDER BY ts`,
  },
  {
    name: 'use of tools by day, 30 days',
    sql: 'SELECT d, server, tool, sum(calls) AS n FROM v_usage_1d WHERE d > today() - 30 GROUP BY d, server, tool ORDER BY d, n DESC',
  },
  {
    name: 'limited calls per caller, 30 days',
    sql: 'SELECT caller, sum(limited) AS n FROM v_callers_1d WHERE d > today() - 30 GROUP BY caller HAVING n > 0 ORDER BY n DESC LIMIT 100',
  },
  {
    name: 'all tools, last 15 minutes (detectors)',
    sql: 'SELECT server, tool, sum(calls) AS n, sum(faults) AS bad, sum(response_bytes) AS bytes FROM v_tool_5m WHERE t > now() - 900 GROUP BY server, tool',
  },
  {
    name: 'every call of one caller, 30 days (raw)',
    sql: "SELECT ts, server, tool, outcome, trace_id FROM v_calls WHERE caller = 'agent-7' AND ts > now64(6) - toIntervalDay(30) ORDER BY ts DESC LIMIT 100",
    isExtra: true,
  },
  {
    name: 'calls of the last 15 minutes (raw)',
    sql: 'SELECT ts, caller, server, tool, outcome FROM v_calls WHERE ts > now64(6) - toIntervalMinute(15) ORDER BY ts DESC LIMIT 100',
    isExtra: true,
  },
  {
    name: 'causes of failures, 24 h',
    sql: 'SELECT error_fingerprint, sum(failures) AS n, min(first_ts), max(last_ts), any(error_message) FROM v_errors WHERE hour > now() - 86400 GROUP BY error_fingerprint ORDER BY n DESC',
    isExtra: true,
  },
  {
    name: 'text in an error message, 24 h (raw)',
    sql: "SELECT ts, server, tool, error_message FROM v_failures WHERE ts > now64(6) - toIntervalDay(1) AND error_message ILIKE '%record 3%' ORDER BY ts DESC LIMIT 100",
    isExtra: true,
  },
]

type Timed = { ms: number; rows: number; read_rows: number; read_bytes: number }

/** As a dashboard asks: the store's reader, over HTTP, whole answer read. */
async function ask(weir: Weir, sql: string): Promise<Timed> {
  const started = performance.now()
  const answer = await fetch(`${weir.store}/?database=weir`, {
    method: 'POST',
    body: `${sql} FORMAT JSON`,
  })
  const text = await answer.text()
  const ms = performance.now() - started
  if (!answer.ok) throw new Error(`the store answers ${answer.status}: ${text.slice(0, 400)}`)
  const { rows, statistics } = JSON.parse(text) as {
    rows: number
    statistics: { rows_read: number; bytes_read: number }
  }
  return { ms, rows, read_rows: statistics.rows_read, read_bytes: statistics.bytes_read }
}

async function fill(weir: Weir, calls: number, seed: number, say: (line: string) => void): Promise<void> {
  const now_s = Math.floor(Date.now() / 1000)
  const today_s = now_s - (now_s % DAY_S)
  const each = Math.floor(calls / DAYS)
  const began = performance.now()
  for (let day = 0; day < DAYS; day++) {
    const start_s = today_s - (DAYS - 1 - day) * DAY_S
    // The last day ends now, with as many calls an hour as the others.
    const span_s = Math.min(DAY_S, now_s - start_s)
    await weir.sql(
      dayOfCalls(day * each, Math.max(1, Math.floor((each * span_s) / DAY_S)), start_s, span_s, seed),
    )
    if (day % 10 === 9)
      say(`  ${day + 1} of ${DAYS} days, ${Math.round((performance.now() - began) / 1000)} s`)
  }
}

async function run({ quick, seed, data, say }: RunOptions): Promise<Findings> {
  const calls = quick ? CALLS.quick : CALLS.full
  const runs = quick ? RUNS.quick : RUNS.full
  const weir = await startWeir({
    servers: '  none: { url: "http://127.0.0.1:9/mcp" }',
    home: data && join(data, `answers-${calls}-${seed}`),
  })
  const [kept] = await weir.sql<{ n: number }>('SELECT toUInt32(count()) AS n FROM weir.calls')
  if (kept!.n === 0) await fill(weir, calls, seed, say)
  else if (kept!.n < (calls * (DAYS - 1)) / DAYS)
    throw new Error(`${weir.folder} holds ${kept!.n} calls, made by a run that did not end: remove it`)
  else say(`  ${kept!.n} calls are there from an earlier run`)
  const [one] = await weir.sql<{ trace_id: string; session_id: string; n: number }>(
    'SELECT argMax(trace_id, ts) AS trace_id, argMax(session_id, ts) AS session_id, toUInt32(count()) AS n FROM weir.calls WHERE ts < now64(6) - toIntervalHour(30)',
  )
  const [newest] = await weir.sql<{ minutes: number }>(
    "SELECT toUInt32(dateDiff('minute', max(ts), now64(6))) AS minutes FROM weir.calls",
  )
  const gates: Gate[] = []
  const rows: (string | number)[][] = []
  const figures = []
  for (const question of questions(one!.trace_id, one!.session_id)) {
    const times: number[] = []
    let last = await ask(weir, question.sql)
    for (let i = 0; i < runs; i++) {
      last = await ask(weir, question.sql)
      times.push(last.ms)
    }
    const p95 = Math.round(
      quantile(
        [...times].sort((a, b) => a - b),
        0.95,
      ),
    )
    figures.push({ ...last, question: question.name, ms: spreadOf(times), p95_ms: p95 })
    rows.push([question.name, Math.round(spreadOf(times).median), p95, last.read_rows, last.rows])
    gates.push({
      name: question.name,
      value: p95,
      limit: LIMIT_MS,
      unit: 'ms at p95',
      kind: question.isExtra ? 'info' : 'must',
    })
  }
  const sizes = await weir.sql<{ table: string; rows: number; bytes: number }>(
    "SELECT table, toUInt64(sum(rows)) AS rows, toUInt64(sum(bytes_on_disk)) AS bytes FROM system.parts WHERE active AND database = 'weir' GROUP BY table HAVING rows > 0 ORDER BY bytes DESC",
  )
  return {
    figures: { calls: one!.n, questions: figures, sizes },
    tables: [
      {
        title: `Questions on ${DAYS} days, ${(calls / 1e6).toFixed(1)} million calls`,
        columns: ['question', 'ms: median', 'ms: p95', 'rows read', 'rows answered'],
        rows,
      },
      {
        title: 'On disk',
        columns: ['table', 'rows', 'bytes'],
        rows: sizes.map((s) => [s.table, s.rows, s.bytes]),
      },
    ],
    gates,
    notes: [
      'Answers come from rollups beyond a day, so rows read grow with tools, callers and days and not with calls: at 100 million calls the same questions read about the same rows. Raw questions of a day or less read ten times as many.',
      `The newest call was ${newest!.minutes} minutes old: questions about less than that found nothing to read.`,
    ],
  }
}

export const answers: Scenario = {
  name: 'answers',
  about: 'how long the questions of dashboards and console take on a month of calls',
  run,
}
