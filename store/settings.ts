/**
 * Which settings a reader may bring, and the statements that put a session into its state.
 * Rule: what changes the shape of an answer is applied, limits can only be tightened, what clients send out of habit and a
 * reader cannot use is ignored, and the rest is refused by name. Settings that name a file or an address are never applied.
 */
import { availableParallelism } from 'node:os'
import { StoreError } from './errors.ts'
import type { StoreLimits } from './options.ts'
import { type Assignment, isPlainName, literal, type Token, tokensOf } from './sql.ts'

/** Applied as they come. Deliberately without `output_format_schema` and `format_*_path`, which name files. */
const applied = [
  /^output_format_(json|csv|tsv|pretty|parquet|arrow|native|values|markdown|sql_insert|binary|decimal|float|bool|write_statistics|orc|avro|msgpack|protobuf_nullables|always|compression)/,
  /^format_(csv_delimiter|csv_null_representation|tsv_null_representation|custom_\w+|display_secrets_in_show_and_select)$/,
  /^(date_time_output_format|date_time_input_format|session_timezone|extremes|totals_mode|limit|offset|final)$/,
  /^(join_use_nulls|group_by_use_nulls|aggregate_functions_null_for_empty|transform_null_in|prefer_column_name_to_alias|max_block_size)$/,
  /^(joined_subquery_requires_alias|union_default_mode|enable_named_columns_in_function_tuple|result_overflow_mode)$/,
  /^(additional_table_filters|additional_result_filter|cast_keep_nullable|enable_analyzer|optimize_\w+|use_skip_indexes\w*)$/,
]

/** Useless or fixed for a reader, and sent by drivers and dashboards unasked. */
const ignored = [
  /^(async_insert|wait_for_async_insert|async_insert_\w+|insert_\w+|input_format_\w+|allow_\w+|enable_\w+|use_\w+|send_\w+)$/,
  /^(log_comment|log_queries\w*|readonly|priority|http_\w+|opentelemetry_\w+|cast_string_to_dynamic_use_inference|type_json_\w+)$/,
  /^(connect_timeout\w*|receive_timeout|send_timeout|distributed_\w+|load_balancing|mutations_sync|alter_sync|cancel_http_\w+)$/,
  /^(output_format_protobuf_\w+|low_cardinality_\w+|interactive_delay|stream_like_engine_\w+|workload|query_cache_\w+)$/,
]

/** Settings whose strings are expressions: the guard must see them. */
const holdsExpressions = new Set(['additional_table_filters', 'additional_result_filter'])

const forbidden = new Set(['output_format_schema'])

/** Limits a reader may tighten; 0 means none to the engine and so never gets through. */
function limitTable(limits: StoreLimits): Map<string, number> {
  return new Map([
    ['max_execution_time', limits.readers_max_seconds],
    ['max_memory_usage', limits.readers_max_memory_bytes],
    ['max_result_rows', limits.readers_max_result_rows],
    ['max_result_bytes', limits.readers_max_result_bytes],
    ['max_query_size', readerStatementMax_bytes * 4],
    // Spilling keeps a large GROUP BY or ORDER BY inside the memory limit; the disk it takes is bounded too.
    ['max_bytes_before_external_group_by', Math.floor(limits.readers_max_memory_bytes / 4)],
    ['max_bytes_before_external_sort', Math.floor(limits.readers_max_memory_bytes / 4)],
    ['max_temporary_data_on_disk_size_for_query', limits.readers_max_memory_bytes * 16],
    ['max_threads', availableParallelism()],
    ['max_rows_to_read', 0],
    ['max_bytes_to_read', 0],
  ])
}

/** Longest statement of a reader. Also the engine's own default for any statement. */
export const readerStatementMax_bytes = 256 * 1024

/** One setting as it came; `plain` is its bare value. */
type Chosen = { plain: string; tokens: Token[] }

const written = ({ raw, tokens }: Assignment): Chosen => ({
  plain: tokens.length === 1 && tokens[0]!.kind === 'text' ? tokens[0]!.value : raw,
  tokens,
})

const fromUrl = (name: string, value: string): Chosen => ({
  plain: value,
  // A map comes as its literal; standing in a SET as such, the engine and the guard read the same thing.
  tokens: tokensOf(name === 'additional_table_filters' ? value : literal(value)),
})

/**
 * The value as it may stand in a SET, written anew from its tokens: nothing of the client's own text gets there, so it
 * does not matter whether the engine would have read comments and quotes as we did. Throws for anything but literals.
 */
function rendered(name: string, tokens: Token[]): string {
  const isWord = (token: Token) => tokens.length === 1 && /^(true|false|default)$/i.test(token.value)
  const words = tokens.map((token) => {
    if (token.kind === 'text') return literal(token.value)
    if (token.kind === 'number' && /^[\w.]+$/.test(token.value)) return token.value
    if (token.kind === 'sign' && '-+.,:{}[]()'.includes(token.value)) return token.value
    if (token.kind === 'name' && isWord(token)) return token.value
    throw new StoreError(36, 'BAD_ARGUMENTS', `Setting ${name} needs a literal value`)
  })
  return words.join(' ')
}

/** The strings of a filter setting but for the keys, which are names of tables and never evaluated. */
const expressionsIn = (tokens: Token[]): string[] =>
  tokens
    .filter((token, at) => token.kind === 'text' && tokens[at + 1]?.value !== ':')
    .map((token) => token.value)

/** What a reader asked for, sorted: assignments to make, and expressions the guard must judge. */
export type ReaderSettings = { assignments: string[]; expressions: string[] }

function tightened(name: string, asked: string, own: number): string {
  const value = Number(asked)
  if (!Number.isFinite(value) || value < 0)
    throw new StoreError(72, 'CANNOT_PARSE_NUMBER', `Setting ${name} must be a number, not '${asked}'`)
  return `${name} = ${value === 0 ? own : own === 0 ? value : Math.min(value, own)}`
}

/**
 * Sorts what came by URL (`given`) and in the statement's closing SETTINGS clause (`clause`, which wins).
 * Throws code 452 with the setting's name for what a reader may not change.
 */
export function readerSettings(
  given: Iterable<[string, string]>,
  clause: Assignment[],
  limits: StoreLimits,
): ReaderSettings {
  const own = limitTable(limits)
  const chosen = new Map<string, Chosen>()
  for (const [name, value] of given) chosen.set(name, fromUrl(name, value))
  for (const assignment of clause) chosen.set(assignment.name, written(assignment))
  const assignments: string[] = []
  const expressions: string[] = []
  for (const [name, { plain, tokens }] of chosen) {
    if (!isPlainName(name)) throw new StoreError(115, 'UNKNOWN_SETTING', `Unknown setting '${name}'`)
    const limit = own.get(name)
    if (limit !== undefined) {
      own.delete(name)
      assignments.push(tightened(name, plain, limit))
    } else if (!forbidden.has(name) && applied.some((rule) => rule.test(name))) {
      assignments.push(`${name} = ${rendered(name, tokens)}`)
      if (holdsExpressions.has(name)) expressions.push(...expressionsIn(tokens))
    } else if (forbidden.has(name) || !ignored.some((rule) => rule.test(name)))
      throw new StoreError(
        452,
        'SETTING_CONSTRAINT_VIOLATION',
        `Setting ${name} should not be changed by a reader; leave it out or use the writer's credentials`,
      )
  }
  for (const [name, limit] of own) if (limit > 0) assignments.unshift(`${name} = ${limit}`)
  return { assignments, expressions }
}

/** `SET param_x = ...` for every parameter; values stay in the escaped form that HTTP clients send. */
export function parameterAssignments(parameters: Iterable<[string, string]>): string[] {
  return Array.from(parameters, ([name, value]) => {
    if (!isPlainName(name))
      throw new StoreError(36, 'BAD_ARGUMENTS', `Parameter name '${name}' is not a plain name`)
    return `param_${name} = ${literal(value)}`
  })
}

const set = (assignments: string[]): string =>
  assignments.length > 0 ? `; SET ${assignments.join(', ')}` : ''

/** The statements that make a session a reader's, all but the last: `readonly`, after which nothing can be changed or undone. */
export function readerPrologue(
  database: string,
  id: string,
  assignments: string[],
  parameters: string[],
): string {
  const fixed = [
    'allow_introspection_functions = 0',
    'implicit_select = 0',
    'allow_ddl = 0',
    "timeout_overflow_mode = 'throw'",
    `log_comment = ${literal(id)}`,
  ]
  return `SET ROLE reader; USE ${database}; SET ${[...assignments, ...fixed].join(', ')}${set(parameters)}`
}

/** The statements that make a session a writer's, with whatever settings it brought. */
export function writerPrologue(
  database: string,
  id: string,
  settings: Iterable<[string, string]>,
  parameters: string[],
): string {
  const assignments = Array.from(settings, ([name, value]) => {
    if (!isPlainName(name)) throw new StoreError(115, 'UNKNOWN_SETTING', `Unknown setting '${name}'`)
    return `${name} = ${literal(value)}`
  })
  // As on a server: a bare expression is a syntax error.
  assignments.push('implicit_select = 0', `log_comment = ${literal(id)}`)
  return `SET ROLE writer; USE ${database}${set(assignments)}${set(parameters)}`
}
