import { describe, expect, test } from 'vitest'
import { DEAD_BODY_MAX, readLines } from '../../../collector/intake/lines.ts'
import { COLUMN_NAMES, EVENT_COLUMN_NAMES } from '../../../collector/schema/columns.ts'
import { compileBook } from '../../../config/cost-book.ts'
import type { CallEvent } from '../../../event/fields.ts'
import { makeEvent, makeIntent } from '../support/events.ts'

const ID = 'a'.repeat(32)
const DEFINITION = {
  definition: 1,
  ts: Date.now() * 1000,
  server: 'bank',
  tool: 'transfer',
  hash: ID,
  tokens: 10,
  bytes: 40,
  read_only: false,
  destructive: true,
  text: '{"name":"transfer"}',
  server_version: '',
}
const LIST = {
  list: 1,
  ts: Date.now() * 1000,
  list_id: ID,
  parts: [
    {
      server: 'bank',
      part_id: ID,
      tools: [
        ['transfer', ID, 10],
        ['look', ID, 5],
      ],
    },
    { server: 'none', part_id: ID, tools: [] },
  ],
}

const read = (lines: readonly (object | string)[], keepEvents = false) =>
  readLines(
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
    'b-1',
    keepEvents,
    compileBook([]).rate,
  )
const value = (row: string, name: string): unknown =>
  (JSON.parse(row) as unknown[])[EVENT_COLUMN_NAMES.indexOf(name)]

test('an event becomes a row with a value for every column and its batch id last', async () => {
  const event = makeEvent()
  const { calls } = await read([event])
  const row = JSON.parse(calls[0]!) as unknown[]
  expect(row).toHaveLength(COLUMN_NAMES.length + 1)
  expect(row.at(-1)).toBe('b-1')
  expect(Object.fromEntries(EVENT_COLUMN_NAMES.map((name, i) => [name, row[i]]))).toEqual(
    Object.fromEntries(EVENT_COLUMN_NAMES.map((name) => [name, event[name as keyof CallEvent]])),
  )
})

test('definitions and lists become rows of their own, one a tool, one for a server without any', async () => {
  const rows = await read([DEFINITION, LIST, makeEvent()])
  expect(rows.calls).toHaveLength(1)
  expect(rows.dead).toEqual([])
  const { ts, text } = DEFINITION
  expect(rows.definitions.map((row) => JSON.parse(row) as unknown[])).toEqual([
    ['bank', 'transfer', ID, 10, 40, 0, 1, ts, ts, { ts, definition: text, server_version: '' }],
  ])
  expect(rows.listed.map((row) => (JSON.parse(row) as unknown[]).slice(0, 6))).toEqual([
    [ID, 'bank', ID, 'transfer', ID, 10],
    [ID, 'bank', ID, 'look', ID, 5],
    [ID, 'none', ID, '', '', 0],
  ])
})

test('the same text makes the same rows and the same dead letters', async () => {
  const lines = [
    makeEvent(),
    'x',
    makeIntent(makeEvent()),
    { version: 9 },
    makeEvent({ captured_result: 'r' }),
  ]
  expect(await read(lines)).toEqual(await read(lines))
})

describe('a line that cannot be a row becomes a dead letter and harms no other', () => {
  const without = (name: string): object => {
    const { [name]: _, ...rest } = makeEvent() as unknown as Record<string, unknown>
    return rest
  }
  const bad: [string, object | string, string][] = [
    ['torn', '{"version":1,"ev', 'not_json'],
    ['a list', '[]', 'not_json'],
    ['a newer version', { ...makeEvent(), version: 2 }, 'version'],
    ['no id', without('event_id'), 'field'],
    ['no outcome', without('outcome'), 'field'],
    ['an outcome of its own', { ...makeEvent(), outcome: 'fine' }, 'field'],
    ['a text for a number', { ...makeEvent(), duration_us: '5' }, 'field'],
    ['a negative duration', { ...makeEvent(), duration_us: -1 }, 'field'],
    ['a fraction', { ...makeEvent(), duration_us: 1.5 }, 'field'],
    ['a status beyond its column', { ...makeEvent(), http_status: 70_000 }, 'field'],
    ['a time in milliseconds', { ...makeEvent(), ts: Date.now() }, 'field'],
    ['labels that are no texts', { ...makeEvent(), labels: { a: 1 } }, 'field'],
    ['an attempt without span', { ...makeEvent(), upstream_attempts: [{ server: 'a' }] }, 'field'],
    ['a definition of a later version', { ...DEFINITION, definition: 2 }, 'version'],
    ['a definition with a hash of its own', { ...DEFINITION, hash: 'x' }, 'field'],
    ['a definition without a size', { ...DEFINITION, tokens: undefined }, 'field'],
    ['a definition of another century', { ...DEFINITION, ts: 1 }, 'field'],
    ['a list without parts', { ...LIST, parts: undefined }, 'field'],
    [
      'a list of a tool without tokens',
      { ...LIST, parts: [{ ...LIST.parts[0], tools: [['a', ID]] }] },
      'field',
    ],
    ['a list of nothing', { ...LIST, parts: [null] }, 'field'],
    ['an intent without id', { ...makeIntent(makeEvent()), event_id: 'x' }, 'field'],
  ]
  test.each(bad)('%s', async (_, line, reason) => {
    const rows = await read([makeEvent(), line, makeEvent()])
    expect(rows.calls).toHaveLength(2)
    expect(rows.callRows).toEqual([0, 2])
    expect(rows.dead).toEqual([{ row_no: 1, reason, error: expect.any(String), body: expect.any(String) }])
  })
})

test('no error text carries a value of the line', async () => {
  const { dead } = await read([{ ...makeEvent(), tool: { secret: 'hunter2' } }, 'hunter2'])
  expect(dead.map((letter) => letter.error).join()).not.toContain('hunter2')
})

test('a field the proxy does not know yet is empty, one this version does not know is counted', async () => {
  const { upstream_attempts: _, era: __, ...older } = makeEvent()
  const rows = await read([older, { ...makeEvent(), from_the_future: 1, another: 2 }])
  expect(rows.dead).toEqual([])
  expect(value(rows.calls[0]!, 'upstream_attempts')).toEqual([])
  expect(value(rows.calls[0]!, 'era')).toBe('unknown')
  expect(rows.unknownFields).toBe(2)
  expect(rows.unknownNames).toEqual(['from_the_future', 'another'])
})

test('a measure too large for its column is kept as the largest there is', async () => {
  const { calls } = await read([makeEvent({ queue_us: 2 ** 33, request_bytes: 2 ** 40 })])
  expect(value(calls[0]!, 'queue_us')).toBe(2 ** 32 - 1)
  expect(value(calls[0]!, 'request_bytes')).toBe(2 ** 32 - 1)
})

test('half a surrogate pair is mended, for no database takes it', async () => {
  const { calls, dead } = await read([
    JSON.stringify(makeEvent({ tool: 'ab' })).replace('"ab"', '"a\\ud800b"'),
  ])
  expect(dead).toEqual([])
  expect(value(calls[0]!, 'tool')).toBe('a\uFFFDb')
})

test('captured content goes to the payloads and never into the row', async () => {
  const rows = await read([makeEvent({ captured_arguments: '{"iban":"***"}', captured_result: 'text' })])
  expect(rows.payloads.map((line) => (JSON.parse(line) as unknown[]).slice(6, 8))).toEqual([
    ['arguments', '{"iban":"***"}'],
    ['result', 'text'],
  ])
  expect(rows.calls[0]).not.toContain('iban')
})

test('empty lines are nothing, and a dead line is cut', async () => {
  const rows = await read(['', makeEvent(), '', '', `${'x'.repeat(DEAD_BODY_MAX + 10)}`])
  expect(rows.calls).toHaveLength(1)
  expect(rows.dead[0]).toMatchObject({ row_no: 4 })
  expect(rows.dead[0]!.body).toHaveLength(DEAD_BODY_MAX)
})

test('events are kept only when somebody wants them', async () => {
  expect((await read([makeEvent()])).events).toEqual([])
  expect((await read([makeEvent()], true)).events).toHaveLength(1)
})
