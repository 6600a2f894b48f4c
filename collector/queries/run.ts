/**
 * One run: its steps with what the analysis finds, and the waterfall with the spans of others in its traces. A run larger
 * than the limit is cut: `calls` says how many there are, `steps` holds the first of them.
 */
import { analyseRun, type RunAnalysis } from '../runs/analyse.ts'
import type { ForeignSpan, Step } from '../runs/step.ts'
import { FAILED } from '../schema/figures.ts'
import type { Reader } from './client.ts'
import * as costsNow from './costs-now.ts'

const STEPS_MAX = 2_000
const FOREIGN_MAX = 5_000

export type RunHead = {
  run_id: string
  run_source: string
  /** Mean over its calls, and its least certain call, in percent. */
  confidence: number
  confidence_min: number
  started: string
  ended: string
  caller: string
  team: string
  project: string
  agent: string
  client_name: string
  /** All of the run, whether they were read or not. */
  calls: number
  failed: number
}
export type Run = RunHead & RunAnalysis & { traces: string[]; foreign: number; isCut: boolean }

export const headSql = `SELECT run_id, run_source, round(confidence, 1) AS confidence, confidence_min, toString(started) AS started, toString(ended) AS ended,
  caller, team, project, agent, client_name, calls, failed
FROM v_runs WHERE run_id = {run_id:String}`

export const sql = `SELECT toString(c.event_id) AS event_id, c.trace_id AS trace_id, c.span_id AS span_id, c.parent_span_id AS parent_span_id,
  c.client_span_id AS client_span_id, toUnixTimestamp64Micro(c.ts) AS start_us, c.duration_us AS duration_us, c.kind AS kind, c.method AS method,
  c.server AS server, c.tool AS tool, c.outcome AS outcome, c.owner AS owner, toUInt8(${FAILED.replaceAll('outcome', 'c.outcome')}) AS failed,
  c.error_type AS error_type, c.error_message AS error_message, c.error_fingerprint AS error_fingerprint, c.arguments_hash AS arguments_hash,
  c.result_hash AS result_hash, c.tokens_in AS tokens_in, c.tokens_out AS tokens_out, c.cost_nano AS cost_nano, c.cost_source AS cost_source,
  c.run_confidence AS run_confidence, c.run_evidence AS run_evidence,
  toUnixTimestamp64Micro(c.ts) + c.receive_us + c.authorise_us + c.queue_us AS upstream_start_us, c.upstream_us AS upstream_us
FROM calls AS c
WHERE c.run_id = {run_id:String} AND c.kind = 'request' AND c.ts >= {started:DateTime64(6, 'UTC')} AND c.ts <= {ended:DateTime64(6, 'UTC')}
ORDER BY c.ts, c.event_id LIMIT {limit:UInt32}`

export const argumentsSql = `SELECT toString(p.event_id) AS event_id, any(p.body) AS body
FROM call_payloads AS p
WHERE p.part = 'arguments' AND p.event_id IN {events:Array(UUID)} AND p.ts >= {started:DateTime64(6, 'UTC')} AND p.ts <= {ended:DateTime64(6, 'UTC')}
GROUP BY event_id`

/** An agent's own spans may begin before its first call and end after its last. */
export const foreignSql = `SELECT s.TraceId AS trace_id, s.SpanId AS span_id, s.ParentSpanId AS parent_span_id, s.SpanName AS name, s.ServiceName AS service,
  s.SpanKind AS kind, intDiv(toUnixTimestamp64Nano(s.Timestamp), 1000) AS start_us, intDiv(s.Duration, 1000) AS duration_us, s.StatusCode AS status,
  s.StatusMessage AS status_message, s.SpanAttributes AS attributes
FROM otel_spans AS s
WHERE s.TraceId IN {traces:Array(String)} AND s.Timestamp >= {started:DateTime64(6, 'UTC')} - toIntervalHour(2) AND s.Timestamp <= {ended:DateTime64(6, 'UTC')} + toIntervalHour(2)
ORDER BY s.Timestamp, s.SpanId LIMIT {limit:UInt32}`

type Row = Omit<Step, 'failed' | 'arguments'> & { failed: number }

/** Null when there is no such run. */
export async function run(
  reader: Reader,
  { run_id, limit = STEPS_MAX }: { run_id: string; limit?: number },
): Promise<Run | null> {
  const [head] = await reader.rows<RunHead>(headSql, { run_id })
  if (!head) return null
  const range = { started: head.started, ended: head.ended }
  const rows = await reader.rows<Row>(sql, { run_id, limit: Math.min(limit, STEPS_MAX), ...range })
  const traces = [...new Set(rows.map((row) => row.trace_id))]
  const failed = rows.filter((row) => row.failed).map((row) => row.event_id)
  const [now, foreign, payloads] = await Promise.all([
    costsNow.run(reader, rows, (row) => row.start_us),
    reader.rows<ForeignSpan>(foreignSql, { traces, limit: FOREIGN_MAX, ...range }),
    failed.length === 0
      ? []
      : reader.rows<{ event_id: string; body: string }>(argumentsSql, { events: failed, ...range }),
  ])
  const captured = new Map(payloads.map((p) => [p.event_id, p.body]))
  const steps = now.map(
    (row): Step => ({ ...row, failed: Boolean(row.failed), arguments: captured.get(row.event_id) ?? null }),
  )
  const analysis = analyseRun(steps, foreign)
  return {
    ...analysis,
    ...head,
    traces,
    foreign: foreign.length,
    isCut: head.calls > rows.length || foreign.length >= FOREIGN_MAX,
  }
}
