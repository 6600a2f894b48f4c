/** The console's questions over HTTP: who may ask, what is refused, CSV, caching, and answers that agree with each other. */
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toCsv } from '../../collector/api/csv.ts'
import { openLogins } from '../../collector/api/logins.ts'
import { QUESTIONS } from '../../collector/api/registry.ts'
import { openConsoleReader, openReader } from '../../collector/queries/client.ts'
import * as figures from '../../collector/queries/figures.ts'
import * as latency from '../../collector/queries/latency.ts'
import { bound } from '../../collector/queries/scope.ts'
import * as series from '../../collector/queries/series.ts'
import { makeEvent, newBatchId, nowUs, segmentOf, sendBatch } from '../collector/support/events.ts'
import { WRITER } from '../collector/support/processes.ts'
import { waitFor } from '../support/wait.ts'
import { FINDINGS, FORMULA, KEY, RUN_ID, startWorld, type World } from './support/seeded.ts'

let world: World
const FAR = { 'x-forwarded-for': '203.0.113.7' }

beforeAll(async () => {
  world = await startWorld({ caller_keys: [createHash('sha256').update(KEY).digest('hex')] })
})
afterAll(() => world?.stop())

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(world.address + path, { headers })
const rowsOf = async <T>(path: string): Promise<T> => (await get(path)).json() as Promise<T>

describe('who may ask', () => {
  test('this machine without a key; from elsewhere with a key or a session, and no other way', async () => {
    expect((await get('/api/tools')).status).toBe(200)
    expect((await get('/api/tools', FAR)).status).toBe(401)
    expect((await get('/api/tools', { ...FAR, authorization: `Bearer ${KEY}` })).status).toBe(200)
    expect((await get('/api/tools', { ...FAR, authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await get('/api/tools', { ...FAR, cookie: `weir_console=${'A'.repeat(43)}` })).status).toBe(401)
    expect(await (await get('/api/session', FAR)).json()).toMatchObject({ open: false, questions: [] })
  })

  test('a login opens a session that scripts cannot read and other sites cannot use, and logout ends it', async () => {
    const login = (body: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${world.address}/api/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...FAR, ...headers },
        body,
      })
    expect((await login('{"key":"wrong"}')).status).toBe(401)
    expect((await login(`{"key":"${KEY}"}`, { 'content-type': 'text/plain' })).status).toBe(400)
    expect((await login(`{"key":"${KEY}"}`, { origin: 'http://evil.example' })).status).toBe(403)
    const opened = await login(`{"key":"${KEY}"}`, { 'x-forwarded-proto': 'https' })
    const cookie = opened.headers.get('set-cookie')!
    expect(cookie).toMatch(/HttpOnly; SameSite=Strict; Max-Age=\d+; Secure$/)
    expect(cookie).not.toContain(KEY)
    const session = { ...FAR, cookie: cookie.split(';')[0]! }
    expect((await get('/api/tools', session)).status).toBe(200)
    expect((await get('/api/tools', { ...session, 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    await fetch(`${world.address}/api/logout`, { method: 'POST', headers: session })
    expect((await get('/api/tools', session)).status).toBe(401)
  })

  test('a session ends by time, and is kept as a hash only', () => {
    let now_ms = 0
    const logins = openLogins(() => now_ms)
    const holder = { digest: 'd'.repeat(64) }
    const cookie = logins.open(holder, false).split(';')[0]!
    expect(logins.holderOf(`other=1; ${cookie}`)).toEqual(holder)
    now_ms += 13 * 3_600_000
    expect(logins.holderOf(cookie)).toBeNull()
    expect(logins.holderOf('weir_console=')).toBeNull()
  })

  test('a name that is not ours opens nothing', async () => {
    const status = await new Promise<number>((resolve, reject) =>
      request(`${world.address}/api/tools`, { headers: { host: 'rebound.example' } }, (answer) => {
        answer.resume()
        resolve(answer.statusCode!)
      })
        .once('error', reject)
        .end(),
    )
    expect(status).toBe(403)
  })
})

describe('what is refused', () => {
  test.each([
    ['/api/nothing', 404, 'question_unknown'],
    ['/api/constructor', 404, 'question_unknown'],
    ['/api/tools?color=red', 400, 'parameter_unknown'],
    ['/api/tools?server=a&server=b', 400, 'parameter_twice'],
    ['/api/tools?from=yesterday', 400, 'parameter_malformed'],
    ['/api/tools?from=5&to=4', 400, 'parameter_malformed'],
    ['/api/tools?format=xml', 400, 'parameter_malformed'],
    ['/api/calls?before=1_x', 400, 'parameter_malformed'],
    ['/api/calls?limit=100000', 400, 'parameter_malformed'],
    ['/api/calls?labels=novalue', 400, 'parameter_malformed'],
    ['/api/trace?trace_id=zz', 400, 'parameter_malformed'],
    ['/api/movers?against=year', 400, 'parameter_malformed'],
  ])('%s', async (path, status, code) => {
    const answer = await get(path)
    expect(answer.status).toBe(status)
    const { error } = (await answer.json()) as { error: { code: string; fix: string } }
    expect(error.code).toBe(code)
    expect(error.fix).not.toBe('')
  })

  test('every question answers with what it says it knows, and none can write', async () => {
    const needed: Record<string, string> = {
      trace: `trace_id=${world.trace_id}`,
      find: 'id=run-1',
      'find-run': 'id=run-1',
      run: `id=${RUN_ID}`,
      anomaly: `id=${FINDINGS.open}`,
      'tool-versions': 'server=bank&tool=transfer',
    }
    for (const name of Object.keys(QUESTIONS)) {
      const answer = await get(`/api/${name}?${needed[name] ?? ''}`)
      expect(answer.status, name).toBe(200)
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
    const calls = await rowsOf<{ rows: unknown[] }>(
      `/api/calls?server=${encodeURIComponent("'; DROP TABLE calls; --")}`,
    )
    expect(calls.rows).toEqual([])
    expect((await rowsOf<unknown[]>('/api/tools')).length).toBeGreaterThan(0)
  })
})

describe('CSV', () => {
  test('quotes as RFC 4180 asks, and no cell is a formula', () => {
    expect(
      toCsv([
        { a: 'x,"y"', b: FORMULA, c: -5, d: null, e: ['p', 1] },
        { a: 'line\nbreak', b: '-1.5', c: '+cmd', d: '@x', e: '\tz' },
      ]),
    ).toBe(
      `a,b,c,d,e\r\n"x,""y""","'=HYPERLINK(""http://evil.example"",""x"")",-5,,"[""p"",1]"\r\n"line\nbreak",-1.5,'+cmd,'@x,'\tz\r\n`,
    )
  })

  test('holds what the table holds', async () => {
    const to = world.now_ms
    const path = `/api/tools?from=${to - 3_600_000}&to=${to}`
    const rows = await rowsOf<Record<string, unknown>[]>(path)
    const answer = await get(`${path}&format=csv`)
    expect(answer.headers.get('content-type')).toContain('text/csv')
    expect(answer.headers.get('content-disposition')).toContain('weir-tools.csv')
    const text = await answer.text()
    expect(text).toBe(toCsv(rows))
    expect(text.split('\r\n')).toHaveLength(rows.length + 2)
  })
})

describe('answers agree', () => {
  test('the rollups with the calls, on whole steps', async () => {
    const step = 300_000
    const to_ms = Math.ceil(world.now_ms / step) * step
    const scope = { from_ms: to_ms - 12 * step, to_ms }
    const [raw] = await world.reader.rows<figures.FigureRow>(figures.callsSql, bound(scope))
    const [rolled] = await world.reader.rows<figures.FigureRow>(figures.stepsSql, bound(scope))
    for (const name of ['calls', 'failed', 'faults', 'max_us', 'request_bytes', 'tokens_out'] as const)
      expect(rolled![name], name).toBe(raw![name])
    for (const name of ['p50_us', 'p95_us', 'p99_us', 'overhead_p99_us'] as const)
      expect(Math.abs(rolled![name] / raw![name] - 1), name).toBeLessThan(0.05)
    const at = { ...bound(scope), step_s: 300 }
    expect(await world.reader.rows(latency.stepsSql, at)).toEqual(
      await world.reader.rows(latency.callsSql, at),
    )
    const sums = (rows: series.StepRow[]): unknown[] =>
      rows.map((r) => [r.t_ms, r.calls, r.failed, r.wait_us_sum, r.overhead_us_sum])
    const [a, b] = await Promise.all([
      world.reader.rows<series.StepRow>(series.stepsSql, at),
      world.reader.rows<series.StepRow>(series.callsSql, at),
    ])
    expect(sums(a)).toEqual(sums(b))
    const tools = await world.reader.rows<figures.ToolRow>(figures.toolStepsSql, {
      ...bound(scope),
      limit: 100,
    })
    expect(tools.map((t) => [t.server, t.tool, t.calls])).toEqual(
      (await world.reader.rows<figures.ToolRow>(figures.toolsSql, { ...bound(scope), limit: 100 })).map(
        (t) => [t.server, t.tool, t.calls],
      ),
    )
    for (const tool of tools) expect(tool.trend.reduce((sum, n) => sum + Number(n), 0)).toBe(tool.calls)
  })

  test('calls of all fingerprints are the failures', async () => {
    const range = `from=${world.now_ms - 3_600_000}&to=${world.now_ms}`
    const causes = await rowsOf<{ failures: number }[]>(`/api/fingerprints?${range}`)
    const [all] = await rowsOf<{ failed: number }[]>(`/api/figures?${range}`)
    expect(causes.reduce((sum, c) => sum + c.failures, 0)).toBe(all!.failed)
  })

  test('a server is down when faults follow each other and nothing went well since', async () => {
    const send = async (more: object, back_us: number): Promise<void> => {
      const event = makeEvent({ server: 'shaky', tool: 'x', ts: nowUs() - back_us, ...more })
      expect((await sendBatch(world.address, newBatchId(), segmentOf([event]))).status).toBe(200)
    }
    const state = async (): Promise<string> => {
      const servers = await rowsOf<{ server: string; state: string }[]>('/api/servers?server=shaky')
      return servers.map((s) => s.state).join()
    }
    const fault = { outcome: 'upstream_error', owner: 'upstream', error_message: 'gone' }
    await send({}, 60e6)
    expect(await state()).toBe('fine')
    for (const back_us of [50e6, 40e6]) await send(fault, back_us)
    expect(await state()).toBe('failing')
    await send(fault, 30e6)
    expect(await state()).toBe('down')
    await send({ outcome: 'tool_error', owner: 'client' }, 20e6)
    expect(await state()).toBe('down')
    await send({}, 10e6)
    expect(await state()).toBe('failing')
  })
})

describe('files', () => {
  test('the page names its files by content; they are compressed, kept, and not sent twice', async () => {
    const page = await get('/tools/a/b')
    const html = await page.text()
    expect(page.headers.get('cache-control')).toBe('no-cache')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'")
    expect(html).not.toMatch(/<script(?![^>]*src=)|<style|style="|https?:\/\//)
    const app = /src="(\/console\/[^"]+\/app\.js)"/.exec(html)![1]!
    const files = [...html.matchAll(/(?:src|href)="(\/console\/[^"]+)"/g)].map((m) => m[1]!)
    expect(files.length).toBeGreaterThan(20)
    for (const file of files) expect((await get(file)).status, file).toBe(200)
    const plain = await get(app, { 'accept-encoding': 'identity' })
    expect(plain.headers.get('cache-control')).toContain('immutable')
    expect(plain.headers.get('x-content-type-options')).toBe('nosniff')
    expect(plain.headers.get('content-type')).toContain('text/javascript')
    const source = await plain.text()
    expect(source).toMatch(/from '\.\/lib\/preact\.js'/)
    const etag = plain.headers.get('etag')!
    expect((await get(app, { 'if-none-match': etag })).status).toBe(304)
    for (const [encoding, inflate] of [
      ['gzip', gunzipSync],
      ['zstd', zstdDecompressSync],
    ] as const) {
      const body = await new Promise<Buffer>((resolve, reject) =>
        request(world.address + app, { headers: { 'accept-encoding': encoding } }, async (answer) => {
          expect(answer.headers['content-encoding']).toBe(encoding)
          resolve(Buffer.concat(await answer.toArray()))
        })
          .once('error', reject)
          .end(),
      )
      expect(inflate(body).toString()).toBe(source)
    }
    expect((await get('/console/none/app.js')).status).toBe(404)
    expect((await get('/console/..%2f..%2fpackage.json')).status).toBe(404)
  })
})

test('a question whose asker left ends in the store', async () => {
  // Only the writer may see what runs.
  const writer = openReader({ url: world.store, ...WRITER, database: 'weir', timeout_ms: 20_000 })
  const running = (): Promise<{ n: number }[]> =>
    writer.rows<{ n: number }>(
      "SELECT count() AS n FROM system.processes WHERE query LIKE '%SLOW_QUESTION%' AND query NOT LIKE '%system.processes%'",
    )
  const reader = openConsoleReader({ url: world.store, user: 'reader', password: '', database: 'weir' })
  const gone = new AbortController()
  const asked = reader
    .asking(gone.signal, 50)
    .rows('SELECT count() AS SLOW_QUESTION FROM numbers(100000000000) WHERE number % 7 = 3')
    .catch((error: Error) => error)
  await waitFor('the question runs', async () => (await running())[0]!.n > 0)
  gone.abort()
  expect(await asked).toBeInstanceOf(Error)
  await waitFor('the question has ended', async () => (await running())[0]!.n === 0)
  await expect(reader.asking(new AbortController().signal, 5).rows('DROP TABLE calls')).rejects.toThrow()
  await reader.close()
  await writer.close()
})
