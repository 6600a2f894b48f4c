import { describe, expect, test } from 'vitest'
import { rank } from '../../../../collector/watch/anomaly/differs.ts'
import { loopAt } from '../../../../collector/watch/anomaly/event-detectors.ts'
import { offHours } from '../../../../collector/watch/anomaly/habits.ts'
import { isIgnored } from '../../../../collector/watch/anomaly/ignore.ts'
import { judge } from '../../../../collector/watch/anomaly/judge.ts'
import { BUCKET_S, type Metric, SLOTS, slotOf } from '../../../../collector/watch/anomaly/metrics.ts'
import { seriesSummary } from '../../../../collector/watch/anomaly/summary.ts'
import { surprise } from '../../../../collector/watch/anomaly/usual.ts'
import type { Point, Series } from '../../../../collector/watch/anomaly/window.ts'

const LIMITS = { sensitivity: 'medium', min_calls: 20 } as const
const T = 1_767_571_200 + 20 * BUCKET_S

/** The last `values.length` buckets up to T, newest last. */
function series(metric: Metric, values: readonly Partial<Point>[], baseline: Series['baseline']): Series {
  const points = new Map<number, Point>()
  values.forEach((point, i) => {
    points.set(T - (values.length - 1 - i) * BUCKET_S, { n: 10, bad: 0, x: 0, ...point })
  })
  return { scope: 'tool', name: 'bank/get', metric, points, baseline }
}
const weekly = (center: number, sigma = 0.05, traffic = 30): Series['baseline'] => ({
  centers: new Array(SLOTS).fill(center),
  shift: 0,
  sigma,
  traffic,
})
const three = (point: Partial<Point>): Partial<Point>[] => [point, point, point]

describe('a series against its week', () => {
  test('twice as slow stands out, with the band in microseconds; as usual does not', () => {
    const center = Math.log(100_000)
    const slow = judge(series('mid', three({ x: Math.log(200_000) }), weekly(center)), T, LIMITS)!
    expect(slow.direction).toBe(1)
    expect(slow.value).toBeCloseTo(200_000, 0)
    expect(slow.lower).toBeLessThan(100_000)
    expect(slow.upper).toBeLessThan(120_000)
    expect(judge(series('mid', three({ x: center }), weekly(center)), T, LIMITS)!.direction).toBe(0)
    // Faster is no finding.
    expect(judge(series('mid', three({ x: Math.log(30_000) }), weekly(center)), T, LIMITS)!.direction).toBe(0)
  })

  test('too few calls are not judged, and less traffic than usual widens the band', () => {
    const point = { x: Math.log(200_000) }
    const usual = weekly(Math.log(100_000), 0.05, 3_000)
    expect(judge(series('mid', three({ ...point, n: 5 }), usual), T, LIMITS)).toBeNull()
    expect(judge(series('mid', three({ ...point, n: 10 }), usual), T, LIMITS)!.direction).toBe(0)
    expect(judge(series('mid', three({ ...point, n: 1_000 }), usual), T, LIMITS)!.direction).toBe(1)
  })

  test('no calls where there are always some is silence; where there never are any it is nothing', () => {
    const busy = weekly(2 * Math.sqrt(60.375), 1)
    const silent = judge(series('vol', three({ n: 0 }), busy), T, LIMITS)!
    expect(silent).toMatchObject({ direction: -1, isSilent: true, value: 0 })
    expect(silent.expected).toBeCloseTo(60, 3)
    expect(judge(series('vol', three({ n: 0 }), weekly(2 * Math.sqrt(1.375), 1)), T, LIMITS)).toBeNull()
    expect(judge(series('vol', three({ n: 80 }), busy), T, LIMITS)!.direction).toBe(1)
  })

  test('one bucket is enough for a plain change, and is no reason for a small one', () => {
    const busy = weekly(2 * Math.sqrt(180.375), 1)
    const then = (n: number): Partial<Point>[] => [{ n: 60 }, { n: 60 }, { n }]
    expect(judge(series('vol', then(180), busy), T, LIMITS)).toMatchObject({ direction: 1, isCertain: true })
    expect(judge(series('vol', then(95), busy), T, LIMITS)!.direction).toBe(0)
    // At the edge of a day's work both sides of it are usual.
    const edge = weekly(2 * Math.sqrt(180.375), 1)!
    const at = slotOf(T)
    const calls = (slot: number): number => (slot < at ? 180 : slot === at ? 300 : 540)
    const centers = edge.centers.map((_, slot) => 2 * Math.sqrt(calls(slot) + 0.375))
    expect(judge(series('vol', then(180), { ...edge, centers }), T, LIMITS)!.direction).toBe(0)
    const price = (x: number): Partial<Point> => ({ n: 40, x })
    const dear = judge(series('cost', [price(10), price(10), price(11)], weekly(10, 0.02, 120)), T, LIMITS)!
    expect(dear).toMatchObject({ direction: 1, isCertain: true })
  })

  test('a quiet series is judged by its last hour, while the last 15 minutes lean the same way', () => {
    const hour = (early: Partial<Point>, late: Partial<Point>): Partial<Point>[] =>
      Array.from({ length: 12 }, (_, i) => (i < 9 ? early : late))
    const slow = { n: 2, x: Math.log(300_000) }
    const usual = { n: 2, x: Math.log(100_000) }
    const baseline = weekly(Math.log(100_000), 0.1, 6)
    const all = judge(series('mid', hour(slow, slow), baseline), T, LIMITS)!
    expect(all).toMatchObject({ direction: 1, n: 24, minutes: 60 })
    expect(all.value).toBeCloseTo(300_000, 0)
    expect(judge(series('mid', hour(slow, usual), baseline), T, LIMITS)!.direction).toBe(0)
    // Calls as of 15 minutes: 48 in the hour, where 12 are usual.
    const calls = judge(series('vol', hour({ n: 4 }, { n: 4 }), weekly(2 * Math.sqrt(3.375), 1)), T, LIMITS)!
    expect(calls).toMatchObject({ direction: 1, minutes: 60, n: 48 })
    expect(calls.value).toBeCloseTo(12, 6)
    expect(calls.expected).toBeCloseTo(3, 6)
    // Not over a time in which nothing could be told.
    const bounded = { ...LIMITS, reach: 6 }
    expect(
      judge(series('vol', hour({ n: 4 }, { n: 4 }), weekly(2 * Math.sqrt(3.375), 1)), T, bounded)?.direction,
    ).not.toBe(1)
  })

  test('volume is held against the level of the hours before, but an outage never becomes usual', () => {
    const center = 2 * Math.sqrt(300.375)
    const hours = (before: number, now: number): Partial<Point>[] =>
      Array.from({ length: 80 }, (_, i) => ({ n: i < 68 ? before : now }))
    expect(judge(series('vol', hours(120, 120), weekly(center, 1)), T, LIMITS)!.expected).toBeGreaterThan(350)
    expect(judge(series('vol', hours(100, 120), weekly(center, 1)), T, LIMITS)!.expected).toBeCloseTo(300, 3)
    const gone = judge(series('vol', hours(0, 0), weekly(center, 1)), T, LIMITS)!
    expect(gone).toMatchObject({ direction: -1, isSilent: true })
    expect(gone.expected).toBeGreaterThan(220)
  })

  test('a slot of the week that was never seen is not judged', () => {
    const never = { ...weekly(1)!, centers: new Array(SLOTS).fill(null) }
    expect(judge(series('size', three({ x: 9 }), never), T, LIMITS)).toBeNull()
  })

  test('errors are judged by how unlikely they are, and need a few', () => {
    const usual = { centers: [], shift: 0.01, sigma: 1, traffic: 30 }
    expect(judge(series('err', three({ n: 20, bad: 5 }), usual), T, LIMITS)!.direction).toBe(1)
    expect(judge(series('err', three({ n: 20, bad: 1 }), usual), T, LIMITS)!.direction).toBe(0)
    expect(judge(series('err', three({ n: 2, bad: 2 }), usual), T, LIMITS)).toBeNull()
    expect(surprise(10, 100, 0.1)).toBeCloseTo(0, 9)
    expect(surprise(5, 10, 0.05)).toBeCloseTo(4.08, 1)
  })
})

describe('a series that is learning', () => {
  const calm = (count: number): Partial<Point>[] =>
    Array.from({ length: count }, (_, i) => ({ n: 20, x: Math.log(100_000) + 0.03 * Math.sin(i) }))
  test('says nothing in its first two hours, and judges by its own day after', () => {
    const slow = three({ n: 20, x: Math.log(300_000) })
    expect(judge(series('mid', [...calm(20), ...slow], null), T, LIMITS)).toBeNull()
    const judged = judge(series('mid', [...calm(60), ...slow], null), T, LIMITS)!
    expect(judged).toMatchObject({ direction: 1, method: 'learning' })
    expect(judge(series('mid', calm(63), null), T, LIMITS)!.direction).toBe(0)
  })
  test('volume that fell the same way yesterday is usual', () => {
    const day = Array.from({ length: 600 }, (_, i) => ({ n: (i + 8) % 288 < 100 ? 4 : 60 }))
    const end = day.findLastIndex((p, i) => p.n === 4 && day[i - 1]?.n === 60)
    const until = day.slice(0, end + 3)
    expect(judge(series('vol', until, null), T, LIMITS)?.direction ?? 0).toBe(0)
    // The same fall without a yesterday.
    expect(judge(series('vol', until.slice(-100), null), T, LIMITS)!.direction).toBe(-1)
  })
})

describe('what differs', () => {
  const group = (
    dimension: string,
    value: string,
    n_now: number,
    w_now: number,
    n_before: number,
    w_before: number,
  ) => ({
    dimension,
    value,
    n_now,
    w_now,
    n_before,
    w_before,
  })
  test('names the value that explains more than its share, and nothing when all share alike', () => {
    const slow = [
      group('caller', 'a', 20, 19, 20, 0),
      group('caller', 'b', 80, 1, 80, 0),
      group('team', 'all', 100, 20, 100, 0),
    ]
    expect(rank(slow, 'latency', 1)).toEqual([{ dimension: 'caller', value: 'a', share: 0.95, usual: 0.2 }])
    const even = [group('caller', 'a', 50, 10, 50, 0), group('caller', 'b', 50, 10, 50, 0)]
    expect(rank(even, 'latency', 1)).toEqual([])
  })
  test('of volume: who calls more than before', () => {
    const surge = [group('caller', 'a', 300, 300, 10, 10), group('caller', 'b', 100, 100, 100, 100)]
    expect(rank(surge, 'volume', 1)[0]).toMatchObject({ value: 'a', share: 1 })
  })
})

test('a loop is so many equal calls within an hour, not over a day', () => {
  const every = (s: number, count: number): number[] => Array.from({ length: count }, (_, i) => i * s)
  expect(loopAt(every(10, 25), 20)).toEqual({ first: 0, at: 190 })
  expect(loopAt(every(600, 100), 20)).toBeNull()
})

describe('hours of a caller', () => {
  const office = Array.from({ length: 28 }, (_, i) => ({ day: 20_000 + i, hours: 0b111111111 << 8 })).filter(
    (d) => (d.day + 3) % 7 < 5,
  )
  const monday = 20_028 + ((7 - ((20_028 + 3) % 7)) % 7)
  test('night and weekend are unusual, the hour beside the usual ones is not', () => {
    expect(offHours(office, monday, 3)).toBe('hour')
    expect(offHours(office, monday, 10)).toBeNull()
    expect(offHours(office, monday, 7)).toBeNull()
    expect(offHours(office, monday - 2, 10)).toBe('weekend')
  })
  test('little history, or hours without a pattern, say nothing', () => {
    expect(offHours(office.slice(-5), monday, 3)).toBeNull()
    const restless = office.map((d, i) => ({ ...d, hours: 1 << ((i * 7) % 22) }))
    expect(offHours(restless, monday, 23)).toBeNull()
  })
})

test('an ignore rule fits only when all its words do', () => {
  const finding = { kind: 'latency', scope: 'tool', series: 'bank/get_balance' } as const
  expect(isIgnored({ ignore: [{ server: 'ba*' }] }, finding)).toBe(true)
  expect(isIgnored({ ignore: [{ server: 'bank', kind: 'cost' }] }, finding)).toBe(false)
  expect(isIgnored({ ignore: [{ caller: '*' }] }, finding)).toBe(false)
  expect(isIgnored({ ignore: [{ tool: 'get.balance' }] }, finding)).toBe(false)
})

test('the sentence says value, band, since when and what differs', () => {
  const at = Date.UTC(2026, 10, 21, 10, 15) / 1000
  const words = {
    kind: 'latency',
    scope: 'tool',
    series: 'bank/get_balance',
    metric: 'p95',
    minutes: 15,
    started: at,
    ended: 0,
    value: 412_000,
    expected: 100_000,
    lower: 80_000,
    upper: 130_000,
    unit: 'us',
    method: 'weekly',
    differs: [{ dimension: 'caller', value: 'rm-agent', share: 0.93, usual: 0.2 }],
  } as const
  expect(seriesSummary({ ...words, differs: [...words.differs] }, at + 600)).toBe(
    'bank/get_balance: p95 412 ms, usual 80 ms-130 ms, since 10:15; 93 % of it from caller rm-agent',
  )
  const hour = seriesSummary({ ...words, minutes: 60, differs: [] }, at + 600)
  expect(hour).toBe('bank/get_balance: p95 412 ms by the last 60 minutes, usual 80 ms-130 ms, since 10:15')
})
