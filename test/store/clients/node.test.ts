/**
 * The official Node client against the store.
 */
import { Readable } from 'node:stream'
import { type ClickHouseClient, createClient } from '@clickhouse/client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { reader, type StoreChild, startStore, writer } from '../support/child.ts'

let store: StoreChild
let client: ClickHouseClient
let dashboards: ClickHouseClient

const clientFor = (who: { user: string; password: string }, packed = false): ClickHouseClient =>
  createClient({
    url: store.url,
    username: who.user,
    password: who.password,
    database: 'weir',
    compression: { request: packed, response: packed },
    log: { level: 127 as never },
  })

beforeAll(async () => {
  store = await startStore()
  client = clientFor(writer)
  dashboards = clientFor(reader)
}, 60_000)

afterAll(async () => {
  await Promise.all([client?.close(), dashboards?.close()])
  await store?.remove()
})

beforeEach(async () => {
  await client.command({
    query: `CREATE OR REPLACE TABLE rows (id UInt64, at DateTime64(3), tags Map(String, String), n Nullable(Float64), list Array(LowCardinality(String)))
      ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100`,
  })
})

const values = [
  { id: 1, at: '2026-11-20 10:00:00.123', tags: { a: 'b\n\nDROP TABLE rows' }, n: 1.5, list: ['x', 'y'] },
  { id: 2, at: '2026-11-20 10:00:01.000', tags: {}, n: null, list: [] },
]
const all = async (from: ClickHouseClient) =>
  (await from.query({ query: 'SELECT * FROM rows ORDER BY id', format: 'JSONEachRow' })).json()

describe('@clickhouse/client', () => {
  it('pings, by path and by select', async () => {
    expect(await client.ping()).toEqual({ success: true })
    expect(await dashboards.ping({ select: true })).toEqual({ success: true })
    expect((await clientFor({ user: 'x', password: 'y' }).ping({ select: true })).success).toBe(false)
  })

  it.each([false, true])('writes and reads rows, packed: %s', async (packed) => {
    const own = clientFor(writer, packed)
    const { summary } = await own.insert({ table: 'rows', values, format: 'JSONEachRow' })
    expect(summary?.written_rows).toBe('2')
    expect(await all(own)).toEqual(values)
    expect(await all(dashboards)).toEqual(values)
    await own.close()
  })

  it('writes arrays, columns and streams', async () => {
    await client
      .insert({ table: 'rows', values: [[3, 'z']], columns: ['id', 'list'], format: 'JSONCompactEachRow' })
      .then(
        () => expect.unreachable(),
        (error) => expect(error.code).toMatch(/^\d+$/),
      )
    await client.insert({
      table: 'rows',
      values: [[3, ['z']]],
      columns: ['id', 'list'],
      format: 'JSONCompactEachRow',
    })
    await client.insert({ table: 'rows', values: Readable.from(values), format: 'JSONEachRow' })
    expect(await all(client)).toHaveLength(3)
  })

  it('keeps a token to its insert', async () => {
    const send = (id: number, token?: string) =>
      client.insert({
        table: 'rows',
        values: [{ id }],
        format: 'JSONEachRow',
        ...(token ? { clickhouse_settings: { insert_deduplication_token: token } } : {}),
      })
    await send(1, 'A')
    await send(1, 'A')
    await send(2)
    await send(3)
    expect(await all(client)).toHaveLength(3)
  })

  it('binds parameters of many types', async () => {
    const result = await dashboards.query({
      query:
        'SELECT {s:String} AS s, {n:Int32} AS n, {d:DateTime} AS d, {a:Array(String)} AS a, {m:Map(String, UInt8)} AS m, {z:Nullable(String)} AS z',
      query_params: {
        s: "it's\na\t\\ 'line'",
        n: -5,
        d: new Date('2026-11-20T10:00:00Z'),
        a: ["x'y", 'z'],
        m: { k: 1 },
        z: null,
      },
      format: 'JSONEachRow',
    })
    expect(await result.json()).toEqual([
      { s: "it's\na\t\\ 'line'", n: -5, d: '2026-11-20 10:00:00', a: ["x'y", 'z'], m: { k: 1 }, z: null },
    ])
  })

  it.each(['JSON', 'JSONCompact', 'JSONEachRow', 'JSONCompactEachRowWithNames'] as const)(
    'reads %s',
    async (format) => {
      const result = await dashboards.query({ query: 'SELECT number FROM numbers(3)', format })
      expect(JSON.stringify(await result.json())).toContain('2')
      expect(result.query_id).toMatch(/^[\w-]{36}$/)
    },
  )

  it.each([false, true])('streams a large result, packed: %s', async (packed) => {
    const own = clientFor(reader, packed)
    const result = await own.query({
      query: 'SELECT number, toString(number) AS s FROM numbers(500000)',
      format: 'JSONEachRow',
    })
    let rows = 0
    for await (const batch of result.stream()) rows += batch.length
    expect(rows).toBe(500_000)
    await own.close()
  })

  it.each([false, true])('hears of an error in the middle of a result, packed: %s', async (packed) => {
    const own = clientFor(reader, packed)
    const result = await own.query({
      query: 'SELECT throwIf(number = 2000000) AS x, toString(number) AS s FROM numbers(3000000)',
      format: 'JSONEachRow',
    })
    await expect(
      (async () => {
        for await (const _ of result.stream());
      })(),
    ).rejects.toThrow(/throwIf/)
    await own.close()
  })

  it('gets code and type of an error', async () => {
    await expect(dashboards.query({ query: 'SELECT * FROM nope' })).rejects.toMatchObject({
      code: '60',
      type: 'UNKNOWN_TABLE',
    })
    await expect(dashboards.command({ query: 'DROP TABLE rows' })).rejects.toMatchObject({
      code: '164',
      type: 'READONLY',
    })
    await expect(clientFor({ user: 'x', password: 'y' }).query({ query: 'SELECT 1' })).rejects.toMatchObject({
      code: '516',
    })
  })

  it('applies settings to one query alone', async () => {
    const settings = { max_result_rows: '1' }
    await expect(
      client
        .query({ query: 'SELECT number FROM numbers(3)', clickhouse_settings: settings })
        .then((r) => r.text()),
    ).rejects.toMatchObject({ code: '396' })
    expect(
      await (await client.query({ query: 'SELECT number FROM numbers(3)', format: 'TabSeparated' })).text(),
    ).toBe('0\n1\n2\n')
  })

  it('cancels a query', async () => {
    const abort = new AbortController()
    const query = 'SELECT count() FROM system.numbers WHERE NOT ignore(number)'
    const running = dashboards.query({ query, abort_signal: abort.signal })
    setTimeout(() => abort.abort(), 200)
    await expect(running).rejects.toThrow(/abort/i)
  })

  it('writes and reads Parquet by exec', async () => {
    const file = await client.exec({ query: "SELECT toUInt64(7) AS id, ['p'] AS list FORMAT Parquet" })
    const chunks: Buffer[] = []
    for await (const chunk of file.stream) chunks.push(chunk as Buffer)
    await client.exec({
      query: 'INSERT INTO rows (id, list) FORMAT Parquet',
      values: Readable.from(chunks, { objectMode: false }),
    })
    expect(await all(client)).toMatchObject([{ id: 7, list: ['p'] }])
  })
})
