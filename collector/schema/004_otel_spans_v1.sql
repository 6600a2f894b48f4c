-- Spans of others (agents, servers) that came in over OTLP, in the column shape of the OpenTelemetry Collector's exporter.
CREATE TABLE IF NOT EXISTS {DB}.otel_spans (
  Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
  TraceId String,
  SpanId String,
  ParentSpanId String,
  TraceState String,
  SpanName LowCardinality(String),
  SpanKind LowCardinality(String),
  ServiceName LowCardinality(String),
  ResourceAttributes Map(LowCardinality(String), String),
  ScopeName String,
  ScopeVersion String,
  SpanAttributes Map(LowCardinality(String), String),
  Duration UInt64 CODEC(T64, ZSTD(1)),
  StatusCode LowCardinality(String),
  StatusMessage String,
  Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)),
  Links Nested (TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String)),
  INDEX ix_ts Timestamp TYPE minmax GRANULARITY 1,
  INDEX ix_trace TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX ix_attribute_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX ix_attribute_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)
TTL toDateTime(Timestamp) + toIntervalDay({CALLS_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;
