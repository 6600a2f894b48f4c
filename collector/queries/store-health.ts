/** How the store itself is: what `weir doctor` shows. Only what readers may ask. */
import type { Reader } from './client.ts'

export type StoreHealth = {
  version: string
  /** The store's clock, milliseconds since 1970. */
  now_ms: number
  rows: number
  parts: number
  /** Most parts in one partition: beyond a few hundred inserts outrun merges. */
  parts_of_partition_max: number
  bytes: number
  merges: number
  /** Seconds since something was last stored, null when nothing was in the last day. */
  stored_age_s: number | null
}

export const sql = `SELECT version() AS version, toUnixTimestamp64Milli(now64(3)) AS now_ms,
  (SELECT sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'calls') AS rows,
  (SELECT count() FROM system.parts WHERE active AND database = currentDatabase()) AS parts,
  (SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table, partition_id)) AS parts_of_partition_max,
  (SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()) AS bytes,
  (SELECT sum(value) FROM system.metrics WHERE metric = 'Merge') AS merges,
  (SELECT if(count() = 0, NULL, dateDiff('millisecond', max(c.ingested_at), now64(3)) / 1000) FROM calls AS c WHERE ts > now64(6) - toIntervalDay(1)) AS stored_age_s`

export async function run(reader: Reader): Promise<StoreHealth> {
  const [row] = await reader.rows<StoreHealth>(sql)
  if (!row) throw new Error('the store gave no answer')
  return row
}
