/**
 * How questions reach the store: through its reader, with bound parameters. A question is a file of this folder that
 * exports its SQL, the type of its rows and `run(reader, parameters)`. SQL is never put together from values.
 */
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { type Params, toStoreError } from '../sink/store.ts'

export type Reader = {
  /** Throws StoreError. */
  rows<Row>(sql: string, params?: Params): Promise<Row[]>
}

export type ReaderOptions = {
  url: string
  user: string
  password: string
  database: string
  timeout_ms: number
}

/** A reader of its own connections; `close` when done. */
export function openReader(options: ReaderOptions): Reader & { close(): Promise<void> } {
  const client = createClient({
    url: options.url,
    username: options.user || 'default',
    password: options.password,
    database: options.database,
    request_timeout: options.timeout_ms,
    application: 'weir',
    // Older servers write 64-bit numbers as text unless told otherwise.
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
    log: { level: ClickHouseLogLevel.OFF },
  })
  return {
    async rows<Row>(sql: string, params: Params = {}) {
      try {
        const result = await client.query({ query: sql, query_params: { ...params }, format: 'JSONEachRow' })
        return await result.json<Row>()
      } catch (error) {
        throw toStoreError(error)
      }
    },
    close: () => client.close(),
  }
}

/** A moment as the parameter type DateTime64 takes it: seconds since 1970 with fraction, as text. */
export const moment = (ms: number): string => (ms / 1000).toFixed(3)
