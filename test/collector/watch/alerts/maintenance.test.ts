import { expect, test } from 'vitest'
import { isWithin, openMaintenance } from '../../../../collector/watch/alerts/maintenance.ts'
import type { MaintenanceConfig } from '../../../../config/alerts.ts'

const weekly = (more: Partial<MaintenanceConfig> = {}): MaintenanceConfig => ({
  name: 'night',
  time_zone: 'Europe/Berlin',
  days: ['mon'],
  from: '22:00',
  to: '02:00',
  match: [],
  ...more,
})
const at = (iso: string): number => Date.parse(iso)

test.each([
  // Monday 5 January 2026 in Berlin is UTC+1.
  ['2026-01-05T20:59:59Z', false],
  ['2026-01-05T21:00:00Z', true],
  ['2026-01-06T00:59:59Z', true],
  ['2026-01-06T01:00:00Z', false],
  // The night from Sunday to Monday is none.
  ['2026-01-04T23:30:00Z', false],
  // In summer the same clock is an hour earlier.
  ['2026-07-06T20:00:00Z', true],
  ['2026-07-06T19:59:59Z', false],
])('weekly over midnight, by the clocks of its zone: %s %s', (iso, expected) => {
  expect(isWithin(weekly(), at(iso))).toBe(expected)
})

test('on the night of the change it is as long as clocks say', () => {
  const change = weekly({ days: ['sun'], from: '01:00', to: '04:00' })
  // 29 March 2026: 02:00 becomes 03:00, so 01:00 to 04:00 are two hours.
  expect(isWithin(change, at('2026-03-29T00:00:00Z'))).toBe(true)
  expect(isWithin(change, at('2026-03-29T01:59:59Z'))).toBe(true)
  expect(isWithin(change, at('2026-03-29T02:00:00Z'))).toBe(false)
})

test('a dated window is once', () => {
  const { days: _days, ...rest } = weekly({ from: '2026-05-01T08:00', to: '2026-05-02T08:00' })
  expect(isWithin(rest, at('2026-05-01T05:59:59Z'))).toBe(false)
  expect(isWithin(rest, at('2026-05-01T06:00:00Z'))).toBe(true)
  expect(isWithin(rest, at('2026-05-02T06:00:00Z'))).toBe(false)
})

test('it keeps quiet only what it is meant for', () => {
  const quiet = openMaintenance([weekly({ match: ['server=bank'] })])
  const now_ms = at('2026-01-05T22:00:00Z')
  expect(quiet({ server: 'bank' }, now_ms)).toBe('night')
  expect(quiet({ server: 'files' }, now_ms)).toBe('')
  expect(quiet({ server: 'bank' }, at('2026-01-07T22:00:00Z'))).toBe('')
})
