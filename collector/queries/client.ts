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
    rows: (sql, params) => ask(client, sql, params),
    close: () => client.close(),
  }
}

/** Questions of the console: each with its own end. */
export type ConsoleReader = {
  /** A reader whose questions end with `signal` (in the store too) or after `max_s` seconds. */
  asking(signal: AbortSignal, max_s: number): Reader
  close(): Promise<void>
}

/**
 * For people who look at a page: may only read, whoever the credentials belong to. The embedded store knows its reader; a
 * ClickHouse that knows only the collector's user is held to it by `readonly`.
 */
export function openConsoleReader(options: Omit<ReaderOptions, 'timeout_ms'>): ConsoleReader {
  const client = createClient({
    url: options.url,
    username: options.user || 'default',
    password: options.password,
    database: options.database,
    request_timeout: 90_000,
    max_open_connections: 12,
    application: 'weir-console',
    log: { level: ClickHouseLogLevel.OFF },
  })
  return {
    asking: (signal, max_s) => ({
      rows: (sql, params) =>
        ask(client, sql, params, {
          abort_signal: signal,
          clickhouse_settings: {
            // Level 2 still takes the settings beside it.
            readonly: '2',
            max_execution_time: max_s,
            cancel_http_readonly_queries_on_client_close: 1,
            output_format_json_quote_64bit_integers: 0,
          },
        }),
    }),
    close: () => client.close(),
  }
}

type Client = ReturnType<typeof createClient>

async function ask<Row>(
  client: Client,
  sql: string,
  params: Params = {},
  more: Pick<Parameters<Client['query']>[0], 'abort_signal' | 'clickhouse_settings'> = {},
): Promise<Row[]> {
  try {
    const result = await client.query({
      query: sql,
      query_params: { ...params },
      format: 'JSONEachRow',
      ...more,
    })
    return await result.json<Row>()
  } catch (error) {
    throw toStoreError(error)
  }
}

/** A moment as the parameter type DateTime64 takes it: seconds since 1970 with fraction, as text. */
export const moment = (ms: number): string => (ms / 1000).toFixed(3)
