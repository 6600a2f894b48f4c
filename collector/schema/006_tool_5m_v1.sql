-- Every tool in five-minute steps, with histograms that add up. Counts requests only (kind = 'request'), like every rollup.
-- hist: bucket i counts durations in (2^(i/8), 2^((i+1)/8)] microseconds, an OpenTelemetry exponential histogram of scale 3.
CREATE TABLE IF NOT EXISTS {DB}.tool_5m (
  t DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
  env LowCardinality(String),
  server LowCardinality(String),
  tool LowCardinality(String),
  method LowCardinality(String),
  {FIGURE_COLUMNS},
  receive_us_sum {COUNT},
  authorise_us_sum {COUNT},
  queue_us_sum {COUNT},
  connect_us_sum {COUNT},
  wait_us_sum {COUNT},
  transfer_us_sum {COUNT},
  answer_us_sum {COUNT},
  duration_us_max SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)),
  overhead_us_max SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)),
  hist SimpleAggregateFunction(sumMap, Map(Int16, UInt64)),
  overhead_hist SimpleAggregateFunction(sumMap, Map(Int16, UInt64))
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(t)
ORDER BY (t, server, tool, method, env)
TTL t + toIntervalDay({TOOL_5M_DAYS})
{SETTINGS}, ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {DB}.tool_5m_mv TO {DB}.tool_5m AS
SELECT toStartOfFiveMinutes(toDateTime(ts, 'UTC')) AS t, env, server, tool, method,
  {FIGURES},
  sum(c.receive_us) AS receive_us_sum,
  sum(c.authorise_us) AS authorise_us_sum,
  sum(c.queue_us) AS queue_us_sum,
  sum(c.connect_us) AS connect_us_sum,
  sum(c.wait_us) AS wait_us_sum,
  sum(c.transfer_us) AS transfer_us_sum,
  sum(c.answer_us) AS answer_us_sum,
  max(c.duration_us) AS duration_us_max,
  max(toUInt64(c.overhead_us)) AS overhead_us_max,
  sumMap(map(toInt16(ceil(log2(greatest(c.duration_us, 1)) * 8) - 1), toUInt64(1))) AS hist,
  sumMap(map(toInt16(ceil(log2(greatest(c.overhead_us, 1)) * 8) - 1), toUInt64(1))) AS overhead_hist
FROM {DB}.calls AS c WHERE kind = 'request'
GROUP BY t, env, server, tool, method;
