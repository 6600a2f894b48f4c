import { describe, expect, test } from 'vitest'
import { type LimitEntry, limitEntries } from '../../config/limit-book.ts'
import { parseConfig } from '../../config/load.ts'
import { Bank, isRefusal, type Need } from '../../limits/bank.ts'
import { Bucket } from '../../limits/bucket.ts'
import { periodEnd, periodStart } from '../../limits/period.ts'

const at = (ms: number) => ({ mono_ms: ms, wall_ms: Date.UTC(2026, 10, 21) + ms })
const entries = (yaml: string): LimitEntry[] =>
  limitEntries(
    parseConfig(`servers: { bank: { url: "http://127.0.0.1:9/mcp" } }\n${yaml}`, 'weir.yaml', {}).config,
  )
const one = (text: string): LimitEntry => entries(`limits: [ { name: x, ${text} } ]`)[0]!

describe('a rate', () => {
  test('allows the burst at once, then its pace, and nothing between', () => {
    const bucket = new Bucket(one('rate: 10/s, burst: 3'))
    const passed: number[] = []
    for (let ms = 0; ms <= 1000; ms += 10)
      while (bucket.room(at(ms)) >= 1) {
        bucket.take(1, at(ms))
        passed.push(ms)
      }
    expect(passed).toEqual([0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000])
  })

  test('says to the millisecond when the next call may come, and it may', () => {
    const bucket = new Bucket(one('rate: 7/m, burst: 1'))
    bucket.take(1, at(0))
    const retry_ms = bucket.retryMs(1, at(100))
    expect(bucket.room(at(100 + retry_ms - 1))).toBe(0)
    expect(bucket.room(at(100 + retry_ms))).toBe(1)
  })

  test('in any window allows no more than burst plus pace, whatever was lent and given back', () => {
    const entry = one('rate: 50/s, burst: 20')
    const bank = new Bank([entry])
    const used: number[] = []
    const lent: { units: number; until: number }[] = []
    let seed = 7
    const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n
    for (let ms = 0; ms < 20_000; ms += 1 + random(20)) {
      for (const lease of lent.splice(0).filter((l) => l.until > ms || settle(l.units))) lent.push(lease)
      const own = lent.find((lease) => lease.units > 0)
      if (own && random(2) === 0) {
        own.units--
        bank.settle(entry.id, 1, 0, at(ms))
        used.push(ms)
        continue
      }
      const taken = bank.take([[entry.id, 1, random(6)]], at(ms))
      if (isRefusal(taken)) continue
      used.push(ms)
      if (taken[0]! > 0) lent.push({ units: taken[0]!, until: ms + 100 })
      function settle(units: number): false {
        bank.settle(entry.id, units, units, at(ms))
        return false
      }
    }
    expect(used.length).toBeGreaterThan(500)
    let excess = 0
    for (let from = 0; from < used.length; from++)
      for (let to = from; to < used.length && used[to]! - used[from]! <= 2_000; to++)
        excess = Math.max(excess, to - from + 1 - 20 - ((used[to]! - used[from]!) * 50) / 1000)
    expect(excess).toBeLessThan(1e-6)
  })
})

test('a clock that is set back opens no old period and refuses no rate', () => {
  const quota = new Bucket(one('quota: 2/day'))
  quota.take(2, at(1000))
  expect(quota.room(at(-90_000_000))).toBe(0)
  const rate = new Bucket(one('rate: 1/s'))
  rate.take(1, { mono_ms: 10, wall_ms: 5_000_000 })
  expect(rate.room({ mono_ms: 1_010, wall_ms: 0 })).toBe(1)
})

describe('a quota', () => {
  test('begins anew with its period, to the millisecond', () => {
    const bucket = new Bucket(one('quota: 2/day'))
    bucket.take(2, at(0))
    expect(bucket.room(at(86_399_999))).toBe(0)
    expect(bucket.retryMs(1, at(86_399_999))).toBe(1)
    expect(bucket.room(at(86_400_000))).toBe(2)
  })

  test('what was taken in the period before gives nothing back to this one', () => {
    const bucket = new Bucket(one('quota: 5/day'))
    bucket.take(5, at(86_399_000))
    bucket.take(3, at(86_401_000))
    bucket.giveBack(5, at(86_401_000), at(86_399_000).wall_ms)
    expect(bucket.room(at(86_401_000))).toBe(2)
  })
})

test.each([
  ['hour', '2026-11-21T13:59:59.999Z', '2026-11-21T13:00:00.000Z', '2026-11-21T14:00:00.000Z'],
  ['day', '2026-02-28T23:59:59.999Z', '2026-02-28T00:00:00.000Z', '2026-03-01T00:00:00.000Z'],
  ['week', '2026-11-22T23:59:59.999Z', '2026-11-16T00:00:00.000Z', '2026-11-23T00:00:00.000Z'],
  ['week', '2026-11-23T00:00:00.000Z', '2026-11-23T00:00:00.000Z', '2026-11-30T00:00:00.000Z'],
  ['month', '2026-12-31T23:59:59.999Z', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
] as const)('the %s of %s', (period, now, start, end) => {
  const begun = periodStart(period, Date.parse(now))
  expect(new Date(begun).toISOString()).toBe(start)
  expect(new Date(periodEnd(period, begun)).toISOString()).toBe(end)
})

describe('a bank', () => {
  const need = (entry: LimitEntry, units = 1, want = 0): Need => [entry.id, units, want]

  test('takes from all limits of a call or from none', () => {
    const all = entries('limits: [ { name: a, rate: 10/s, burst: 5 }, { name: b, concurrency: 1 } ]')
    const bank = new Bank(all)
    expect(
      bank.take(
        all.map((e) => need(e)),
        at(0),
      ),
    ).toEqual([0, 0])
    expect(
      bank.take(
        all.map((e) => need(e)),
        at(0),
      ),
    ).toMatchObject({ at: 1, taken: 1, capacity: 1 })
    expect(bank.bucket(all[0]!.id, at(0))!.taken(at(0))).toBe(1)
  })

  test('lends only a part of what is left, and nothing at the edge', () => {
    const [entry] = entries('limits: [ { name: a, quota: 100/day } ]')
    const bank = new Bank([entry!])
    expect(bank.take([need(entry!, 1, 1000)], at(0), 4)).toEqual([6])
    let last = 6
    for (let taken = bank.take([need(entry!, 1, 1000)], at(0), 4); !isRefusal(taken); ) {
      last = taken[0]!
      taken = bank.take([need(entry!, 1, 1000)], at(0), 4)
    }
    expect(last).toBe(0)
    expect(bank.bucket(entry!.id, at(0))!.used).toBe(100)
  })

  test('counts go on over a reload, and end with their limit', () => {
    const [before] = entries('limits: [ { name: a, quota: 10/day } ]')
    const [after] = entries('limits: [ { name: a, quota: 3/day } ]')
    const bank = new Bank([before!])
    for (let i = 0; i < 3; i++) bank.take([need(before!)], at(0))
    bank.reload([after!])
    expect(bank.take([need(after!)], at(0))).toMatchObject({ taken: 3, capacity: 3 })
    bank.reload([])
    expect(bank.take([need(after!)], at(0))).toEqual([0])
    bank.reload([before!])
    expect(bank.bucket(before!.id, at(0))!.used).toBe(0)
  })

  test('a flood of names takes bounded memory, and those beyond it share one count', () => {
    const [entry] = entries('limits: [ { name: a, per: [agent], quota: 2/day } ]')
    const bank = new Bank([entry!])
    for (let i = 0; i < 100_000; i++) bank.take([[`${entry!.id}\nagent-${i}`, 1, 0]], at(0))
    const beyond = Array.from({ length: 10 }, (_, i) => bank.take([[`${entry!.id}\nlate-${i}`, 1, 0]], at(0)))
    expect(bank.size).toBeLessThanOrEqual(100_001)
    expect(beyond.filter(isRefusal).length).toBe(8)
  })
})
