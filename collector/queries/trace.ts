/** All spans of one trace, Weir's and others', in the order they started: what a waterfall is drawn from. */
import { PHASES } from '../../event/names.ts'
import type { Reader } from './client.ts'

export type Phase = (typeof PHASES)[number]

export type TraceSpan = {
  trace_id: string
  span_id: string
  parent_span_id: string
  name: string
  kind: string
  service: string
  /** Microseconds since 1970. */
  start_us: number
  duration_us: number
  status: string
  status_message: string
  attributes: Record<string, string>
  /** Whether Weir made the span. */
  is_weir: boolean
  /** Where the time of a SERVER span of Weir went; null on other spans. */
  phases: Record<Phase, number> | null
}

export const sql = `SELECT TraceId AS trace_id, SpanId AS span_id, ParentSpanId AS parent_span_id, SpanName AS name, SpanKind AS kind, ServiceName AS service,
  intDiv(toUnixTimestamp64Nano(Timestamp), 1000) AS start_us, intDiv(Duration, 1000) AS duration_us, StatusCode AS status,
  StatusMessage AS status_message, SpanAttributes AS attributes, ScopeName = 'weir' AND ServiceName = 'weir' AS is_weir
FROM otel_traces
WHERE TraceId = {trace_id:String}
  AND Timestamp >= (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = {trace_id:String})
  AND Timestamp <= (SELECT max(End) + toIntervalHour(2) FROM otel_traces_trace_id_ts WHERE TraceId = {trace_id:String})
ORDER BY Timestamp, kind = 'Client', span_id LIMIT {limit:UInt32}`

type Row = Omit<TraceSpan, 'phases' | 'is_weir'> & { is_weir: number }

export async function run(
  reader: Reader,
  { trace_id, limit = 10_000 }: { trace_id: string; limit?: number },
): Promise<TraceSpan[]> {
  const rows = await reader.rows<Row>(sql, { trace_id, limit })
  return rows.map((row) => {
    const is_weir = Boolean(row.is_weir)
    const phase = (name: Phase): number => Number(row.attributes[`weir.phase.${name}`] ?? 0)
    const phases =
      is_weir && row.kind === 'Server'
        ? (Object.fromEntries(PHASES.map((name) => [name, phase(name)])) as Record<Phase, number>)
        : null
    return { ...row, is_weir, phases }
  })
}
