/**
 * Inserts over HTTP: data never becomes SQL, each request's settings stay its own, and one token is one batch.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ask, reader, type StoreChild, startStore, writer } from './support/child.ts'

let store: StoreChild

beforeAll(async () => {
  store = await startStore({ insert_max_bytes: 4 * 1024 * 1024 })
}, 60_000)

afterAll(async () => {
  await store?.remove()
})

beforeEach(async () => {
  for (const sql of [
    'CREATE OR REPLACE TABLE t (id UInt64, s String) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100',
    'CREATE OR REPLACE TABLE victim (id UInt64) ENGINE = MergeTree ORDER BY id',
  ])
    expect((await ask(store, writer, sql)).status).toBe(200)
})

const rows = async (): Promise<unknown[]> =>
  (await ask(store, writer, 'SELECT id, s FROM t ORDER BY id, s FORMAT JSONCompactEachRow')).text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
const written = (headers: Headers): string => JSON.parse(headers.get('x-clickhouse-summary')!).written_rows
const victims = async () => (await ask(store, writer, 'EXISTS TABLE victim')).text

describe('an insert', () => {
  it.each([
    [
      'statement and rows in the body',
      'INSERT INTO t FORMAT JSONEachRow\n{"id":1,"s":"a"}\n{"id":2,"s":"b"}',
      undefined,
    ],
    ['statement in the URL', '{"id":1,"s":"a"}\n{"id":2,"s":"b"}\n', 'INSERT INTO t FORMAT JSONEachRow'],
    ['split before FORMAT', 'FORMAT JSONEachRow {"id":1,"s":"a"}{"id":2,"s":"b"}', 'INSERT INTO t'],
    [
      'with columns and SETTINGS',
      '["a",1]\n["b",2]',
      'INSERT INTO weir.t (s, `id`) SETTINGS max_insert_threads = 1 FORMAT JSONCompactEachRow',
    ],
    ['as values', "(1, 'a'), (2, 'b')", 'INSERT INTO t (id, s) VALUES'],
    ['as values in the statement', '', "INSERT INTO TABLE t VALUES (1, 'a'), (2, 'b')"],
    ['as CSV with names', 'id,s\n1,a\n2,b\n', 'INSERT INTO t FORMAT CSVWithNames'],
    ['as TSV', '1\ta\n2\tb\n', '/* c */ insert into t format TSV'],
    ['by select', "SELECT 1, 'a' UNION ALL SELECT 2, 'b'", 'INSERT INTO t'],
    [
      'by select with CTE',
      "WITH x AS (SELECT 1 AS id) SELECT id, 'a' FROM x UNION ALL SELECT 2, 'b'",
      'INSERT INTO t',
    ],
  ])('arrives, %s', async (_, body, query) => {
    const answer = await ask(store, writer, body, query === undefined ? {} : { query })
    expect(answer.text).toBe('')
    expect(written(answer.headers)).toBe('2')
    expect(await rows()).toEqual([
      [1, 'a'],
      [2, 'b'],
    ])
  })

  it.each([
    'Native',
    'RowBinary',
    'RowBinaryWithNamesAndTypes',
    'Parquet',
    'ArrowStream',
    'CSV',
    'TSKV',
    'MsgPack',
  ])('brings %s back byte for byte', async (format) => {
    const strange =
      "SELECT number AS id, concat('\\n\\nDROP TABLE victim;\\n', char(0), toString(number), '\\'\"') AS s FROM numbers(5000)"
    const response = await fetch(`${store.url}/?user=${writer.user}&password=${writer.password}`, {
      method: 'POST',
      body: `${strange} FORMAT ${format}`,
    })
    const answer = await ask(store, writer, new Uint8Array(await response.arrayBuffer()), {
      query: `INSERT INTO t FORMAT ${format}`,
    })
    expect([answer.text, written(answer.headers)]).toEqual(['', '5000'])
    const sum = 'SELECT count(), sum(cityHash64(id, s))'
    expect((await ask(store, writer, `${sum} FROM t`)).text).toBe(
      (await ask(store, writer, `${sum} FROM (${strange})`)).text,
    )
    expect(await victims()).toBe('1\n')
  })

  it.each([
    ['JSONEachRow', '{"id":1,"s":"a"}\n\nDROP TABLE victim'],
    ['JSONEachRow', '\n\n\nDROP TABLE victim'],
    ['JSONEachRow', '{"id":1,"s":"a"}\r\n\r\n;DROP TABLE victim;\n'],
    ['CSV', '1,a\n\nDROP TABLE victim'],
    ['Values', "(1,'a');\n\nDROP TABLE victim"],
  ])('never runs what follows an empty line of %s', async (format, body) => {
    await ask(store, writer, body, { query: `INSERT INTO t FORMAT ${format}` })
    await ask(store, writer, `INSERT INTO t FORMAT ${format}\n${body}`)
    expect(await victims()).toBe('1\n')
  })

  it('takes empty lines between rows and inside values', async () => {
    await ask(store, writer, '{"id":1,"s":"a"}\n\n\n{"id":2,"s":"b"}\n\n', {
      query: 'INSERT INTO t FORMAT JSONEachRow',
    })
    await ask(store, writer, "INSERT INTO t VALUES (3, 'x\n\ny'), (4, '\n\n')")
    expect(await rows()).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'x\n\ny'],
      [4, '\n\n'],
    ])
  })

  it('takes a packed body and a large one, past what is kept in memory', async () => {
    const many = Array.from({ length: 40_000 }, (_, id) => JSON.stringify({ id, s: 'x'.repeat(40) })).join(
      '\n',
    )
    const answer = await ask(
      store,
      writer,
      new Uint8Array(gzipSync(many)),
      { query: 'INSERT INTO t FORMAT JSONEachRow' },
      { 'content-encoding': 'gzip' },
    )
    expect([answer.text, written(answer.headers)]).toEqual(['', '40000'])
    const inBody = await ask(store, writer, `INSERT INTO t FORMAT JSONEachRow\n${many}`)
    expect(written(inBody.headers)).toBe('40000')
  })

  it('is refused when too large, with the limit in the sentence, and nothing is stored', async () => {
    const answer = await ask(store, writer, '1,a\n'.repeat(2_000_000), { query: 'INSERT INTO t FORMAT CSV' })
    expect([answer.status, answer.headers.get('x-clickhouse-exception-code')]).toEqual([413, '307'])
    expect(answer.text).toContain('4194304 bytes')
    expect(await rows()).toEqual([])
  })

  it('without rows stores nothing and is no error, but still must name a table', async () => {
    const answer = await ask(store, writer, '', { query: 'INSERT INTO t FORMAT JSONEachRow' })
    expect([answer.status, written(answer.headers)]).toEqual([200, '0'])
    const missing = await ask(store, writer, 'x', { query: 'INSERT INTO nope FORMAT CSV' })
    expect([missing.status, missing.headers.get('x-clickhouse-exception-code')]).toEqual([404, '60'])
  })

  it('that cannot be parsed says where', async () => {
    const answer = await ask(store, writer, '{"id":1}\n{"id":"x"}\n', {
      query: 'INSERT INTO t FORMAT JSONEachRow',
    })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.text).toMatch(/at row 2|row 1|\(at row/)
    expect(answer.text).not.toContain('inserts/')
  })

  it('leaves no file behind', async () => {
    await ask(store, writer, '1,a\n', { query: 'INSERT INTO t FORMAT CSV' })
    await ask(store, writer, 'x', { query: 'INSERT INTO t FORMAT CSV' })
    expect(readdirSync(join(store.data_path, 'inserts'))).toEqual([])
  })

  it('binds parameters in a select', async () => {
    await ask(store, writer, 'INSERT INTO t SELECT {n:UInt64}, {s:String}', { param_n: '5', param_s: 'five' })
    expect(await rows()).toEqual([[5, 'five']])
  })

  it('is refused to readers', async () => {
    const answer = await ask(store, reader, '1,a\n', { query: 'INSERT INTO t FORMAT CSV' })
    expect([answer.status, answer.headers.get('x-clickhouse-exception-code')]).toEqual([403, '164'])
    expect(await rows()).toEqual([])
  })
})

describe('a deduplication token', () => {
  const send = (body: string, search: Record<string, string> = {}) =>
    ask(store, writer, body, { query: 'INSERT INTO t FORMAT JSONEachRow', ...search })

  it('stores a batch once however often it is sent', async () => {
    for (let i = 0; i < 3; i++)
      expect((await send('{"id":1}', { insert_deduplication_token: 'A' })).status).toBe(200)
    expect(await rows()).toHaveLength(1)
  })

  it('belongs to its own insert and no other', async () => {
    await send('{"id":1}', { insert_deduplication_token: 'A' })
    await send('{"id":2}')
    await send('{"id":3}')
    await send('{"id":4}', { insert_deduplication_token: 'B' })
    expect(await rows()).toHaveLength(4)
  })

  it('may stand in the statement', async () => {
    const query = "INSERT INTO t SETTINGS insert_deduplication_token = 'C' FORMAT JSONEachRow"
    for (let i = 0; i < 2; i++) await ask(store, writer, '{"id":1}', { query })
    expect(await rows()).toHaveLength(1)
  })

  it('holds in the target of a view', async () => {
    await ask(
      store,
      writer,
      'CREATE OR REPLACE TABLE sums (k UInt8, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100',
    )
    await ask(store, writer, 'DROP VIEW IF EXISTS to_sums')
    await ask(store, writer, 'CREATE MATERIALIZED VIEW to_sums TO sums AS SELECT 1 AS k, count() AS n FROM t')
    for (let i = 0; i < 2; i++) await send('{"id":1}\n{"id":2}', { insert_deduplication_token: 'V' })
    await send('{"id":3}', { insert_deduplication_token: 'W' })
    expect((await ask(store, writer, 'SELECT sum(n) FROM sums')).text).toBe('3\n')
    await ask(store, writer, 'DROP VIEW to_sums')
  })
})

describe('one statement a request', () => {
  it('is the rule for writers too', async () => {
    for (const sql of [
      'SELECT 1; SELECT 2',
      'DROP TABLE t; DROP TABLE victim',
      "INSERT INTO t SELECT 1, 'a'; DROP TABLE victim",
    ]) {
      const answer = await ask(store, writer, sql)
      expect([answer.status, answer.headers.get('x-clickhouse-exception-code')]).toEqual([400, '62'])
    }
    expect(await victims()).toBe('1\n')
  })

  it('is the rule for every part of a request', async () => {
    const parts: Record<string, string>[] = [
      { database: 'weir; DROP TABLE victim' },
      { default_format: 'CSV; DROP TABLE victim' },
      { 'max_threads = 1; DROP TABLE victim; SET max_threads': '1' },
    ]
    for (const search of parts) expect((await ask(store, writer, 'SELECT 1', search)).status).toBe(404)
    expect(await victims()).toBe('1\n')
  })

  it('leaves closing semicolons alone', async () => {
    expect((await ask(store, writer, 'SELECT 1;;\n')).text).toBe('1\n')
    expect((await ask(store, writer, 'DROP TABLE victim;')).status).toBe(200)
  })
})
