/** Proxy health: is the record complete, is it fresh, what does Weir cost each call, how full is the store. For operators. */
import type { Board } from './board.ts'
import { series, stat, table } from './panel.ts'
import { LAST_DAY, picked } from './query.ts'

const RAW = `${LAST_DAY} ${picked(['env'])}`
const PARTS = 'FROM system.parts WHERE active AND database = currentDatabase()'

export const health: Board = {
  uid: 'weir-health',
  title: 'Weir: proxy health',
  description:
    'Completeness and age of the record, overhead, tables of the store. Memory, event loop and spool of each process are on the Prometheus board.',
  variables: ['env'],
  rows: [
    {
      title: 'Is the record whole?',
      panels: [
        stat({
          title: 'Events lost',
          description: 'Given up before they reached the store (a full spool or disk), ever.',
          unit: 'short',
          bounds: { warn: 1, bad: 1000 },
          sql: 'SELECT sum(lost_events) AS lost FROM v_losses',
        }),
        stat({
          title: 'Missing batches',
          description: 'Gaps in the numbers of batches: on their way, dropped by a full spool, or stuck.',
          unit: 'short',
          bounds: { warn: 1, bad: 10 },
          sql: 'SELECT sum(missing) AS missing FROM v_ingest_gaps',
        }),
        stat({
          title: 'Dead letters',
          description: 'Lines of the range that could not become rows. They are kept with the reason.',
          unit: 'short',
          bounds: { warn: 1, bad: 100 },
          sql: 'SELECT count() AS letters FROM v_dead_letters WHERE $__timeFilter_ms(received_at)',
        }),
        stat({
          title: 'Unfinished calls',
          description:
            'Intents older than five minutes without an event (durability: strict): forwarded, and nobody recorded the end.',
          unit: 'short',
          bounds: { warn: 1, bad: 10 },
          sql: 'SELECT count() AS unfinished FROM unfinished_calls WHERE age_s > 300',
        }),
        stat({
          title: 'Last batch',
          description: 'Time since the store took the last batch.',
          unit: 's',
          none: 'nothing yet',
          bounds: { warn: 300, bad: 3600 },
          sql: `SELECT if(count() = 0, NULL, greatest(0, dateDiff('second', max(last_received), now64(3)))) AS age FROM v_ingest_gaps`,
        }),
        stat({
          title: 'Delay, p99',
          description: 'From a call to its row, last day of the range.',
          unit: 's',
          none: 'no calls',
          bounds: { warn: 10, bad: 60 },
          sql: `
            SELECT if(count() = 0, NULL, quantileExact(0.99)(greatest(0, dateDiff('millisecond', ts, ingested_at))) / 1000) AS delay
            FROM v_calls WHERE ${RAW}`,
        }),
        table({
          title: 'Workers',
          description: 'Batches of each worker: the last one, and what is missing in between.',
          none: 'no batch yet',
          sql: `
            SELECT g.instance AS instance, g.worker_id AS worker, g.last_received AS last, g.batches AS batches, g.missing AS missing, ifNull(l.lost, 0) AS lost_events
            FROM v_ingest_gaps AS g
            LEFT JOIN (SELECT worker_id, sum(lost_events) AS lost FROM v_losses GROUP BY worker_id) AS l ON l.worker_id = g.worker_id
            ORDER BY last DESC LIMIT 200`,
        }),
        table({
          title: 'Losses',
          description: 'Why events were given up, by worker.',
          none: 'nothing was lost',
          sql: `
            SELECT instance, worker_id AS worker, reason, lost_events, first_reported, last_reported FROM v_losses
            WHERE lost_events > 0 ORDER BY last_reported DESC LIMIT 200`,
        }),
        table({
          title: 'Dead letters by reason',
          description: 'The newest error of each reason; the lines themselves are in v_dead_letters.',
          none: 'no dead letters',
          w: 24,
          h: 6,
          sql: `
            SELECT reason, instance, count() AS letters, max(v.received_at) AS last, argMax(error, v.received_at) AS error
            FROM v_dead_letters AS v WHERE $__timeFilter_ms(v.received_at) GROUP BY reason, instance ORDER BY letters DESC, reason LIMIT 100`,
        }),
      ],
    },
    {
      title: 'Does the watch run?',
      panels: [
        table({
          title: 'Alert rules',
          description: 'Rules in force, when each was evaluated last and how that went.',
          none: 'no rules are configured',
          sql: `
            SELECT rule, kind, severity, state, detail, evaluated_at, greatest(0, dateDiff('second', evaluated_at, now64(3))) AS age
            FROM v_alert_rules ORDER BY state, rule LIMIT 200`,
          columns: { age: { unit: 's' } },
        }),
        table({
          title: 'Notifications',
          description: 'Messages of the range to receivers, failed and waiting ones first.',
          none: 'nothing was sent',
          sql: `
            SELECT queued_at, receiver, rule, status, attempts, http_status, error FROM v_alert_deliveries WHERE $__timeFilter_ms(queued_at)
            ORDER BY status = 'sent', queued_at DESC LIMIT 200`,
        }),
      ],
    },
    {
      title: 'Is it fast?',
      panels: [
        series({
          title: "Weir's own share of a call",
          description: 'Duration less upload, queue and upstream, from histograms.',
          unit: 's',
          bounds: { warn: 0.005, bad: 0.05 },
          sql: `
            SELECT $__timeInterval(t) AS time, quantileExactWeighted(0.5)(us, v.calls) / 1e6 AS p50, quantileExactWeighted(0.99)(us, v.calls) / 1e6 AS p99
            FROM v_latency_5m AS v WHERE part = 'overhead' AND $__timeFilter(t) ${picked(['env'])} GROUP BY time ORDER BY time`,
        }),
        series({
          title: 'Waiting for capacity',
          description: 'Mean time a call waited for a child process, a session or a connection.',
          unit: 's',
          sql: `
            SELECT $__timeInterval(t) AS time, sum(queue_us_sum) / sum(v.calls) / 1e6 AS queue, sum(connect_us_sum) / sum(v.calls) / 1e6 AS connect
            FROM v_tool_5m AS v WHERE $__timeFilter(t) ${picked(['env'])} GROUP BY time ORDER BY time`,
        }),
        series({
          title: 'From call to row (last day of the range)',
          description: 'How far the store was behind the calls.',
          unit: 's',
          step: '1m',
          sql: `
            SELECT $__timeInterval(ts) AS time, quantile(0.5)(greatest(0, dateDiff('millisecond', ts, ingested_at))) / 1000 AS p50,
              max(greatest(0, dateDiff('millisecond', ts, ingested_at))) / 1000 AS slowest
            FROM v_calls WHERE ${RAW} GROUP BY time ORDER BY time`,
        }),
        series({
          title: 'Calls per minute by worker (last day of the range)',
          description: 'Whether the load is spread evenly.',
          unit: 'short',
          named: true,
          stacked: true,
          step: '1m',
          sql: `
            SELECT $__timeInterval(ts) AS time, concat(instance, ' ', worker) AS name, count() * 60 / $__interval_s AS value
            FROM v_calls WHERE ${RAW} GROUP BY time, name ORDER BY time`,
        }),
      ],
    },
    {
      title: 'The store',
      panels: [
        stat({
          title: 'On disk',
          description: "All tables of Weir's database, compressed.",
          unit: 'bytes',
          w: 6,
          sql: `SELECT sum(bytes_on_disk) AS bytes ${PARTS}`,
        }),
        stat({
          title: 'Grows a day',
          description: 'Bytes of calls in the newest full daily partition.',
          unit: 'bytes',
          w: 6,
          none: 'less than a day of calls',
          sql: `
            SELECT if(count() = 0, NULL, argMax(size, day)) AS bytes FROM (
              SELECT min(min_time) AS day, sum(bytes_on_disk) AS size ${PARTS} AND table = 'calls' GROUP BY partition_id
              HAVING toDate(max(max_time)) < today()
            )`,
        }),
        stat({
          title: 'Parts',
          description: 'Parts of the fullest partition. Beyond a few hundred, inserts outrun merges.',
          unit: 'short',
          w: 6,
          bounds: { warn: 150, bad: 300 },
          sql: `SELECT max(n) AS parts FROM (SELECT count() AS n ${PARTS} GROUP BY table, partition_id)`,
        }),
        stat({
          title: 'Merges',
          description: 'Merges going on right now.',
          unit: 'short',
          w: 6,
          sql: "SELECT sum(value) AS merges FROM system.metrics WHERE metric = 'Merge'",
        }),
        table({
          title: 'Tables',
          description: 'Rows, bytes and parts of each table, and bytes a row.',
          w: 24,
          sql: `
            SELECT table, sum(p.rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts, bytes / greatest(rows, 1) AS bytes_per_row
            FROM system.parts AS p WHERE active AND database = currentDatabase() GROUP BY table ORDER BY bytes DESC, table LIMIT 100`,
          columns: { bytes: { unit: 'bytes' }, bytes_per_row: { unit: 'bytes' } },
        }),
      ],
    },
  ],
}
