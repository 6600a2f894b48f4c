/**
 * The SQL a finding carries as its evidence: literal, to be run as it is by any reader, showing the hour before and the
 * finding itself. Only tables and views of the public schema.
 */
import { quantileSql } from '../../schema/figures.ts'
import { seconds } from './close.ts'
import type { Subject } from './ignore.ts'

/** A text as SQL literal. */
export const text = (value: string): string =>
  `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`

const BEFORE_S = 3_600

/** Conditions on a table with these columns. */
export function about(subject: Partial<Subject>): string {
  const parts = (['server', 'tool', 'caller', 'team'] as const)
    .filter((word) => subject[word])
    .map((word) => `${word} = ${text(subject[word]!)}`)
  return parts.length > 0 ? parts.join(' AND ') : '1'
}

export type Span = { from: number; to: number }

/** Every five minutes of a tool, server or the installation; of a caller or team from the rows themselves. */
export function seriesEvidence(subject: Subject, span: Span): string {
  const when = (column: string): string =>
    `${column} >= ${seconds(span.from - BEFORE_S)} AND ${column} < ${seconds(span.to)}`
  if (subject.caller || subject.team)
    return `SELECT toStartOfFiveMinutes(ts) AS bucket, count() AS calls, countIf(fault) AS faults, countIf(failed) AS failed_calls, round(quantileExact(0.95)(duration_us)) AS p95_us, sum(cost_nano) AS cost, round(avg(response_bytes)) AS bytes_per_call, uniqExact(server, tool) AS tools FROM v_calls WHERE ${about(subject)} AND ${when('ts')} GROUP BY bucket ORDER BY bucket`
  return `SELECT bucket, calls_sum AS calls, faults_sum AS faults, round(${quantileSql('h', 0.5)}) AS p50_us, round(${quantileSql('h', 0.95)}) AS p95_us, cost, round(cost / greatest(calls_sum, 1)) AS cost_per_call, round(bytes / greatest(calls_sum, 1)) AS bytes_per_call FROM (SELECT t AS bucket, sum(calls) AS calls_sum, sum(faults) AS faults_sum, sumMap(hist) AS h, sum(cost_nano) AS cost, sum(response_bytes) AS bytes FROM v_tool_5m WHERE ${about(subject)} AND ${when('t')} GROUP BY bucket) ORDER BY bucket`
}

/** The calls themselves, for findings about single calls. `more`: further conditions. */
export const callsEvidence = (subject: Partial<Subject>, span: Span, more = ''): string =>
  `SELECT ts, caller, server, tool, outcome, error_message, duration_us, arguments_hash, run_id, trace_id FROM v_calls WHERE ${about(subject)}${more && ` AND ${more}`} AND ts >= ${seconds(span.from)} AND ts < ${seconds(span.to)} ORDER BY ts LIMIT 1000`
