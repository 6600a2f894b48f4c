/**
 * The one way to the store: ClickHouse over HTTP, embedded or a server, through the official client.
 * Sorts every failure into what the caller can do about it. Knows nothing of batches, spans or schema.
 * Invariant: an insert always carries a token, so that sending it again is always safe.
 */
import { Readable } from 'node:stream'
import {
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from '@clickhouse/client'
import { reasonOf } from '../log.ts'
import type { StoreOptions } from '../options.ts'

/**
 * `content`: the rows themselves are refused, sending them again cannot help. `unreachable`: no answer. `busy`: the store
 * asks for patience. `refused`: rights, schema, settings: an operator has to act, the rows are fine.
 */
export type StoreErrorKind = 'content' | 'unreachable' | 'busy' | 'refused'

export class StoreError extends Error {
  readonly kind: StoreErrorKind
  /** ClickHouse error code, 0 when there was no answer. */
  readonly code: number
  constructor(kind: StoreErrorKind, code: number, cause: unknown) {
    super(reasonOf(cause), { cause })
    this.kind = kind
    this.code = code
  }
}

/** Codes ClickHouse answers when a value cannot be read as its column's type. All are raised before anything is written. */
const CONTENT = new Set([
  6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 130, 131, 321, 349, 376, 407, 441, 467, 469, 691,
])
/** Timeouts, limits, memory, too many parts or queries, read-only replicas, lost keepers. */
const BUSY = new Set([
  3, 159, 160, 164, 201, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 285, 319, 394, 473, 999,
])

export function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  if (!(error instanceof ClickHouseError)) return new StoreError('unreachable', 0, error)
  const code = Number(error.code)
  const kind = CONTENT.has(code) ? 'content' : BUSY.has(code) ? 'busy' : 'refused'
  return new StoreError(kind, code, error)
}

export type Params = Readonly<Record<string, unknown>>

export type Store = {
  readonly database: string
  /** Rows of a SELECT; values are bound as `{name:Type}`. */
  rows<Row>(sql: string, params?: Params): Promise<Row[]>
  command(sql: string): Promise<void>
  /** Inserts JSONCompactEachRow lines as one block under one token. Resolves when the store has them, or had them already. */
  insert(table: string, columns: readonly string[], lines: Buffer, token: string): Promise<void>
  /** Reads the lines as `structure` ("name type, …") without storing anything: throws what an insert would. */
  tryParse(structure: string, lines: Buffer): Promise<void>
  /** Whether the store answers within `timeout_ms`. */
  answers(timeout_ms: number): Promise<boolean>
  close(): Promise<void>
}

/**
 * A whole batch is read before anything is written, and is written as one block per partition: so a row that cannot be read
 * leaves nothing behind, and the same bytes always make the same blocks.
 */
const INSERT: ClickHouseSettings = {
  async_insert: 0,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  input_format_parallel_parsing: 0,
  max_insert_block_size: '1048576',
  min_insert_block_size_rows: '1048576',
  min_insert_block_size_bytes: '1073741824',
  max_partitions_per_insert_block: '0',
}

export function openStore(options: StoreOptions): Store {
  const client = createClient({
    url: options.url,
    username: options.user || 'default',
    password: options.password,
    request_timeout: options.timeout_ms,
    max_open_connections: 16,
    application: 'weir-collector',
    compression: { request: !options.embedded, response: false },
    log: { level: ClickHouseLogLevel.OFF },
  })
  const attempt = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw toStoreError(error)
    }
  }
  const send = (into: string, lines: Buffer, settings: ClickHouseSettings): Promise<void> =>
    attempt(async () => {
      const { stream } = await client.exec({
        query: `INSERT INTO ${into} FORMAT JSONCompactEachRow`,
        values: Readable.from([lines], { objectMode: false }),
        clickhouse_settings: settings,
      })
      for await (const _ of stream);
    })
  return {
    database: options.database,
    rows: <Row>(sql: string, params: Params = {}) =>
      attempt(async () => {
        const result = await client.query({ query: sql, query_params: { ...params }, format: 'JSONEachRow' })
        return result.json<Row>()
      }),
    command: (sql) =>
      attempt(async () => {
        await client.command({ query: sql })
      }),
    insert: (table, columns, lines, token) =>
      send(`${options.database}.${table} (${columns.join(', ')})`, lines, {
        ...INSERT,
        insert_deduplication_token: token,
      }),
    tryParse: (structure, lines) =>
      send(`FUNCTION null('${structure.replaceAll(/[\\']/g, '\\$&')}')`, lines, INSERT),
    async answers(timeout_ms) {
      try {
        const signal = AbortSignal.timeout(timeout_ms)
        const result = await client.query({
          query: 'SELECT 1 AS one',
          format: 'JSONEachRow',
          abort_signal: signal,
        })
        await result.text()
        return true
      } catch {
        return false
      }
    },
    close: () => client.close(),
  }
}

/** Rows as JSONCompactEachRow. Every value is on one line: JSON escapes line breaks. */
export const compactLines = (rows: readonly (readonly unknown[])[]): Buffer =>
  Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
