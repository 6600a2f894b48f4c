-- When each trace happened: Grafana's plugin looks for this name beside otel_traces and narrows its trace query by it.
CREATE TABLE IF NOT EXISTS {DB}.otel_traces_trace_id_ts (
  TraceId String,
  Start SimpleAggregateFunction(min, DateTime),
  End SimpleAggregateFunction(max, DateTime)
) ENGINE = AggregatingMergeTree
PARTITION BY toStartOfWeek(Start)
ORDER BY TraceId
TTL Start + toIntervalDay({TRACES_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.calls_trace_id_ts_mv TO {DB}.otel_traces_trace_id_ts AS
SELECT trace_id AS TraceId, min(toDateTime(ts)) AS Start, max(toDateTime(ts)) AS End
FROM {DB}.calls WHERE trace_id != '' GROUP BY TraceId;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.spans_trace_id_ts_mv TO {DB}.otel_traces_trace_id_ts AS
SELECT TraceId, min(toDateTime(Timestamp)) AS Start, max(toDateTime(Timestamp)) AS End
FROM {DB}.otel_spans WHERE TraceId != '' GROUP BY TraceId;
