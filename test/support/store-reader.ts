/** Questions of tests to the store of an installation, as the read-only user. */
import { openReader } from '../../collector/queries/client.ts'
import type { Params } from '../../collector/sink/store.ts'
import { waitFor } from './wait.ts'

export type StoreReader = {
  rows<Row>(sql: string, params?: Params): Promise<Row[]>
  /** First column of the first row, as a number. */
  number(sql: string): Promise<number>
  /** How often each JSON-RPC id is in `calls`, for ids that start with `prefix`. */
  idCounts(prefix: string): Promise<Map<string, number>>
  /** Everything in every table, as text: for finding what must not be there. */
  dump(): Promise<string>
  close(): Promise<void>
}

export function readStore(url: string): StoreReader {
  const reader = openReader({ url, user: 'reader', password: '', database: 'weir', timeout_ms: 20_000 })
  const rows = <Row>(sql: string, params?: Params): Promise<Row[]> => reader.rows<Row>(sql, params)
  return {
    rows,
    async number(sql) {
      const [row] = await rows<Record<string, number>>(sql)
      return Number(Object.values(row ?? { none: Number.NaN })[0])
    },
    async idCounts(prefix) {
      const found = await rows<{ request_id: string; n: number }>(
        `SELECT request_id, count() AS n FROM calls WHERE startsWith(request_id, '${prefix}') GROUP BY request_id`,
      )
      return new Map(found.map((r) => [r.request_id, Number(r.n)]))
    },
    async dump() {
      const tables = await rows<{ name: string }>(
        "SELECT name FROM system.tables WHERE database = 'weir' AND engine NOT IN ('MaterializedView') ORDER BY name",
      )
      const parts: string[] = []
      for (const { name } of tables) {
        const found = await rows<object>(`SELECT * FROM ${name}`).catch((error: Error) => [
          { unreadable: error.message },
        ])
        parts.push(`== ${name}`, ...found.map((row) => JSON.stringify(row)))
      }
      return parts.join('\n')
    },
    close: () => reader.close(),
  }
}

/** Waits until every one of `ids` is a row. Returns the counts of all ids with the prefix. */
export function waitForRows(
  store: StoreReader,
  prefix: string,
  ids: Iterable<string>,
  deadline_ms = 60_000,
): Promise<Map<string, number>> {
  const wanted = [...ids]
  let missing: string[] = wanted
  return waitFor(
    `${wanted.length} answered calls of ${prefix} are rows`,
    async () => {
      const counts = await store.idCounts(prefix)
      missing = wanted.filter((id) => !counts.has(id))
      return missing.length === 0 ? counts : null
    },
    deadline_ms,
  ).catch((error: Error) => {
    throw new Error(
      `${error.message}; ${missing.length} missing, for example ${missing.slice(0, 5).join(', ')}`,
      { cause: error.cause },
    )
  })
}
