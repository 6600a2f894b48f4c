/**
 * What readers can and cannot do, on a real store: every way out of the database we know of, tried over HTTP.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkNames } from '../../store/reader-guard.ts'
import { ask, reader, type StoreChild, startStore, writer } from './support/child.ts'

const outside = mkdtempSync(join(tmpdir(), 'weir-outside-'))
const secret = join(outside, 'secret.txt')
const target = join(outside, 'written')
const canary = 'canary-4711'
let store: StoreChild

beforeAll(async () => {
  writeFileSync(secret, canary)
  store = await startStore()
  await ask(
    store,
    writer,
    'CREATE TABLE calls (id UInt64, team String, path String) ENGINE = MergeTree ORDER BY id',
  )
  await ask(store, writer, 'INSERT INTO calls FORMAT CSV\n1,red,/a\n2,blue,/b\n')
  await ask(store, writer, `CREATE VIEW named AS SELECT id FROM calls`)
}, 60_000)

afterAll(async () => {
  await store?.remove()
  rmSync(outside, { recursive: true, force: true })
})

/** Attempts with the codes that may refuse them: the guard's own, or the engine's where it is reached first. */
const attempts: [string, string, number[]][] = [
  ['scalar file', `SELECT file('${secret}')`, [497]],
  ['environment of the process', `SELECT file('/proc/self/environ')`, [497]],
  ['file in backticks', `SELECT \`file\`('${secret}')`, [497]],
  ['file in double quotes', `SELECT "file"('${secret}')`, [497]],
  ['file by hex escape', `SELECT \`\\x66ile\`('${secret}')`, [497]],
  ['file over two lines', `SELECT file -- x\n /* y */ ('${secret}')`, [497]],
  ['file behind a comment that looks like a string', `SELECT /* ' */ file('${secret}') /* ' */`, [497]],
  ['file behind a heredoc', `SELECT $x$'$x$, file('${secret}'), $y$'$y$`, [497]],
  ['file behind a doubled minus', `SELECT 1 - -1, - - file('${secret}')`, [497, 43]],
  ['file by APPLY', `SELECT * APPLY(file) FROM (SELECT '${secret}' AS x)`, [497]],
  ['file by APPLY without brackets', `SELECT * APPLY file FROM (SELECT '${secret}' AS x)`, [497]],
  ['file by COLUMNS APPLY', `SELECT COLUMNS('x') APPLY(file) FROM (SELECT '${secret}' AS x)`, [497]],
  ['file as a function value', `SELECT arrayMap(file, ['${secret}'])`, [497]],
  ['file in a lambda', `SELECT arrayMap(x -> file(x), ['${secret}'])`, [497]],
  ['file with a default', `SELECT file('${secret}', '')`, [497]],
  ['file in a view function', `SELECT * FROM view(SELECT file('${secret}'))`, [497]],
  ['file in a CTE', `WITH (SELECT file('${secret}')) AS s SELECT s`, [497]],
  ['file as the name of a CTE', `WITH file AS (SELECT 1) SELECT * FROM file`, [497]],
  ['file in a subquery of IN', `SELECT 1 WHERE '${canary}' IN (SELECT file('${secret}'))`, [497]],
  ['file in EXPLAIN', `EXPLAIN SELECT file('${secret}')`, [497]],
  ['file in nested EXPLAIN', `SELECT * FROM (EXPLAIN SELECT file('${secret}'))`, [497]],
  ['file in EXPLAIN SYNTAX', `EXPLAIN SYNTAX run_query_tree_passes = 1 SELECT file('${secret}')`, [497]],
  ['file in REPLACE', `SELECT * REPLACE (file(path) AS path) FROM calls`, [497]],
  ['file in LIMIT', `SELECT 1 LIMIT length(file('${secret}'))`, [497]],
  ['file in ORDER BY, WITH FILL', `SELECT 1 AS a ORDER BY a WITH FILL TO length(file('${secret}'))`, [497]],
  ['file in a window', `SELECT sum(1) OVER (PARTITION BY file('${secret}'))`, [497]],
  ['file in a values list', `SELECT * FROM values('a String', file('${secret}'))`, [497]],
  ['file in a union', `SELECT 1 UNION ALL SELECT length(file('${secret}'))`, [497]],
  ['file in ILIKE of SHOW', `SHOW TABLES WHERE name = file('${secret}')`, [497]],
  ['file through implicit select', `file('${secret}')`, [62, 497]],
  [
    'file in a nested SETTINGS filter',
    `SELECT * FROM (SELECT * FROM calls SETTINGS additional_table_filters = {'calls': 'length(file(\\'${secret}\\')) > 0'})`,
    [497],
  ],
  [
    'file in a closing SETTINGS filter',
    `SELECT count() FROM calls SETTINGS additional_table_filters = {'weir.calls': 'length(file(\\'${secret}\\')) > 0'}`,
    [497],
  ],
  [
    'file in a closing result filter',
    `SELECT id FROM calls SETTINGS additional_result_filter = 'length(file(\\'${secret}\\')) > 0'`,
    [497],
  ],
  ['a function call as a setting', `SELECT 1 SETTINGS limit = length(file('${secret}'))`, [36, 62, 497]],
  [
    'an expression hidden in a map call',
    `SELECT id FROM calls SETTINGS additional_table_filters = map('weir.calls', concat('fi', 'le(1)'))`,
    [36],
  ],
  ['table function file', `SELECT * FROM file('${secret}', 'LineAsString')`, [497]],
  ['DESCRIBE file', `DESCRIBE TABLE file('${secret}')`, [497]],
  ['a path as a table', `SELECT * FROM default.\`${secret}\``, [497]],
  ['a path as a table, quoted database', `SELECT * FROM "default".\`${secret}\``, [497]],
  ['EXISTS of a path', `EXISTS default.\`${secret}\``, [497]],
  ['DESCRIBE of a path', `DESCRIBE default.\`${secret}\``, [497]],
  ['SHOW CREATE of a path', `SHOW CREATE TABLE default.\`${secret}\``, [497]],
  ['a bare path as a table', `SELECT * FROM \`${secret}\``, [60]],
  ['OUTFILE', `SELECT 1 INTO OUTFILE '${target}'`, [164]],
  ['OUTFILE with a format', `SELECT 1 INTO OUTFILE '${target}' FORMAT CSV`, [164]],
  ['OUTFILE appending', `SELECT 1 INTO OUTFILE '${target}' APPEND`, [164]],
  ['OUTFILE truncating', `SELECT 1 INTO OUTFILE '${target}' TRUNCATE`, [164]],
  ['OUTFILE and stdout', `SELECT 1 INTO OUTFILE '${target}' AND STDOUT`, [164]],
  ['OUTFILE compressed', `SELECT 1 INTO OUTFILE '${target}' COMPRESSION 'gzip'`, [164]],
  ['OUTFILE of a union', `SELECT 1 UNION ALL SELECT 2 INTO OUTFILE '${target}'`, [164]],
  ['OUTFILE after SETTINGS', `SELECT 1 SETTINGS max_threads = 1 INTO OUTFILE '${target}'`, [164]],
  ['OUTFILE before SETTINGS', `SELECT 1 INTO OUTFILE '${target}' FORMAT CSV SETTINGS max_threads = 1`, [164]],
  ['OUTFILE of DESCRIBE', `DESCRIBE TABLE calls INTO OUTFILE '${target}'`, [164]],
  ['OUTFILE of SHOW', `SHOW TABLES INTO OUTFILE '${target}'`, [164]],
  ['OUTFILE of EXISTS', `EXISTS calls INTO OUTFILE '${target}'`, [164]],
  ['OUTFILE of EXPLAIN', `EXPLAIN SELECT 1 INTO OUTFILE '${target}'`, [164]],
  ['OUTFILE behind a comment', `SELECT 1 INTO/**/OUTFILE '${target}' -- x`, [164]],
  ['OUTFILE in the format', `SELECT 1 FORMAT CSV INTO OUTFILE '${target}'`, [62, 164]],
  ['several statements', `SELECT 1; DROP TABLE calls`, [62]],
  ['several statements, last harmless', `DROP TABLE calls; SELECT 1`, [62]],
  ['several statements by newline', `SELECT 1;\n\nSELECT 2`, [62]],
  ['parallel statements', `SELECT 1 PARALLEL WITH DROP TABLE calls`, [62, 164]],
  ['SET', `SET readonly = 0`, [164]],
  ['SET ROLE', `SET ROLE writer`, [164]],
  ['SET DEFAULT ROLE', `SET DEFAULT ROLE writer TO default`, [164]],
  ['USE', `USE default`, [164]],
  ['KILL QUERY', `KILL QUERY WHERE 1`, [164]],
  ['SYSTEM', `SYSTEM STOP MERGES`, [164]],
  ['SYSTEM SHUTDOWN', `SYSTEM SHUTDOWN`, [164]],
  ['INSERT', `INSERT INTO calls VALUES (3, 'x', 'y')`, [164]],
  ['INSERT SELECT', `INSERT INTO calls SELECT 3, 'x', 'y'`, [164]],
  ['WITH INSERT', `WITH 1 AS x INSERT INTO calls SELECT x, 'x', 'y'`, [164]],
  ['INSERT INTO FUNCTION', `INSERT INTO FUNCTION file('${target}') SELECT 1`, [164]],
  ['INSERT INFILE', `INSERT INTO calls FROM INFILE '${secret}' FORMAT LineAsString`, [164]],
  ['CREATE', `CREATE TABLE x (a Int8) ENGINE = Memory`, [164]],
  ['CREATE TEMPORARY', `CREATE TEMPORARY TABLE x (a Int8)`, [164]],
  ['CREATE FUNCTION', `CREATE FUNCTION f AS x -> file(x)`, [164]],
  [
    'CREATE DICTIONARY',
    `CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id' FORMAT TSV)) LAYOUT(FLAT()) LIFETIME(1)`,
    [164],
  ],
  ['DROP', `DROP TABLE calls`, [164]],
  ['TRUNCATE', `TRUNCATE TABLE calls`, [164]],
  ['ALTER', `ALTER TABLE calls DELETE WHERE 1`, [164]],
  ['OPTIMIZE', `OPTIMIZE TABLE calls FINAL`, [164]],
  ['CHECK', `CHECK TABLE calls`, [164]],
  ['DELETE', `DELETE FROM calls WHERE 1`, [164]],
  ['UPDATE', `UPDATE calls SET team = 'x' WHERE 1`, [164]],
  ['BACKUP', `BACKUP TABLE calls TO File('${target}')`, [164]],
  ['RESTORE', `RESTORE TABLE calls FROM File('${target}')`, [164]],
  ['GRANT', `GRANT writer TO default`, [164]],
  ['EXECUTE AS', `EXECUTE AS default SELECT 1`, [164, 62]],
  ['ATTACH', `ATTACH TABLE x`, [164]],
  ['WATCH', `WATCH calls`, [164, 62]],
  ['Identifier parameter', `SELECT {f:Identifier}('${secret}')`, [497, 62]],
  ['Identifier parameter as a table', `SELECT * FROM system.{f:Identifier}`, [497]],
  ['Identifier parameter, spaced', `SELECT * FROM system.{f : Identifier}`, [497]],
  ['processes', `SELECT query FROM system.processes`, [497]],
  ['processes in backticks', `SELECT query FROM \`system\`.\`processes\``, [497]],
  ['processes, spaced', `SELECT query FROM system /* x */ . processes`, [497]],
  ['processes by escape', `SELECT query FROM \`sys\\x74em\`.processes`, [497]],
  ['processes in IN', `SELECT 1 IN system.processes`, [497]],
  ['processes by SHOW', `SHOW PROCESSLIST`, [497]],
  ['processes by SHOW FULL', `SHOW FULL PROCESSLIST`, [497, 62]],
  ["others' errors", `SELECT * FROM system.errors`, [497]],
  ['processes through a join', `SELECT * FROM calls AS c, system.processes AS p`, [497]],
  ['processes by merge', `SELECT * FROM merge('system', '^processes$')`, [497]],
  ['processes by cluster', `SELECT * FROM clusterAllReplicas('default', system.processes)`, [497]],
  ['processes by SHOW CREATE', `SHOW CREATE TABLE system.processes`, [497]],
  ['users by SHOW CREATE', `SHOW CREATE USER default`, [497]],
  ['the file system as a database', `SHOW CREATE DATABASE default`, [497]],
  ['a wire protocol by formatRow', `SELECT formatRow('MySQLWire', 1)`, [36]],
  ['processes by DESCRIBE', `DESCRIBE system.processes`, [497]],
  ['user_processes', `SELECT * FROM system.user_processes`, [497]],
  ['stack traces', `SELECT * FROM system.stack_trace`, [497]],
  ['disks', `SELECT * FROM system.disks`, [497]],
  ['server settings', `SELECT * FROM system.server_settings`, [497]],
  ['a server setting by function', `SELECT getServerSetting('user_files_path')`, [497]],
  ['grants', `SELECT * FROM system.grants`, [497]],
  ['backups', `SELECT * FROM system.backups`, [497]],
  ['users by SHOW', `SHOW USERS`, [497]],
  ['introspection', `SELECT addressToSymbol(0)`, [446, 497]],
  ['symbols', `SELECT * FROM system.symbols LIMIT 1`, [497]],
  ['eval', `SELECT * FROM eval('SELECT 1')`, [497]],
  ['eval, other case', `SELECT * FROM EVAL('SELECT 1')`, [497, 46]],
  ['filesystem', `SELECT * FROM filesystem('/etc')`, [497]],
  ['url', `SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')`, [497]],
  ['url by DESCRIBE', `DESCRIBE TABLE url('http://127.0.0.1:1/')`, [497]],
  ['remote', `SELECT * FROM remote('127.0.0.1:1', system.one)`, [497]],
  ['remote in IN', `SELECT 1 IN (SELECT * FROM remote('127.0.0.1:1', system.one))`, [497]],
  ['mysql', `SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')`, [497]],
  ['postgresql', `SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')`, [497]],
  ['sqlite', `SELECT * FROM sqlite('${secret}', 't')`, [497]],
  ['s3', `SELECT * FROM s3('http://127.0.0.1:1/bucket/key')`, [497]],
  ['iceberg', `SELECT * FROM icebergLocal('${outside}')`, [497]],
  ['delta lake', `SELECT * FROM deltaLakeLocal('${outside}')`, [497]],
  ['executable', `SELECT * FROM executable('/bin/id', 'TSV', 'a String')`, [497]],
  ['odbc', `SELECT * FROM odbc('DSN=x', 'a', 'b')`, [497]],
  ['mongodb', `SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'e String')`, [497]],
  ['redis', `SELECT * FROM redis('127.0.0.1:1', 'k', 'k String')`, [497]],
  ['dictionary', `SELECT * FROM dictionary('d')`, [497]],
  ['loop', `SELECT * FROM loop(calls)`, [497]],
  ['input', `SELECT * FROM input('a String')`, [497]],
  ['prometheus', `SELECT * FROM prometheusQuery('t', 'up', now())`, [497]],
  ['a language model', `SELECT aiGenerate('c', 'x')`, [497]],
  ['a catboost model', `SELECT catboostEvaluate('${secret}', 1)`, [497]],
  [
    'EXPLAIN TABLE OVERRIDE',
    `EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:1', 'a', 'b', 'c', 'd') PARTITION BY a`,
    [497, 62, 164],
  ],
  ['another database', `SELECT * FROM other.t`, [60, 81, 497]],
  ['more time by nested SETTINGS', `SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)`, [497]],
  [
    'readonly off by closing SETTINGS, then a write',
    `INSERT INTO calls SELECT 3, 'x', 'y' SETTINGS readonly = 0`,
    [164],
  ],
  [
    'a schema written by a setting',
    `SELECT 1 FORMAT Protobuf SETTINGS output_format_schema = '${target}'`,
    [73, 452],
  ],
  [
    'a template read by a setting',
    `SELECT 1 FORMAT Template SETTINGS format_template_row = '${secret}'`,
    [73],
  ],
  [
    'a template read by a setting, plain format',
    `SELECT 1 SETTINGS format_template_row = '${secret}'`,
    [452],
  ],
  ['a schema file', `SELECT 1 SETTINGS format_schema = '${secret}'`, [452]],
  [
    'nested SETTINGS beside system.settings',
    `SELECT * FROM (SELECT name FROM system.settings SETTINGS max_memory_usage = 0)`,
    [497],
  ],
  ['nested SETTINGS in backticks', `SELECT * FROM (SELECT 1 settings \`max_execution_time\` = 0)`, [497]],
  ['SETTINGS in a CTE', `WITH x AS (SELECT 1 SETTINGS max_memory_usage = 0) SELECT * FROM x`, [497]],
  ['SETTINGS in a view function', `SELECT * FROM view(SELECT 1 SETTINGS max_memory_usage = 0)`, [497]],
  ['an unclosed string', `SELECT '`, [62]],
  ['zero-width letters in a name', `SELECT fi\u200dle('${secret}')`, [62]],
  ['another protocol as a format', `SELECT 1 FORMAT MySQLWire`, [73]],
]

describe('a reader', () => {
  it.each(attempts)('cannot use %s', async (_, sql, codes) => {
    const answer = await ask(store, reader, sql, { param_f: 'file' })
    expect(answer.text).not.toContain(canary)
    expect(codes).toContain(Number(/^Code: (\d+)/.exec(answer.text)?.[1] ?? 0))
    expect(existsSync(target)).toBe(false)
  })

  it('leaves the table as it was after all attempts', async () => {
    expect((await ask(store, writer, 'SELECT count() FROM calls')).text).toBe('2\n')
    expect(readFileSync(secret, 'utf8')).toBe(canary)
  })

  const refusedSettings: [string, string][] = [
    ['output_format_schema', target],
    ['format_schema', secret],
    ['format_template_row', secret],
    ['format_avro_schema_registry_url', 'http://127.0.0.1:1/'],
    ['max_memory_usage_for_user', '0'],
    ['nope', '1'],
    ["x' , readonly", '0'],
  ]
  it.each(refusedSettings)('cannot bring the setting %s by URL', async (name, value) => {
    const answer = await ask(store, reader, 'SELECT 1', { [name]: value })
    expect([115, 452]).toContain(Number(answer.headers.get('x-clickhouse-exception-code')))
  })

  it('cannot call file through a filter that came by URL', async () => {
    for (const filter of [
      `{'weir.calls':'length(file(\\'${secret}\\')) > 0'}`,
      `{'weir.calls','length(file(1)) > 0'}`,
    ]) {
      const answer = await ask(store, reader, 'SELECT count() FROM calls', {
        additional_table_filters: filter,
      })
      expect(Number(answer.headers.get('x-clickhouse-exception-code'))).not.toBe(0)
    }
    const result = await ask(store, reader, 'SELECT id FROM calls', {
      additional_result_filter: `length(file('${secret}')) > 0`,
    })
    expect(result.headers.get('x-clickhouse-exception-code')).toBe('497')
  })

  it('cannot loosen a limit, by URL or in the statement', async () => {
    const own = (await ask(store, reader, "SELECT getSetting('max_execution_time')")).text
    for (const value of ['0', '100000']) {
      const sql = "SELECT getSetting('max_execution_time')"
      expect((await ask(store, reader, sql, { max_execution_time: value })).text).toBe(own)
      expect((await ask(store, reader, `${sql} SETTINGS max_execution_time = ${value}`)).text).toBe(own)
    }
    expect(
      (await ask(store, reader, "SELECT getSetting('max_execution_time')", { max_execution_time: '3' })).text,
    ).toBe('3\n')
  })

  it('is locked by the engine as well', async () => {
    expect((await ask(store, reader, "SELECT getSetting('readonly'), currentRoles()")).text).toBe(
      "1\t['reader']\n",
    )
    const changeable =
      "SELECT count() FROM system.settings WHERE readonly = 0 AND name = 'max_execution_time'"
    expect((await ask(store, reader, changeable)).text).toBe('1\n')
  })

  it('may tighten and shape by URL', async () => {
    const limited = await ask(store, reader, 'SELECT number FROM numbers(10)', {
      limit: '2',
      max_threads: '1',
    })
    expect(limited.text).toBe('0\n1\n')
  })

  it('cannot use another database by URL', async () => {
    for (const database of ['system', 'nope'])
      expect(
        (await ask(store, reader, 'SELECT 1', { database })).headers.get('x-clickhouse-exception-code'),
      ).toBe('81')
  })

  it('cannot write by a crafted parameter', async () => {
    const answer = await ask(store, reader, 'SELECT {x:String}', {
      param_x: "'; SET readonly = 0; DROP TABLE calls; --",
    })
    expect(answer.text).toBe("\\'; SET readonly = 0; DROP TABLE calls; --\n")
    const name = await ask(store, reader, 'SELECT 1', { "param_x = '1'; DROP TABLE calls; SET y": '1' })
    expect(name.status).toBe(400)
  })
})

const harmless: [string, string, string | RegExp][] = [
  ['a select', 'SELECT sum(id) FROM calls', '3\n'],
  ['the words file and system as text', `SELECT 'file(system.processes)'`, 'file(system.processes)\n'],
  ['a column called path', 'SELECT path FROM weir.calls ORDER BY id LIMIT 1', '/a\n'],
  ['a view', 'SELECT count() FROM named', '2\n'],
  ['numbers', 'SELECT sum(number) FROM numbers(4)', '6\n'],
  ['generateSeries', 'SELECT count() FROM generateSeries(1, 3)', '3\n'],
  ['values', `SELECT * FROM values('a Int8', 7)`, '7\n'],
  ['view()', 'SELECT * FROM view(SELECT 5)', '5\n'],
  [
    'a column called settings',
    'SELECT settings, settings = 1 FROM (SELECT 1 AS settings) WHERE settings = 1',
    '1\t1\n',
  ],
  ['a bracketed select', '(SELECT 1)', '1\n'],
  ['FROM first', 'FROM calls SELECT count()', '2\n'],
  ['SHOW TABLES', 'SHOW TABLES', 'calls\nnamed\n'],
  ['SHOW DATABASES', 'SHOW DATABASES', /weir\n/],
  ['SHOW CREATE', 'SHOW CREATE TABLE calls', /MergeTree/],
  ['SHOW TABLES FROM', 'SHOW TABLES FROM "weir"', /calls/],
  ['DESCRIBE', 'DESC TABLE "weir"."calls"', /^id\tUInt64/],
  ['EXISTS', 'EXISTS TABLE calls', '1\n'],
  ['EXPLAIN ESTIMATE', 'EXPLAIN ESTIMATE SELECT * FROM calls', /calls/],
  [
    'system.columns',
    "SELECT name, type, table FROM system.columns WHERE database = 'weir' AND table = 'calls' ORDER BY position LIMIT 1",
    'id\tUInt64\tcalls\n',
  ],
  ['system.settings', 'SELECT count() > 100 FROM system.settings', '1\n'],
  ['system.functions', 'SELECT count() > 100 FROM system.functions', '1\n'],
  ['system.parts', "SELECT sum(rows) FROM system.parts WHERE active AND table = 'calls'", '2\n'],
  ['information_schema', "SELECT count() FROM information_schema.tables WHERE table_name = 'calls'", '1\n'],
  [
    "Grafana's ad-hoc filter",
    `SELECT id FROM calls settings additional_table_filters={'weir.calls' : ' team = \\'blue\\' '}`,
    '2\n',
  ],
  [
    'a filter and a format',
    `SELECT id FROM calls SETTINGS additional_table_filters={'weir.calls':'id = 1'}, max_threads=1 FORMAT TSV`,
    '1\n',
  ],
  ['a closing semicolon', 'SELECT 1;', '1\n'],
  ['a closing comment', 'SELECT 1 -- done', '1\n'],
  ['EXPLAIN SYNTAX', 'EXPLAIN SYNTAX SELECT 1', /SELECT 1/],
  ['heredocs', "SELECT $a$it's$a$", "it\\'s\n"],
]

describe('a reader still may use', () => {
  it.each(harmless)('%s', async (_, sql, expected) => {
    const answer = await ask(store, reader, sql)
    if (typeof expected === 'string') expect(answer.text).toBe(expected)
    else expect(answer.text).toMatch(expected)
    expect(answer.status).toBe(200)
  })
})

describe('checkNames', () => {
  it('finds a name behind what looks like a comment or a heredoc', () => {
    for (const canonical of [
      "SELECT 1 --file('x')",
      "SELECT 1 /* file('x')",
      "SELECT $$ file('x') $$",
      "SELECT '\\'', file('x')",
    ])
      expect(() => checkNames(canonical)).toThrow(/"file"/)
  })

  it('does not look into text', () => {
    expect(() => checkNames("SELECT 'file(', 'it\\'s system.processes', `files`, x.file_name")).not.toThrow()
  })
})
