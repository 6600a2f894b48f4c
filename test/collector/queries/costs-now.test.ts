import { expect, test } from 'vitest'
import type { Reader } from '../../../collector/queries/client.ts'
import { run } from '../../../collector/queries/costs-now.ts'

test('many events are asked for in pieces: ids travel in an address that has an end', async () => {
  const asked: { first_us: number; last_us: number; events: string[] }[] = []
  const reader = {
    rows: async (_sql: string, params: (typeof asked)[number]) => {
      asked.push(params)
      return [{ event_id: params.events.at(-1)!, cost_nano: 7, cost_source: 'server', price_id: 'p' }]
    },
  } as unknown as Reader
  const rows = Array.from({ length: 50_000 }, (_, i) => ({
    event_id: `e${i}`,
    at: i,
    cost_nano: 0,
    cost_source: 'unpriced',
  }))
  const now = await run(reader, rows, (row) => row.at)
  expect(Math.max(...asked.map(({ events }) => events.length))).toBeLessThanOrEqual(2_000)
  expect(asked.flatMap(({ events }) => events)).toEqual(rows.map((row) => row.event_id))
  expect(asked[1]).toMatchObject({ first_us: 2_000, last_us: 3_999 })
  expect(now.filter((row) => row.cost_nano === 7).length).toBe(asked.length)
  expect(now[1_999]).toEqual({ event_id: 'e1999', at: 1_999, cost_nano: 7, cost_source: 'server' })
})
