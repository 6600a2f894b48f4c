/**
 * How the commands read the store: ClickHouse over HTTP through the official client, read-only, values bound as
 * parameters. What goes wrong becomes a sentence with a fix.
 */
import type { Readable } from 'node:stream'
import { text as readAll } from 'node:stream/consumers'
import {
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from '@clickhouse/client'
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

/** Too many questions, no memory, a timeout: asking again later may well work. */
const BUSY_CODES = new Set([159, 202, 209, 210, 241, 252])

/** Whether whoever keeps asking should go on after this. */
export const isPassing = (error: unknown): error is CliError =>
  error instanceof StoreUnreachable || (error instanceof StoreAnswered && BUSY_CODES.has(error.code))

export type RawAnswer = { stream: Readable; headers: Readonly<Record<string, string | string[] | undefined>> }

export type StoreClient = Reader & {
  readonly url: string
  /** The answer to a statement as the bytes it comes in. `format` counts when the statement names none. */
  raw(sql: string, format: string, params: Params, settings?: ClickHouseSettings): Promise<RawAnswer>
  close(): Promise<void>
}

const AUTH_CODES = new Set([192, 193, 194, 516])
const MISSING_CODES = new Set([60, 81])

/** The parser's list of what could have stood there is longer than any screen. */
const shorten = (sentence: string): string =>
  sentence.replace(
    /(Expected one of: )(.{120}).*$/s,
    (_all, lead: string, some: string) => `${lead}${some.slice(0, some.lastIndexOf(','))}, …`,
  )

/** Whatever the client threw, as something the user can put right. */
export function explain(error: unknown, installation: Installation): CliError {
  if (error instanceof CliError) return error
  if (error instanceof ClickHouseError)
    return answered(Number(error.code), error.type ?? '', error.message, installation)
  const { store, note, config, file } = installation
  const { code, message } = error as NodeJS.ErrnoException
  const reason = clean(code ?? (message || String(error))).slice(0, 200)
  if (code === undefined && /^\s*[{<]/.test(reason))
    return new StoreAnswered(
      0,
      '',
      `${store.url} answers, but not as a ClickHouse: ${reason}`,
      'check the address',
    )
  const isOurs = config !== null && config.store.url === undefined
  const fix = !isOurs
    ? 'check the address, and that the ClickHouse runs'
    : note === null
      ? `Weir is not running on ${config.data}: start it with \`weir up --config ${file}\`, or name another store with --url`
      : '`weir doctor` looks for the cause'
  return new StoreUnreachable(`the store at ${store.url} does not answer (${reason})`, fix)
}

function answered(code: number, label: string, message: string, { store, unset }: Installation): CliError {
  const sentence = shorten(clean(message).trim())
  const answer = `${sentence}${sentence.endsWith('.') ? '' : '.'} (code ${code}${label ? `, ${label}` : ''})`
  if (AUTH_CODES.has(code)) {
    const why =
      unset.length > 0
        ? `set ${unset.join(', ')} as Weir has it, or give --user and --password`
        : 'give --user and --password, or set them under `store` in weir.yaml'
    return new StoreAnswered(
      code,
      label,
      `the store at ${store.url} does not know these credentials: ${answer}`,
      why,
    )
  }
  const fix = MISSING_CODES.has(code)
    ? '`weir query "SHOW TABLES"` lists what there is; right after the first start the collector is still making the tables'
    : ''
  return new StoreAnswered(code, label, `the store answered: ${answer}`, fix)
}

/** Reads an error as the server wrote it: the client takes "(SELEC)" in a sentence for the name of the error. */
function answeredText(text: string, status: number, installation: Installation): CliError {
  const [, code, message, label] =
    /^Code: (\d+)\. DB::Exception: ([\s\S]*?)\.?\s*\(([A-Z][A-Z0-9_]+)\)\s*(?:\(version [\s\S]*)?$/.exec(
      text.trim(),
    ) ?? []
  if (code !== undefined) return answered(Number(code), label!, message!, installation)
  return new StoreAnswered(
    0,
    '',
    `${installation.store.url} answered HTTP ${status}: ${clean(text).slice(0, 200)}`,
    'is this a ClickHouse?',
  )
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
        const { stream, response_headers, http_status_code } = await client.exec({
          ignore_error_response: true,
          query: sql,
          query_params: { ...params },
          clickhouse_settings: { ...settings, default_format: format } as ClickHouseSettings,
        })
        const status = http_status_code ?? 200
        if (status >= 400) throw answeredText(await readAll(stream as Readable), status, installation)
        return { stream: stream as Readable, headers: response_headers }
      } catch (error) {
        throw explain(error, installation)
      }
    },
    close: () => client.close(),
  }
}
