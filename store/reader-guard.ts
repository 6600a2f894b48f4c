/**
 * What a reader's statement may be and name. The engine runs as clickhouse-local, where `readonly` and roles still leave
 * the scalar `file`, INTO OUTFILE, SET ROLE and KILL open, so each statement is judged before it runs:
 * one statement that only reads (the engine's classifier), and no forbidden name in the engine's own canonical rendering.
 * Pure but for the two questions asked of the engine through `Judge`.
 */
import { StoreError } from './errors.ts'
import { type Token, tokensOf } from './sql.ts'

/** The engine's parser, as the guard needs it. */
export type Judge = {
  classify(sql: string): Promise<{ statementCount: number; queryClass: number }>
  /** The statement on one line, comments gone and every name in its plain form. Throws code 62 when it cannot be parsed. */
  canonical(sql: string): Promise<string>
}

/** Functions refused in any position, called or passed on: they read files, keys, other callers' headers, or call out. */
const bannedNames = new Set(
  [
    'file',
    'catboostEvaluate',
    'getServerSetting',
    'getClientHTTPHeader',
    'getMacro',
    'showCertificate',
    'logTrace',
  ]
    .concat([
      'aiClassify',
      'aiEmbed',
      'aiExtract',
      'aiGenerate',
      'aiTranslate',
      'flushLogs',
      'zookeeperSessionUptime',
    ])
    .concat([
      'AIClassify',
      'AIEmbed',
      'AIExtract',
      'AIGenerate',
      'AITranslate',
      'getServerPort',
      'serverUUID',
    ]),
)

/** Table functions that make rows out of nothing or of what the statement itself says. All others are refused. */
const harmlessTableFunctions = new Set(
  [
    'numbers',
    'numbers_mt',
    'zeros',
    'zeros_mt',
    'primes',
    'generateseries',
    'generate_series',
    'generaterandom',
    'fuzzjson',
  ].concat(['values', 'sqlstandardvalues', 'null', 'view',  'format']),
)

/** Those of engine 26.7; `extendTableFunctions` adds what the running engine knows beyond them. */
const refusedTableFunctions = new Set(
  [
    'arrowstream',
    'azureblobstorage',
    'cluster',
    'clusterallreplicas',
    'cosn',
    'deltalake',
    'deltalakelocal',
    'dictionary',
    'eval',
    'executable',
    'file',
  ]
    .concat([
      'filecluster',
      'filesystem',
      'fuzzquery',
      'gcs',
      'hdfs',
      'hudi',
      'iceberg',
      'iceberglocal',
      'input',
      'jdbc',
      'loop',
      'merge',
      'mergetreeindex',
    ])
    .concat([
      'mongodb',
      'mysql',
      'odbc',
      'oss',
      'paimon',
      'postgresql',
      'prometheusquery',
      'redis',
      'remote',
      'remotesecure',
      's3',
      'sqlite',
      'url',
      'urlcluster',
    ]),
)

/** Called once with the names in `system.table_functions`, so that a newer engine opens no new door. */
export function extendTableFunctions(names: Iterable<string>): void {
  for (const name of names)
    if (!harmlessTableFunctions.has(name.toLowerCase())) refusedTableFunctions.add(name.toLowerCase())
}

/** What clients and dashboards ask for. Not `processes` (others' statements), `stack_trace`, `disks`, `server_settings` and the like. */
const systemTables = new Set(
  [
    'one',
    'numbers',
    'numbers_mt',
    'zeros',
    'zeros_mt',
    'databases',
    'tables',
    'columns',
    'functions',
    'settings',
    'formats',
    'time_zones',
  ]
    .concat([
      'data_type_families',
      'aggregate_function_combinators',
      'table_functions',
      'table_engines',
      'database_engines',
      'keywords',
      'collations',
    ])
    .concat([
      'parts',
      'parts_columns',
      'projections',
      'data_skipping_indices',
      'constraints',
      'completions',
      'merge_tree_settings',
      'codecs',
    ])
    .concat([
      'events',
      'metrics',
      'asynchronous_metrics',
      'errors',
      'dimensional_metrics',
      'current_roles',
      'enabled_roles',
    ]),
)

/** Views of the standard over the tables above. */
const schemaTables = new Set([
  'tables',
  'columns',
  'schemata',
  'views',
  'key_column_usage',
  'referential_constraints',
  'statistics',
  'engines',
  'character_sets',
  'collations',
])

const verbs = new Set(['SELECT', 'WITH', '(', 'SHOW', 'DESCRIBE', 'DESC', 'EXISTS', 'EXPLAIN'])

const shows = new Set(
  [
    'DATABASES',
    'TABLES',
    'TABLE',
    'COLUMNS',
    'FULL',
    'EXTENDED',
    'CREATE',
    'INDEX',
    'INDEXES',
    'INDICES',
    'KEYS',
    'FUNCTIONS',
  ].concat(['SETTINGS', 'SETTING', 'ENGINES', 'CHANGED', 'DICTIONARIES', 'VIEW', 'DATABASE']),
)

const denied = (text: string): StoreError => new StoreError(497, 'ACCESS_DENIED', text)

const isName = (token: Token | undefined): token is Token =>
  token?.kind === 'name' || token?.kind === 'quoted'
const isSign = (token: Token | undefined, sign: string): boolean =>
  token?.kind === 'sign' && token.value === sign

/** Throws code 497 when the canonical text names what readers may not touch. String literals are not looked into. */
export function checkNames(canonical: string): void {
  const tokens = tokensOf(canonical, true)
  tokens.forEach((token, at) => {
    if (
      isSign(token, '{') &&
      isName(tokens[at + 1]) &&
      isSign(tokens[at + 2], ':') &&
      tokens[at + 3]?.value === 'Identifier'
    )
      throw denied(
        `readers cannot use the parameter {${tokens[at + 1]!.value}:Identifier}; write the name into the statement`,
      )
    if (!isName(token)) return
    // The engine checks `readonly` against the outermost clause only; a filter deeper down is an expression nobody judged.
    if (token.kind === 'name' && token.value === 'SETTINGS' && isName(tokens[at + 1]) && isSign(tokens[at + 2], '='))
      throw denied('readers may bring settings in the URL or in the closing SETTINGS clause, not inside a statement')
    const name = token.value
    if (bannedNames.has(name))
      throw denied(
        `readers cannot use the name "${name}", which the engine knows as a function that reaches outside the database; a column of that name needs an alias in a view`,
      )
    if (isSign(tokens[at + 1], '(') && refusedTableFunctions.has(name.toLowerCase()))
      throw denied(`readers cannot use the table function ${name}(); it reaches outside the database`)
    if (!isSign(tokens[at + 1], '.') || !isName(tokens[at + 2]) || isSign(tokens[at - 1], '.')) return
    const table = tokens[at + 2]!.value
    if (name === 'system' && !systemTables.has(table))
      throw denied(`readers cannot read system.${table}; open to them are ${[...systemTables].join(', ')}`)
    if (name.toLowerCase() === 'information_schema' && !schemaTables.has(table.toLowerCase()))
      throw denied(`readers cannot read ${name}.${table}`)
    if (name === 'default')
      throw denied('readers cannot use the database "default", which shows the file system')
  })
}

/** Throws unless the canonical text begins like a statement readers may run. */
function checkVerb(canonical: string): void {
  const [first, second] = tokensOf(canonical, true)
  const verb = first?.value.toUpperCase() ?? ''
  if (!verbs.has(verb))
    throw new StoreError(
      164,
      'READONLY',
      `readers cannot run ${verb} statements; they may SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN`,
    )
  if (verb === 'SHOW' && !shows.has(second?.value.toUpperCase() ?? ''))
    throw denied(`readers cannot run SHOW ${second?.value ?? ''}`)
}

/** Throws unless `sql` is exactly one statement, for writers and readers alike. Answers its class. */
export async function checkSingle(sql: string, judge: Judge): Promise<number> {
  const { statementCount, queryClass } = await judge.classify(sql)
  if (statementCount > 1)
    throw new StoreError(
      62,
      'SYNTAX_ERROR',
      `Multi-statements are not allowed: found ${statementCount} in one request; send one statement a request`,
    )
  if (statementCount !== 1 || queryClass === 4) {
    await judge.canonical(sql)
    throw new StoreError(
      62,
      'SYNTAX_ERROR',
      'Syntax error: the request holds no statement the engine can parse',
    )
  }
  return queryClass
}

/** Throws unless a reader may run `sql` as it stands. `expressions` are filters that came as settings. */
export async function guardReader(sql: string, expressions: string[], judge: Judge): Promise<void> {
  const queryClass = await checkSingle(sql, judge)
  if (queryClass === 3)
    throw new StoreError(
      164,
      'READONLY',
      'readers cannot run statements that control the engine or write files (SET, USE, KILL, SYSTEM, INTO OUTFILE ...); settings go into the URL or a closing SETTINGS clause',
    )
  if (queryClass !== 0)
    throw new StoreError(
      164,
      'READONLY',
      "Cannot execute query in readonly mode: these credentials may only read; use the writer's to change data",
    )
  const canonical = await judge.canonical(sql)
  checkVerb(canonical)
  checkNames(canonical)
  // An empty filter and a table's name are strings of such a setting too, and both read as an expression or not at all.
  for (const expression of expressions)
    if (expression.trim()) checkNames(await judge.canonical(`SELECT ${expression}`))
}
