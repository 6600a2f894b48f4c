/**
 * One run of the detectors: closes what can be closed, judges it, looks at single calls. The clock is an argument: a test
 * can run a month in seconds. Keeps nothing in memory that a restart would miss.
 */
import type { AnomalyOptions } from '../../../config/anomalies.ts'
import type { Store } from '../../sink/store.ts'
import { DAY_S, HISTORY_DAYS, makeBaselines, newestBaselines } from './baseline.ts'
import { closeBuckets, newestClosed, oldestTouched } from './close.ts'
import { judgeEvents } from './events.ts'
import { readFindings, writeFindings } from './findings.ts'
import { BUCKET_S, WINDOW } from './metrics.ts'
import { judgeSeries } from './series-findings.ts'

/** A bucket is closed this long after its end: events are on their way for a moment. */
export const LAG_S = 60
/** Older buckets are closed for the record, but nobody is told what was wrong hours ago. */
const JUDGE_MAX_S = 1_800
/** Rows that come late make their bucket again, up to this age. */
const LATE_MAX_S = DAY_S
/** Findings about single events are not found again for this long after they ended. */
export const REMEMBER_S = 2 * DAY_S

export const bucketOf = (seconds: number): number => Math.floor(seconds / BUCKET_S) * BUCKET_S

/** Start of the oldest row there is, no older than the history that counts; null without rows. */
async function oldestRow(store: Store, to: number): Promise<number | null> {
  const [row] = await store.rows<{ t: number; n: number }>(
    `SELECT toUInt32(min(r.t)) AS t, toUInt32(count()) AS n FROM ${store.database}.tool_5m AS r WHERE r.t >= toDateTime(${to - HISTORY_DAYS * DAY_S}, 'UTC')`,
  )
  return row && Number(row.n) > 0 ? Number(row.t) : null
}

/** Closes all buckets from `from` to `to`, a day at a time. */
export async function closeRange(
  store: Store,
  options: AnomalyOptions,
  from: number,
  to: number,
  now_ms: number,
): Promise<void> {
  for (let at = from; at < to; ) {
    const end = Math.min(to, (Math.floor(at / DAY_S) + 1) * DAY_S)
    await closeBuckets(store, { from: at, to: end, made_at_ms: now_ms, series_max: options.series_max })
    at = end
  }
}

export type TickState = {
  /** When rows were last looked for that came late, by this clock; 0 = not yet. */
  seen_ms: number
}

/** Runs the detectors up to `now_ms`. Resolves with how many buckets were judged; 0 when no bucket has ended since. */
export async function tick(
  store: Store,
  options: AnomalyOptions,
  now_ms: number,
  state: TickState,
): Promise<number> {
  const to = bucketOf(now_ms / 1000 - LAG_S)
  const newest = await newestClosed(store)
  if (newest + BUCKET_S >= to) return 0
  let from = newest + BUCKET_S
  if (newest === 0 || from < to - HISTORY_DAYS * DAY_S) {
    const first = await oldestRow(store, to)
    if (first === null) return 0
    from = Math.max(from, first)
  }
  // Rows on their way when their bucket was closed: the last three buckets always, older ones when rows came for them.
  const since_ms = state.seen_ms || now_ms - LATE_MAX_S * 1000
  const touched = newest ? await oldestTouched(store, to - LATE_MAX_S, since_ms) : null
  const again = Math.min(from, newest ? from - WINDOW * BUCKET_S : from, touched ?? from)
  await closeRange(store, options, again, to, now_ms)
  state.seen_ms = now_ms - 2 * LAG_S * 1000
  const judge_from = Math.max(from, bucketOf(now_ms / 1000 - JUDGE_MAX_S))
  if (judge_from >= to) return 0
  await judgeRange(store, options, judge_from, to, now_ms)
  return Math.round((to - judge_from) / BUCKET_S)
}

/** Judges closed buckets: series, then single calls. */
export async function judgeRange(
  store: Store,
  options: AnomalyOptions,
  from: number,
  to: number,
  now_ms: number,
): Promise<void> {
  const [known, baselines] = await Promise.all([
    readFindings(store, from - REMEMBER_S),
    usableBaselines(store, to),
  ])
  await judgeSeries(store, options, known, { from, to, baselines, now_ms })
  await judgeEvents(store, options, known, { from, to, now_ms })
}

/** Ends what is open: when nobody looks any more, nobody would see that it is over. Resolves with how many there were. */
export async function endOpen(store: Store, now_ms: number): Promise<number> {
  const open = (await readFindings(store, now_ms / 1000)).filter((finding) => finding.ended === 0)
  await writeFindings(
    store,
    open.map((finding) => ({ ...finding, ended: Math.max(finding.last_seen, finding.started + 1) })),
    now_ms,
  )
  return open.length
}

/** The newest baselines no older than two days; 0 when there are none. */
async function usableBaselines(store: Store, to: number): Promise<number> {
  const day = await newestBaselines(store)
  return day >= to - 3 * DAY_S ? day : 0
}

/** Makes today's baselines when they are missing. True when it did. */
export async function keepBaselines(store: Store, now_ms: number): Promise<boolean> {
  const today = Math.floor(now_ms / 1000 / DAY_S) * DAY_S
  const closed = await newestClosed(store)
  // Not before the last bucket of yesterday is in.
  if (closed === 0 || closed < today - BUCKET_S) return false
  if ((await newestBaselines(store)) >= today) return false
  await makeBaselines(store, today)
  return true
}
