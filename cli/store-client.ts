/**
 * How the commands read the store: ClickHouse over HTTP through the official client, read-only, values bound as
 * parameters. What goes wrong becomes a sentence with a fix.
 */
import type { Readable } from 'node:stream'
import { ClickHouseError, ClickHouseLogLevel, type ClickHouseSettings, createClient } from '@clickhouse/client'
import type { Reader } from '../collector/queries/client.ts'
import type { Params } from '../collector/sink/store.ts'
import type { Installation } from './installation.ts'
import { clean } from './terminal.ts'
import { CliError } from './verb.ts'

/** The store did not answer at all, as opposed to answering with an error. */
export class StoreUnreachable extends CliError {}

/** An error the store answered with. `code` and `label` are ClickHouse's. */
export class StoreAnswered extends CliError {
  readonly code: number
  readonly label: string
  constructor(code: number, label: string, message: string, fix = '') {
    super(message, fix)
    this.code = code
    this.label = label
  }
}

export type RawAnswer = { stream: Readable; headers: Readonly<Record<string, string | string[] | undefined>> }

export type StoreClient = Reader & {
  readonly url: string
  /** The answer to a statement as the bytes it comes in. `format` counts when the statement names none. */
  raw(sql: string, format: string, params: Params, settings?: ClickHouseSettings): Promise<RawAnswer>
  close(): Promise<void>
}

const AUTH_CODES = new Set([192, 193, 194, 516])
const MISSING_CODES = new Set([60, 81])

/** Whatever the client threw, as something the user can put right. */
export function explain(error: unknown, { store, note, config, unset, file }: Installation): CliError {
  if (error instanceof CliError) return error
  if (error instanceof ClickHouseError) {
    const code = Number(error.code)
    const sentence = clean(error.message).trim()
    const answer = `${sentence}${sentence.endsWith('.') ? '' : '.'} (code ${code}${error.type ? `, ${error.type}` : ''})`
    if (AUTH_CODES.has(code)) {
      const why = unset.length > 0 ? `set ${unset.join(', ')} as Weir has it, or give --user and --password` : 'give --user and --password, or set them under `store` in weir.yaml'
      return new StoreAnswered(code, error.type ?? '', `the store at ${store.url} does not know these credentials: ${answer}`, why)
    }
    const fix = MISSING_CODES.has(code) ? '`weir query "SHOW TABLES"` lists what there is; right after the first start the collector is still making the tables' : ''
    return new StoreAnswered(code, error.type ?? '', `the store answered: ${answer}`, fix)
  }
  const { code, message } = error as NodeJS.ErrnoException
  const reason = clean(code ?? (message || String(error)))
  const isOurs = config !== null && config.store.url === undefined
  const fix = !isOurs
    ? 'check the address, and that the ClickHouse runs'
    : note === null
      ? `Weir is not running on ${config.data}: start it with \`weir up --config ${file}\`, or name another store with --url`
      : '`weir doctor` looks for the cause'
  return new StoreUnreachable(`the store at ${store.url} does not answer (${reason})`, fix)
}

/** A client for one command; close it at the end. `timeout_ms` is for a single question. */
export function openStore(installation: Installation, timeout_ms = 20_000): StoreClient {
  const { url, user, password, database } = installation.store
  const client = createClient({
    url,
    username: user || 'default',
    password,
    database,
    request_timeout: timeout_ms,
    application: 'weir-cli',
    // The embedded store lets readers only read; an external one is held to it by this. Level 2 still takes settings.
    clickhouse_settings: { readonly: '2', output_format_json_quote_64bit_integers: 0 },
    log: { level: ClickHouseLogLevel.OFF },
  })
  return {
    url,
    async rows<Row>(sql: string, params: Params = {}) {
      try {
        const result = await client.query({ query: sql, query_params: { ...params }, format: 'JSONEachRow' })
        return await result.json<Row>()
      } catch (error) {
        throw explain(error, installation)
      }
    },
    async raw(sql, format, params, settings = {}) {
      try {
        const { stream, response_headers } = await client.exec({
          query: sql,
          query_params: { ...params },
          clickhouse_settings: { ...settings, default_format: format } as ClickHouseSettings,
        })
        return { stream: stream as Readable, headers: response_headers }
      } catch (error) {
        throw explain(error, installation)
      }
    },
    close: () => client.close(),
  }
}
