import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ApiError } from '../../../collector/api/errors.ts'
import { readSilence } from '../../../collector/api/silences.ts'
import { openReader, type Reader } from '../../../collector/queries/client.ts'
import { run as readSilences } from '../../../collector/queries/silences.ts'
import { type Collector, openCollector } from '../../../collector/wire.ts'
import {
  collectorOptions,
  isReady,
  type Running,
  scratchFolder,
  startStore,
  until,
} from '../support/processes.ts'

const folder = scratchFolder()
let store: Running
let collector: Collector
let reader: Reader & { close(): Promise<void> }

beforeAll(async () => {
  store = await startStore(folder.path)
  const options = collectorOptions(store.address)
  collector = await openCollector(options, () => {})
  reader = openReader(options.store)
  await until(() => isReady(collector.address), 'ready')
}, 60_000)
afterAll(async () => {
  await reader?.close()
  await collector?.drain()
  await store?.drain()
  folder.remove()
}, 60_000)

const LABELS = new Set(['server', 'alertname', 'own'])
const NOW = 1_800_000_000_000
const body = (more: object): Buffer =>
  Buffer.from(
    JSON.stringify({
      matchers: [{ name: 'server', op: '=', value: 'bank' }],
      ends_at: NOW + 60_000,
      ...more,
    }),
  )

test.each([
  ['no JSON', Buffer.from('{'), /not JSON/],
  ['a list', Buffer.from('[]'), /not a JSON object/],
  ['an unknown field', body({ endsAt: 1 }), /no field endsAt/],
  ['no matcher', body({ matchers: [] }), /1 to 20 matchers/],
  ['half a matcher', body({ matchers: [{ name: 'server' }] }), /not \{name, op, value\}/],
  ['an unknown operator', body({ matchers: [{ name: 'server', op: '==', value: 'x' }] }), /no operator/],
  [
    'a label no alert has',
    body({ matchers: [{ name: 'srever', op: '=', value: 'x' }] }),
    /no alert here has the label srever/,
  ],
  [
    'a bad pattern',
    body({ matchers: [{ name: 'server', op: '=~', value: '(a+)+' }] }),
    /pattern that repeats a group/,
  ],
  ['everything', body({ matchers: [{ name: 'server', op: '=~', value: '.*' }] }), /keep everything quiet/],
  ['all but one', body({ matchers: [{ name: 'server', op: '!=', value: 'x' }] }), /keep everything quiet/],
  ['no end', body({ ends_at: undefined }), /ends_at is not a moment/],
  ['an end that was', body({ ends_at: NOW - 1 }), /not after its start/],
  ['an end before the start', body({ starts_at: NOW + 60_001 }), /not after its start/],
  ['years', body({ ends_at: NOW + 400 * 86_400_000 }), /more than a year/],
  ['a long comment', body({ comment: 'x'.repeat(501) }), /comment is not a text/],
])('%s is refused, and why', (_what, bytes, why) => {
  expect(() => readSilence(bytes, LABELS, NOW)).toThrow(ApiError)
  expect(() => readSilence(bytes, LABELS, NOW)).toThrow(why)
})

type Answer = { status: number; json: Record<string, never> & { id?: string; error?: { code: string } } }
const ask = (method: string, path: string, headers: Record<string, string>, text = ''): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = httpRequest(`${collector.address}${path}`, { method, headers }, (response) => {
      let answer = ''
      response.on('data', (chunk) => {
        answer += String(chunk)
      })
      response.on('end', () =>
        resolve({ status: response.statusCode!, json: JSON.parse(answer || '{}') as Answer['json'] }),
      )
    })
    sent.on('error', reject)
    sent.end(text)
  })
const JSON_TYPE = { 'content-type': 'application/json' }
const valid = (): string =>
  JSON.stringify({
    matchers: [{ name: 'server', op: '=~', value: 'b.*' }],
    ends_at: Date.now() + 3_600_000,
    comment: 'moving',
  })

test('made, listed and ended', async () => {
  const made = await ask('POST', '/api/silences', JSON_TYPE, valid())
  expect(made.status).toBe(201)
  const [row] = await readSilences(reader, { only: 'running' })
  expect(row).toMatchObject({
    id: made.json.id,
    active: 1,
    comment: 'moving',
    matchers: [{ name: 'server', op: '=~', value: 'b.*' }],
  })
  expect((await ask('DELETE', `/api/silences/${made.json.id}`, {})).status).toBe(200)
  expect(await readSilences(reader, { only: 'running' })).toEqual([])
  expect((await readSilences(reader)).map((r) => r.active)).toEqual([0])
  expect((await ask('DELETE', `/api/silences/${made.json.id}`, {})).json.error!.code).toBe('silence_unknown')
})

test('no page of another site, no form, no other host and nobody from elsewhere without a key', async () => {
  const refusals: [Record<string, string>, number][] = [
    [{ ...JSON_TYPE, origin: 'https://evil.example' }, 403],
    [{ ...JSON_TYPE, 'sec-fetch-site': 'cross-site' }, 403],
    [{ ...JSON_TYPE, 'sec-fetch-site': 'same-site' }, 403],
    [{ ...JSON_TYPE, host: 'evil.example' }, 403],
    [{ 'content-type': 'text/plain' }, 415],
    [{ 'content-type': 'application/x-www-form-urlencoded' }, 415],
    [{}, 415],
    [{ ...JSON_TYPE, 'x-forwarded-for': '10.0.0.1' }, 401],
    [{ ...JSON_TYPE, 'x-forwarded-for': '10.0.0.1', authorization: 'Bearer wrong' }, 401],
  ]
  const before = (await readSilences(reader)).length
  for (const [headers, status] of refusals)
    expect((await ask('POST', '/api/silences', headers, valid())).status, JSON.stringify(headers)).toBe(
      status,
    )
  expect((await ask('DELETE', '/api/silences/x', { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
  expect((await readSilences(reader)).length).toBe(before)
})
