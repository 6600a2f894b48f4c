import { expect, test } from 'vitest'
import { Follower, type Judged } from '../../../../collector/watch/anomaly/follow.ts'
import type { Verdict } from '../../../../collector/watch/anomaly/judge.ts'

const FAMILY = { teamOf: (caller: string) => (caller === 'a' || caller === 'b' ? 'team' : '') }
const verdict = (direction: -1 | 0 | 1): Verdict => ({
  z: direction * 9,
  direction,
  isCertain: false,
  isCalm: direction === 0,
  method: 'weekly',
  value: 1,
  expected: 1,
  lower: 1,
  upper: 1,
  n: 100,
  minutes: 15,
  isSilent: false,
})
const on = (series: string, direction: -1 | 0 | 1, more: Partial<Judged> = {}): Judged => ({
  kind: 'latency',
  scope: 'tool',
  series,
  metric: 'p95',
  verdict: verdict(direction),
  ...more,
})

/** What opens and ends when the verdicts of one tool are these, one bucket after the other. */
function walk(directions: readonly (-1 | 0 | 1)[], follower = new Follower([], FAMILY), from = 0): string[] {
  return directions.flatMap((direction, i) => {
    const step = follower.step((from + i) * 300, [on('s/t', direction)])
    return [...step.opened.map(() => `open ${from + i}`), ...step.ended.map(() => `end ${from + i}`)]
  })
}

test('two of three buckets make a finding, one does not', () => {
  expect(walk([0, 1, 0, 0, 0, 1, 0, 0])).toEqual([])
  expect(walk([0, 1, 1])).toEqual(['open 2'])
  expect(walk([0, 1, 0, 1])).toEqual(['open 3'])
  expect(walk([0, 1, -1])).toEqual([])
})

test('one bucket is enough when it is certain, unless it may be the change of a whole server', () => {
  const certain = (series: string, more: Partial<Judged> = {}): Judged => {
    const judged = on(series, 1, more)
    return { ...judged, verdict: { ...judged.verdict, isCertain: true } }
  }
  const leaning = (series: string): Judged => {
    const judged = on(series, 0)
    return { ...judged, verdict: { ...judged.verdict, z: 4, isCalm: false } }
  }
  const opened = (...judged: Judged[]): string[] =>
    new Follower([], FAMILY).step(0, judged).opened.map((f) => f.series)
  expect(opened(certain('s/a'), on('s/b', 0), on('s', 0, { scope: 'server' }))).toEqual(['s/a'])
  expect(opened(certain('s/a'), leaning('s/b'))).toEqual([])
  expect(opened(certain('s/a'), certain('s/b'), certain('s', { scope: 'server' }))).toEqual(['s'])
  // Of a server alone it may be one tool that is not yet sure.
  const calls = [
    certain('s', { scope: 'server', kind: 'volume' }),
    { ...on('s/a', 0), kind: 'volume' as const },
  ]
  expect(opened(...calls)).toEqual([])
})

test('silence began with its first empty bucket', () => {
  const silent = on('s/t', -1, { kind: 'silence' })
  const judged = { ...silent, verdict: { ...silent.verdict, isSilent: true, isCertain: true, minutes: 10 } }
  expect(new Follower([], FAMILY).step(900, [judged]).opened[0]).toMatchObject({ started: 600, last: 900 })
})

test('it begins with the first bucket that stood out and ends after three calm ones', () => {
  const follower = new Follower([], FAMILY)
  expect(walk([0, 1, 1, 1, 0, 0, 0, 0], follower)).toEqual(['open 2', 'end 6'])
  const again = new Follower([], FAMILY)
  walk([0, 1, 1], again)
  expect([...again.open.values()][0]).toMatchObject({ started: 300, last: 600 })
})

test('a restart goes on with what is open', () => {
  const first = new Follower([], FAMILY)
  walk([1, 1], first)
  const second = new Follower(first.open.values(), FAMILY)
  expect(walk([1, 0, 0, 0], second, 2)).toEqual(['end 5'])
})

test('without traffic to judge a finding is over after an hour', () => {
  const follower = new Follower([], FAMILY)
  walk([1, 1], follower)
  const ends = Array.from({ length: 14 }, (_, i) => follower.step((2 + i) * 300, []).ended.length)
  expect(ends.indexOf(1)).toBe(11)
})

test('a change of most tools of a server is one finding of the server, of one tool it is the tool', () => {
  const all = (a: 0 | 1, b: 0 | 1, server: 0 | 1): Judged[] => [
    on('s/a', a),
    on('s/b', b),
    on('s', server, { scope: 'server' }),
  ]
  const opened = (judged: Judged[]): string[] => {
    const follower = new Follower([], FAMILY)
    follower.step(0, judged)
    return follower.step(300, judged).opened.map((f) => f.series)
  }
  expect(opened(all(1, 1, 1))).toEqual(['s'])
  expect(opened(all(1, 0, 1))).toEqual(['s/a'])
  // A mean that moves while no part does is a matter of the mix.
  expect(opened(all(0, 0, 1))).toEqual([])
  const calls = all(0, 0, 1).map((j) => ({ ...j, kind: 'volume' as const }))
  expect(opened(calls)).toEqual(['s'])
})

test('callers of one team that rise together are the team', () => {
  const judged = [
    on('a', 1, { scope: 'caller', kind: 'volume' }),
    on('b', 1, { scope: 'caller', kind: 'volume' }),
    on('c', 1, { scope: 'caller', kind: 'volume' }),
    on('team', 1, { scope: 'team', kind: 'volume' }),
  ]
  const follower = new Follower([], FAMILY)
  follower.step(0, judged)
  expect(follower.step(300, judged).opened.map((f) => f.series)).toEqual(['c', 'team'])
})
