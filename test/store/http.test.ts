/**
 * The HTTP contract, on the wire: what every ClickHouse client relies on.
 */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import {
  brotliDecompressSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, reader, type StoreChild, startStore, writer } from './support/child.ts'

let store: StoreChild
/** A store whose reader has no password. */
let open: StoreChild

beforeAll(async () => {
  ;[store, open] = await Promise.all([startStore(), startStore({ reader: null })])
  await ask(store, writer, 'CREATE TABLE t (id UInt64, s String) ENGINE = MergeTree ORDER BY id')
}, 60_000)

afterAll(async () => {
  await Promise.all([store?.remove(), open?.remove()])
})

const code = (headers: Headers): string | null => headers.get('x-clickhouse-exception-code')

/** A raw request, for what fetch does not let through. */
async function raw(
  url: string,
  method: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Buffer; headers: Record<string, unknown> }> {
  const req = request(url, { method, headers })
  req.end()
  const [res] = await once(req, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of res) chunks.push(chunk)
  return { status: res.statusCode, body: Buffer.concat(chunks), headers: res.headers }
}

describe('health and methods', () => {
  it('answers GET /ping and GET / without credentials', async () => {
    for (const path of ['/ping', '/']) {
      const res = await fetch(store.url + path)
      expect([res.status, await res.text()]).toEqual([200, 'Ok.\n'])
    }
  })

  it('answers HEAD without a body, OPTIONS without CORS, and other methods with 405', async () => {
    expect(await raw(`${store.url}/ping`, 'HEAD')).toMatchObject({ status: 200, body: Buffer.alloc(0) })
    const options = await raw(`${store.url}/`, 'OPTIONS', { origin: 'http://evil.example' })
    expect(options.status).toBe(204)
    expect(options.headers).not.toHaveProperty('access-control-allow-origin')
    expect((await raw(`${store.url}/`, 'PUT')).status).toBe(405)
    expect((await raw(`${store.url}/nowhere`, 'GET')).status).toBe(404)
  })

  it('runs a GET but changes nothing by it', async () => {
    const auth = { 'x-clickhouse-user': writer.user, 'x-clickhouse-key': writer.password }
    const select = await fetch(`${store.url}/?query=SELECT%201`, { headers: auth })
    expect(await select.text()).toBe('1\n')
    const drop = await fetch(`${store.url}/?query=DROP%20TABLE%20t`, { headers: auth })
    expect([drop.status, code(drop.headers)]).toEqual([403, '164'])
    const insert = await fetch(`${store.url}/?query=INSERT%20INTO%20t%20VALUES%20(1,%20'a')`, {
      headers: auth,
    })
    expect(code(insert.headers)).toBe('164')
  })
})

describe('who asks', () => {
  it('takes Basic, headers and URL', async () => {
    expect((await ask(store, writer, 'SELECT 1')).text).toBe('1\n')
    expect(
      (
        await ask(
          store,
          null,
          'SELECT 1',
          {},
          { 'x-clickhouse-user': reader.user, 'x-clickhouse-key': reader.password },
        )
      ).text,
    ).toBe('1\n')
    expect((await ask(store, null, 'SELECT 1', { user: reader.user, password: reader.password })).text).toBe(
      '1\n',
    )
  })

  it.each([
    ['nobody', null, 401],
    ['a wrong password', { user: writer.user, password: 'x' }, 403],
    ['an unknown user', { user: 'mallory', password: writer.password }, 403],
    ['default without a password', { user: 'default', password: '' }, 403],
    ["the reader's name with the writer's password", { user: reader.user, password: writer.password }, 403],
  ])('refuses %s', async (_, who, status) => {
    const answer = await ask(store, who, 'SELECT 1')
    expect([answer.status, code(answer.headers)]).toEqual([status, '516'])
    expect(answer.text).toMatch(
      /^Code: 516\. DB::Exception: .*Authentication failed.*\(AUTHENTICATION_FAILED\)/,
    )
  })

  it('lets anybody read when the reader has no password, and only read', async () => {
    for (const who of [null, { user: 'default', password: '' }]) {
      expect((await ask(open, who, 'SELECT 1')).text).toBe('1\n')
      expect(code((await ask(open, who, 'CREATE TABLE x (a Int8) ENGINE = Memory')).headers)).toBe('164')
    }
    expect(code((await ask(open, { user: 'default', password: 'x' }, 'SELECT 1')).headers)).toBe('516')
  })

  it('refuses a web page that has no credentials', async () => {
    const port = new URL(open.url).port
    const pages = [
      { origin: 'http://evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { host: `evil.example:${port}` },
    ]
    for (const headers of pages)
      expect((await raw(`${open.url}/?query=SELECT%201`, 'GET', headers)).status).toBe(403)
    expect((await raw(`${open.url}/?query=SELECT%201`, 'GET', { host: `localhost:${port}` })).status).toBe(
      200,
    )
  })
})

describe('statement and format', () => {
  it('joins the query parameter and the body', async () => {
    expect((await ask(store, reader, 'toUInt8(7)', { query: 'SELECT' })).text).toBe('7\n')
    expect((await ask(store, reader, '', { query: 'SELECT 1' })).text).toBe('1\n')
  })

  it('takes the format from the clause, else the header, else default_format, else TabSeparated', async () => {
    const byHeader = { 'x-clickhouse-format': 'CSV' }
    const format = async (sql: string, search = {}, headers = {}) =>
      (await ask(store, reader, sql, search, headers)).headers.get('x-clickhouse-format')
    expect(await format('SELECT 1 FORMAT JSONEachRow', { default_format: 'Native' }, byHeader)).toBe(
      'JSONEachRow',
    )
    expect(await format('SELECT 1', { default_format: 'Native' }, byHeader)).toBe('CSV')
    expect(await format('SELECT 1', { default_format: 'Native' })).toBe('Native')
    expect(await format('SELECT 1')).toBe('TabSeparated')
  })

  it.each([
    ['JSON', 'application/json; charset=UTF-8'],
    ['JSONEachRow', 'application/x-ndjson; charset=UTF-8'],
    ['CSVWithNames', 'text/csv; charset=UTF-8; header=present'],
    ['TabSeparated', 'text/tab-separated-values; charset=UTF-8'],
    ['Parquet', 'application/octet-stream'],
  ])('sends %s as %s', async (format, type) => {
    expect((await ask(store, reader, `SELECT 1 FORMAT ${format}`)).headers.get('content-type')).toBe(type)
  })

  it('streams one document whatever the format', async () => {
    const sql = (format: string) =>
      `SELECT number, toString(number) AS s FROM numbers(200000) FORMAT ${format}`
    const json = JSON.parse((await ask(store, reader, sql('JSON'))).text)
    expect([json.rows, json.data.length, json.data.at(-1)]).toEqual([
      200_000,
      200_000,
      { number: 199_999, s: '199999' },
    ])
    const csv = (await ask(store, reader, sql('CSVWithNames'))).text
    expect(csv.match(/"number","s"/g)).toHaveLength(1)
    expect(csv.split('\n')).toHaveLength(200_002)
  })

  it.each(['SHOW TABLES', 'DESCRIBE TABLE t', 'EXISTS TABLE t', 'EXPLAIN SELECT 1', 'SHOW CREATE TABLE t'])(
    'answers %s in any format',
    async (sql) => {
      expect(JSON.parse((await ask(store, reader, `${sql} FORMAT JSON`)).text).rows).toBeGreaterThan(0)
      expect((await ask(store, reader, sql, { default_format: 'JSONEachRow' })).text).toMatch(/^\{/)
    },
  )

  it('applies settings and parameters from the URL', async () => {
    const quoted = await ask(store, reader, 'SELECT toUInt64(1) AS x FORMAT JSONEachRow', {
      output_format_json_quote_64bit_integers: '1',
    })
    expect(quoted.text).toBe('{"x":"1"}\n')
    const bound = await ask(
      store,
      reader,
      'SELECT {a:UInt8} + {b:UInt8}, {c:String}, {d:Array(String)}, {e:DateTime}',
      {
        param_a: '1',
        param_b: '2',
        param_c: "it's\\na \\\\ line",
        param_d: "['x','y']",
        param_e: '1577836800',
      },
    )
    expect(bound.text).toBe("3\tit\\'s\\na \\\\ line\t['x','y']\t2020-01-01 00:00:00\n")
    expect((await ask(store, reader, 'SELECT {missing:String}')).status).toBe(500)
  })

  it('keeps a setting to its own request', async () => {
    await ask(store, writer, 'SELECT 1', {
      max_result_rows: '1',
      output_format_json_quote_64bit_integers: '1',
    })
    await ask(store, reader, 'SELECT 1', { max_result_rows: '1', session_id: 'x' })
    expect((await ask(store, writer, 'SELECT number FROM numbers(3)')).text).toBe('0\n1\n2\n')
    expect((await ask(store, reader, 'SELECT number FROM numbers(3)', { session_id: 'x' })).text).toBe(
      '0\n1\n2\n',
    )
  })

  it('has no sessions, and says so when asked to check for one', async () => {
    const answer = await ask(store, reader, 'SELECT 1', { session_id: 'x', session_check: '1' })
    expect(code(answer.headers)).toBe('372')
  })
})

describe('headers', () => {
  it('names query, format, zone and counts', async () => {
    const { headers } = await ask(store, reader, 'SELECT number FROM numbers(3)', { query_id: 'my-query' })
    expect(headers.get('x-clickhouse-query-id')).toBe('my-query')
    expect(headers.get('x-clickhouse-timezone')).toBe('UTC')
    expect(headers.get('x-clickhouse-server-display-name')).toBe('weir')
    expect(JSON.parse(headers.get('x-clickhouse-summary')!)).toMatchObject({
      result_rows: '3',
      written_rows: '0',
    })
    expect(headers.get('x-clickhouse-exception-tag')).toMatch(/^\w{16}$/)
    expect(headers.get('content-length')).toBe('6')
  })

  it('makes an id of its own when the client chose none or an unfit one', async () => {
    for (const search of [{}, { query_id: 'a b' }]) {
      const { headers } = await ask(store, reader, 'SELECT 1', search as Record<string, string>)
      expect(headers.get('x-clickhouse-query-id')).toMatch(/^[0-9a-f-]{36}$/)
    }
  })
})

describe('errors', () => {
  it.each([
    ['SELEC 1', 62, 400],
    ['SELECT nope', 47, 400],
    ['SELECT * FROM nope', 60, 404],
    ['SELECT * FROM nope.nope', 81, 404],
    ['SELECT 1 FORMAT Nope', 73, 404],
    ['SELECT throwIf(1)', 395, 500],
    ['', 62, 400],
  ])('answers %j with code %d and status %d', async (sql, expected, status) => {
    const answer = await ask(store, writer, sql)
    expect([code(answer.headers), answer.status]).toEqual([String(expected), status])
    expect(answer.text).toMatch(
      new RegExp(
        `^Code: ${expected}\\. DB::Exception: [\\s\\S]+ \\([A-Z_]+\\) \\(version [\\d.]+ \\(official build\\)\\)\\n$`,
      ),
    )
    expect(answer.text).not.toContain('pipes')
    expect(answer.text).not.toMatch(/Exception: Code:/)
  })

  it('gives an error after few rows its own status', async () => {
    const answer = await ask(store, reader, 'SELECT throwIf(number = 3) FROM numbers(10)', {
      max_block_size: '1',
    })
    expect([answer.status, code(answer.headers)]).toEqual([500, '395'])
  })

  it('puts an error after many rows into the stream, under the tag', async () => {
    const sql = 'SELECT throwIf(number = 3000000), toString(number) FROM numbers(4000000)'
    const plain = await ask(store, reader, sql)
    const tag = plain.headers.get('x-clickhouse-exception-tag')
    const end = new RegExp(
      `\\r\\n__exception__\\r\\n${tag}\\r\\n(Code: 395\\. [\\s\\S]*?)\\n(\\d+) ${tag}\\r\\n__exception__\\r\\n$`,
    )
    expect(plain.status).toBe(200)
    const [, words, length] = end.exec(plain.text.slice(-2000))!
    expect(Number(length)).toBe(Buffer.byteLength(words!) + 1)
    const packed = await ask(
      store,
      reader,
      sql,
      { enable_http_compression: '1' },
      { 'accept-encoding': 'gzip' },
    )
    expect(packed.text.slice(-2000)).toMatch(/Code: 395\. [\s\S]*\r\n__exception__\r\n$/)
  })

  it('answers a body that is no valid request target or encoding', async () => {
    const broken = await ask(
      store,
      writer,
      'not gzip',
      { query: 'INSERT INTO t FORMAT CSV' },
      { 'content-encoding': 'gzip' },
    )
    expect([broken.status, code(broken.headers)]).toEqual([400, '33'])
  })

  it('bounds a statement, from URL and body', async () => {
    const long = `SELECT '${'x'.repeat(300 * 1024)}'`
    const answer = await ask(store, reader, long)
    expect([answer.status, code(answer.headers)]).toEqual([413, '307'])
    const url = await fetch(`${store.url}/?query=${'x'.repeat(400 * 1024)}`).catch(() => ({ status: 431 }))
    expect(url.status).toBe(431)
  })
})

describe('compression', () => {
  const unpack = {
    gzip: gunzipSync,
    deflate: inflateSync,
    br: brotliDecompressSync,
    zstd: zstdDecompressSync,
  }

  it.each(Object.keys(unpack) as (keyof typeof unpack)[])(
    'answers in %s when told twice',
    async (encoding) => {
      const url = `${store.url}/?enable_http_compression=1&user=${reader.user}&password=${reader.password}&query=SELECT%20number%20FROM%20numbers(100000)`
      const { headers, body } = await raw(url, 'GET', { 'accept-encoding': encoding })
      expect(headers['content-encoding']).toBe(encoding)
      expect(unpack[encoding](body).toString().split('\n')).toHaveLength(100_001)
    },
  )

  it('answers plainly when not asked, or asked for what it does not know', async () => {
    const plain = await ask(store, reader, 'SELECT 1', {}, { 'accept-encoding': 'gzip' })
    expect(plain.headers.get('content-encoding')).toBe(null)
    const lz4 = await ask(
      store,
      reader,
      'SELECT 1',
      { enable_http_compression: '1' },
      { 'accept-encoding': 'lz4' },
    )
    expect([lz4.headers.get('content-encoding'), lz4.text]).toEqual([null, '1\n'])
  })

  it('reads a packed statement', async () => {
    for (const [encoding, pack] of [
      ['gzip', gzipSync],
      ['zstd', zstdCompressSync],
    ] as const) {
      const answer = await ask(
        store,
        reader,
        new Uint8Array(pack(Buffer.from('SELECT 42'))),
        {},
        { 'content-encoding': encoding },
      )
      expect(answer.text).toBe('42\n')
    }
  })

  it('does not let a packed body grow past the limit', async () => {
    const bomb = new Uint8Array(gzipSync(Buffer.alloc(80 * 1024 * 1024, 0x20)))
    const answer = await ask(
      store,
      writer,
      bomb,
      { query: 'INSERT INTO t FORMAT CSV' },
      { 'content-encoding': 'gzip' },
    )
    expect([answer.status, code(answer.headers)]).toEqual([413, '307'])
  })

  it("refuses ClickHouse's own blocks and lz4 with advice", async () => {
    const blocks = await ask(store, writer, 'SELECT 1', { compress: '1' })
    expect([blocks.status, code(blocks.headers)]).toEqual([501, '48'])
    expect(blocks.text).toMatch(/switch it off in the client/)
    const lz4 = await ask(
      store,
      writer,
      'x',
      { query: 'INSERT INTO t FORMAT Native' },
      { 'content-encoding': 'lz4' },
    )
    expect(lz4.text).toMatch(/compress='zstd'/)
  })
})

describe('a client that misbehaves', () => {
  it('gets a timeout or an error, and the store goes on', async () => {
    const { hostname, port } = new URL(store.url)
    const socket = connect(Number(port), hostname)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n')
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 400/)
    socket.destroy()
    const half = connect(Number(port), hostname)
    half.write(
      `POST /?query=INSERT%20INTO%20t%20FORMAT%20CSV&user=${writer.user}&password=${writer.password} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n1,a`,
    )
    await once(half, 'connect')
    half.destroy()
    expect((await ask(store, reader, 'SELECT count() FROM t')).text).toBe('0\n')
  })

  it('leaves the connection usable after an error', async () => {
    for (let i = 0; i < 3; i++) expect((await ask(store, reader, 'SELEC')).status).toBe(400)
    expect((await ask(store, reader, 'SELECT 1')).text).toBe('1\n')
  })
})
