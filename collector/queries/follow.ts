/**
 * Calls as they reach the store, each exactly once, none left out: what `weir tail` shows.
 *
 * What is followed is the block: the rows of one batch on one day. An insert writes each block as one part, so a block
 * becomes visible all at once and never changes; a batch sent again adds nothing. So a block is either seen or not, and
 * the order in which workers, batches or rows arrive does not matter.
 *
 * Where new blocks are looked for: `ingested_at` is stamped when an insert starts, the block shows when it is done. A
 * block may thus appear behind newer ones by as much as an insert takes, which the collector bounds by
 * `store.timeout_ms`. Looking back by more than that from the newest stamp seen, or from the store's present clock when
 * that is earlier (it was set back), misses nothing; no other clock is asked.
 */
import { FAILED } from '../schema/figures.ts'
import type { Reader } from './client.ts'

export type FollowRow = {
  event_id: string
  ts: string
  ingested_at: string
  kind: string
  trace_id: string
  span_id: string
  session_id: string
  run_id: string
  caller: string
  team: string
  project: string
  agent: string
  client_name: string
  method: string
  server: string
  tool: string
  exposed_name: string
  target: string
  outcome: string
  owner: string
  error_type: string
  error_message: string
  duration_us: number
  upstream_us: number
  overhead_us: number
  request_bytes: number
  response_bytes: number
  tokens_in: number
  tokens_out: number
}

export type FollowFilter = {
  server?: string
  tool?: string
  caller?: string
  method?: string
  /** An outcome, or `failed`. */
  outcome?: string
  /** Notifications and requests of servers too; otherwise calls, and whatever failed. */
  all?: boolean
}

/** Default of `store.timeout_ms`, doubled: see above. */
export const LOOK_BACK_MS = 120_000
/** Blocks remembered at most: far more than any look back holds. */
const SEEN_MAX = 100_000
const BLOCKS_MAX = 100
const ROWS_MAX = 5_000

export type Cursor = {
  /** Blocks seen, oldest first. */
  readonly seen: Set<string>
  /** Greatest stamp seen, by the store's clock. */
  newest_ms: number
  readonly look_back_ms: number
  /** Events shown before their block was seen. */
  readonly shown: Set<string>
}

export const blocksSql = `SELECT concat(batch_id, '/', toString(toDate(ts))) AS block, count() AS rows,
  min(toUnixTimestamp64Milli(c.ingested_at)) AS stored_ms, max(toUnixTimestamp64Milli(c.ingested_at)) AS stored_last_ms,
  min(toUnixTimestamp64Micro(ts)) AS first_us, max(toUnixTimestamp64Micro(ts)) AS last_us
FROM calls AS c
WHERE c.ingested_at > least(now64(3), fromUnixTimestamp64Milli({newest_ms:Int64})) - toIntervalMillisecond({look_back_ms:UInt32})
GROUP BY block ORDER BY stored_ms, block`

const COLUMNS = `event_id, ts, ingested_at, kind, trace_id, span_id, session_id, run_id, caller, team, project, agent, client_name, method,
  server, tool, exposed_name, target, outcome, owner, error_type, error_message, duration_us, upstream_us, overhead_us, request_bytes,
  response_bytes, tokens_in, tokens_out`

const FILTER = `({server:String} = '' OR server = {server:String}) AND ({tool:String} = '' OR tool = {tool:String} OR exposed_name = {tool:String})
  AND ({caller:String} = '' OR caller = {caller:String}) AND ({method:String} = '' OR method = {method:String})
  AND ({outcome:String} = '' OR if({outcome:String} = 'failed', ${FAILED}, toString(outcome) = {outcome:String}))
  AND ({all:Bool} OR kind = 'request' OR ${FAILED})`

// Bounds of the column's own type: engine 26.7 prunes `DateTime64 < DateTime` by whole seconds, and loses rows.
export const rowsSql = `SELECT ${COLUMNS}
FROM calls AS c
WHERE c.ingested_at >= fromUnixTimestamp64Milli({stored_ms:Int64}) AND c.ingested_at <= fromUnixTimestamp64Milli({stored_last_ms:Int64})
  AND ts >= fromUnixTimestamp64Micro({first_us:Int64}) AND ts <= fromUnixTimestamp64Micro({last_us:Int64})
  AND concat(batch_id, '/', toString(toDate(ts))) IN {blocks:Array(String)} AND ${FILTER}
ORDER BY ts, event_id`

export const lastSql = `SELECT ${COLUMNS}
FROM calls AS c
WHERE ts > now64(6) - toIntervalSecond({window_s:UInt32}) AND ${FILTER}
ORDER BY ts DESC, event_id DESC LIMIT {limit:UInt32}`

type Block = {
  block: string
  rows: number
  stored_ms: number
  stored_last_ms: number
  first_us: number
  last_us: number
}

const bound = (f: FollowFilter): Record<string, unknown> => ({
  server: f.server ?? '',
  tool: f.tool ?? '',
  caller: f.caller ?? '',
  method: f.method ?? '',
  outcome: f.outcome ?? '',
  all: f.all ?? false,
})

/** Narrow windows first: the newest calls are nearly always in the last hour, and the table may hold years. */
const WINDOWS_S = [3_600, 86_400, 10 * 365 * 86_400]

/** The newest `limit` calls, oldest first. */
export async function last(reader: Reader, filter: FollowFilter, limit: number): Promise<FollowRow[]> {
  if (limit === 0) return []
  let rows: FollowRow[] = []
  for (const window_s of WINDOWS_S) {
    rows = await reader.rows<FollowRow>(lastSql, { ...bound(filter), window_s, limit })
    if (rows.length >= limit) break
  }
  return rows.reverse()
}

/** The newest `limit` calls, oldest first, and where to go on from. */
export async function start(
  reader: Reader,
  filter: FollowFilter,
  limit: number,
  look_back_ms = LOOK_BACK_MS,
): Promise<{ rows: FollowRow[]; cursor: Cursor }> {
  const [now] = await reader.rows<{ now_ms: number }>('SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms')
  const newest_ms = now!.now_ms
  // Blocks first, rows after: what comes in between is shown now and left out when its block is found.
  const blocks = await reader.rows<Block>(blocksSql, { newest_ms, look_back_ms })
  const rows = await last(reader, filter, limit)
  const seen = new Set(blocks.map((b) => b.block))
  return { rows, cursor: { seen, newest_ms, look_back_ms, shown: new Set(rows.map((row) => row.event_id)) } }
}

function remember(cursor: Cursor, { block, stored_last_ms }: Block): void {
  cursor.seen.add(block)
  cursor.newest_ms = Math.max(cursor.newest_ms, stored_last_ms)
  if (cursor.seen.size > SEEN_MAX) for (const oldest of cursor.seen) if (cursor.seen.delete(oldest)) break
}

/** Cuts the blocks into questions of bounded size. A block larger than the bound is a question of its own. */
function* questions(blocks: readonly Block[]): Generator<Block[]> {
  let next: Block[] = []
  let rows = 0
  for (const block of blocks) {
    if (next.length > 0 && (next.length >= BLOCKS_MAX || rows + block.rows > ROWS_MAX)) {
      yield next
      next = []
      rows = 0
    }
    next.push(block)
    rows += block.rows
  }
  if (next.length > 0) yield next
}

/**
 * Rows stored since the last question, in portions, each ordered by time of the call. Changes the cursor, portion by
 * portion: when a question fails, asking again goes on with what was not delivered.
 */
export async function* more(
  reader: Reader,
  cursor: Cursor,
  filter: FollowFilter,
): AsyncGenerator<FollowRow[]> {
  const { newest_ms, look_back_ms } = cursor
  const found = await reader.rows<Block>(blocksSql, { newest_ms, look_back_ms })
  const fresh = found.filter((b) => !cursor.seen.has(b.block))
  for (const blocks of questions(fresh)) {
    const least = (pick: (b: Block) => number): number => Math.min(...blocks.map(pick))
    const most = (pick: (b: Block) => number): number => Math.max(...blocks.map(pick))
    const rows = await reader.rows<FollowRow>(rowsSql, {
      ...bound(filter),
      stored_ms: least((b) => b.stored_ms),
      stored_last_ms: most((b) => b.stored_last_ms),
      first_us: least((b) => b.first_us),
      last_us: most((b) => b.last_us),
      blocks: blocks.map((b) => b.block),
    })
    yield rows.filter((row) => !cursor.shown.delete(row.event_id))
    for (const block of blocks) remember(cursor, block)
  }
}
