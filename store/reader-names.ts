/**
 * The names the guard of readers goes by: what they may read, and what they may not call.
 * Data only. Lists of what is open are short and closed; lists of what is refused are completed from the running engine.
 */

const words = (text: string): Set<string> => new Set(text.trim().split(/\s+/))

/** Functions refused in any position, called or passed on: they read files, keys or other callers' headers, or call out. */
export const bannedNames = words(`
  file catboostEvaluate getServerSetting getServerPort getClientHTTPHeader getMacro showCertificate serverUUID
  logTrace flushLogs zookeeperSessionUptime aiClassify aiEmbed aiExtract aiGenerate aiTranslate
  AIClassify AIEmbed AIExtract AIGenerate AITranslate`)

/** Table functions that make rows out of nothing or of what the statement itself says. In lower case. */
const harmlessTableFunctions = words(`
  numbers numbers_mt zeros zeros_mt primes generateseries generate_series generaterandom fuzzjson
  values sqlstandardvalues null view format`)

/** Those of engine 26.7 that matter most; `extendTableFunctions` adds all others the running engine knows. */
const refusedTableFunctions = words(`
  arrowstream azureblobstorage cluster clusterallreplicas cosn deltalake deltalakelocal dictionary eval executable
  file filecluster filesystem fuzzquery gcs hdfs hudi iceberg iceberglocal input jdbc loop merge mergetreeindex
  mongodb mysql odbc oss paimon postgresql prometheusquery redis remote remotesecure s3 sqlite url urlcluster
  viewexplain viewifpermitted`)

/** Called once with the names in `system.table_functions`, so that a newer engine opens no new door. */
export function extendTableFunctions(names: Iterable<string>): void {
  for (const name of names)
    if (!harmlessTableFunctions.has(name.toLowerCase())) refusedTableFunctions.add(name.toLowerCase())
}

/** Whether `name(` may be a call that leaves the database. Letters of either case count as the same, to be safe. */
export function isRefusedTableFunction(name: string): boolean {
  return refusedTableFunctions.has(name.toLowerCase())
}

/**
 * Tables of `system` that clients, dashboards and a look at the store's own health ask for.
 * Not those that show other callers' statements or values (processes, errors), or the machine (stack_trace, disks).
 */
export const systemTables = words(`
  one numbers numbers_mt zeros zeros_mt databases tables columns functions settings formats time_zones
  data_type_families aggregate_function_combinators table_functions table_engines database_engines keywords collations
  parts parts_columns projections data_skipping_indices merge_tree_settings events metrics
  current_roles enabled_roles`)

/** Views of the SQL standard over the tables above. In lower case. */
export const schemaTables = words(`
  tables columns schemata views key_column_usage referential_constraints statistics engines character_sets collations`)

/** How a reader's statement may begin, in its canonical form. */
export const verbs = words('SELECT WITH ( SHOW DESCRIBE DESC EXISTS EXPLAIN')

/** What may follow SHOW. */
export const shows = words(`
  DATABASES DATABASE TABLES TABLE COLUMNS FULL EXTENDED CREATE INDEX INDEXES INDICES KEYS FUNCTIONS SETTINGS SETTING
  ENGINES CHANGED DICTIONARIES VIEW`)
