import { describe, expect, test } from 'vitest'
import {
  type AlertState,
  type Seen,
  type Standing,
  step,
  type Timing,
} from '../../../../collector/watch/alerts/states.ts'
import { seeded } from '../../support/events.ts'

const timing = (more: Partial<Timing> = {}): Timing => ({
  for_ms: 100,
  keep_firing_for_ms: 50,
  missing_evaluations: 3,
  no_data: 'nodata',
  ...more,
})
const at = (state: Standing['state'], more: Partial<Standing> = {}): Standing => ({
  state,
  since_ms: 1000,
  starts_ms: 1000,
  clear_ms: 0,
  missed: 0,
  ...more,
})

describe('one step', () => {
  type Row = [
    from: Standing | null,
    seen: Seen,
    timing: Partial<Timing>,
    now_ms: number,
    to: AlertState,
    what: string,
  ]
  const rows: Row[] = [
    [null, 'good', {}, 1000, 'inactive', 'nothing becomes of what is fine'],
    [null, 'missing', {}, 1000, 'inactive', 'nothing becomes of what nobody sees'],
    [null, 'bad', {}, 1000, 'pending', 'has to hold first'],
    [null, 'bad', { for_ms: 0 }, 1000, 'firing', 'fires at once'],
    [null, 'nodata', {}, 1000, 'pending', 'no data has to hold first too'],
    [null, 'nodata', { for_ms: 0 }, 1000, 'nodata', 'no data at once'],
    [null, 'nodata', { for_ms: 0, no_data: 'ok' }, 1000, 'inactive', 'no data is nothing'],
    [null, 'nodata', { for_ms: 0, no_data: 'alerting' }, 1000, 'firing', 'no data is bad'],
    [at('pending'), 'bad', {}, 1099, 'pending', 'not long enough'],
    [at('pending'), 'bad', {}, 1100, 'firing', 'long enough'],
    [at('pending'), 'nodata', {}, 1100, 'nodata', 'long enough without data'],
    [at('pending'), 'nodata', { no_data: 'ok' }, 1100, 'inactive', 'no data clears'],
    [at('pending'), 'nodata', { no_data: 'alerting' }, 1100, 'firing', 'no data counts as bad'],
    [at('pending'), 'good', {}, 1100, 'inactive', 'over before it fired: no word'],
    [at('pending'), 'missing', {}, 5000, 'pending', 'missing once'],
    [at('pending', { missed: 2 }), 'missing', {}, 5000, 'inactive', 'missing for good'],
    [at('pending'), 'bad', {}, 500, 'pending', 'a clock that went back'],
    [at('firing'), 'bad', {}, 9000, 'firing', 'goes on'],
    [at('firing'), 'good', {}, 9000, 'firing', 'begins to clear'],
    [at('firing'), 'good', { keep_firing_for_ms: 0 }, 9000, 'resolved', 'clears at once'],
    [at('firing', { clear_ms: 8951 }), 'good', {}, 9000, 'firing', 'not clear long enough'],
    [at('firing', { clear_ms: 8950 }), 'good', {}, 9000, 'resolved', 'clear long enough'],
    [at('firing'), 'nodata', {}, 9000, 'nodata', 'lost sight of'],
    [at('firing'), 'nodata', { no_data: 'ok', keep_firing_for_ms: 0 }, 9000, 'resolved', 'no data is fine'],
    [at('firing'), 'nodata', { no_data: 'alerting' }, 9000, 'firing', 'no data is as bad'],
    [at('firing', { missed: 1 }), 'missing', {}, 9000, 'firing', 'missing, but not for good'],
    [at('firing', { missed: 2 }), 'missing', {}, 9000, 'resolved', 'missing for good'],
    [at('nodata'), 'nodata', {}, 9000, 'nodata', 'still nothing'],
    [at('nodata'), 'good', {}, 9000, 'resolved', 'data is back, and fine'],
    [at('nodata'), 'bad', {}, 9000, 'firing', 'data is back, and bad'],
    [at('nodata', { missed: 2 }), 'missing', {}, 9000, 'resolved', 'missing for good'],
  ]
  test.each(rows)('%#: %j sees %s with %j at %d: %s (%s)', (before, seen, more, now_ms, to) => {
    const taken = step(before, seen, timing(more), now_ms)
    expect(taken.from).toBe(before?.state ?? 'inactive')
    expect(taken.to).toBe(to)
    expect(taken.standing?.state ?? null).toBe(to === 'inactive' || to === 'resolved' ? null : to)
  })

  test('what it remembers', () => {
    const fired = step(at('pending'), 'bad', timing(), 1200).standing
    expect(fired).toEqual(at('firing', { since_ms: 1200, starts_ms: 1200 }))
    const clearing = step(fired, 'good', timing(), 1300).standing
    expect(clearing?.clear_ms).toBe(1300)
    expect(step(clearing, 'bad', timing(), 1310).standing?.clear_ms).toBe(0)
    expect(step(clearing, 'missing', timing(), 1310).standing).toMatchObject({ clear_ms: 1300, missed: 1 })
    expect(step(at('firing', { missed: 2 }), 'bad', timing(), 1400).standing?.missed).toBe(0)
    // It is the same trouble that nobody can see any more.
    const blind = step(fired, 'nodata', timing(), 1400).standing
    expect(blind).toMatchObject({ state: 'nodata', since_ms: 1400, starts_ms: 1200 })
    expect(step(blind, 'bad', timing(), 1500).standing).toMatchObject({ state: 'firing', starts_ms: 1200 })
  })
})

/** Which edges there may be at all. */
const EDGES = new Set([
  'inactive pending',
  'inactive firing',
  'inactive nodata',
  'pending inactive',
  'pending firing',
  'pending nodata',
  'firing nodata',
  'firing resolved',
  'nodata firing',
  'nodata resolved',
])

test('a long random walk agrees with a model that only knows the history', () => {
  const seed = Number(process.env.WEIR_TEST_SEED ?? Math.floor(Math.random() * 1e9))
  const random = seeded(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const seenEdges = new Set<string>()
  for (let walk = 0; walk < 200; walk++) {
    const rules = timing({
      for_ms: pick([0, 30, 100]),
      keep_firing_for_ms: pick([0, 30, 100]),
      missing_evaluations: pick([1, 2, 4]),
      no_data: pick(['ok', 'nodata', 'alerting']),
    })
    let standing: Standing | null = null
    let now_ms = 1_000
    let active = false
    /** Everything seen since the alert was last inactive, as the rule reads it. */
    let history: { at_ms: number; seen: Seen }[] = []
    for (let i = 0; i < 150; i++) {
      now_ms += 1 + Math.floor(random() * 40)
      const raw = pick<Seen>(['bad', 'bad', 'bad', 'good', 'nodata', 'missing'])
      const seen: Seen =
        raw !== 'nodata' || rules.no_data === 'nodata' ? raw : rules.no_data === 'ok' ? 'good' : 'bad'
      const taken = step(standing, raw, rules, now_ms)
      const place = `seed ${seed} walk ${walk} step ${i}`
      history.push({ at_ms: now_ms, seen })
      const trailing = (is: (s: Seen) => boolean): { at_ms: number; seen: Seen }[] => {
        const back = [...history].reverse()
        const end = back.findIndex((h) => !is(h.seen))
        return (end < 0 ? back : back.slice(0, end)).reverse()
      }
      const gone = trailing((s) => s === 'missing').length >= rules.missing_evaluations
      // The model: does it stand, and may it be told?
      const heard = history.filter((h) => h.seen !== 'missing')
      const isOver: boolean = active
        ? gone ||
          (seen === 'good' &&
            (standing!.state === 'nodata' ||
              (() => {
                const lastBad = heard.findLastIndex((h) => h.seen !== 'good')
                return now_ms - heard[lastBad + 1]!.at_ms >= rules.keep_firing_for_ms
              })()))
        : gone || seen === 'good'
      const first = heard.find((h) => h.seen !== 'good')
      const isUp: boolean =
        !isOver &&
        (active || (seen !== 'missing' && seen !== 'good' && now_ms - first!.at_ms >= rules.for_ms))
      const expected: AlertState =
        isOver || first === undefined
          ? active
            ? 'resolved'
            : 'inactive'
          : !isUp
            ? 'pending'
            : seen === 'bad'
              ? 'firing'
              : seen === 'nodata'
                ? 'nodata'
                : standing!.state
      expect(taken.to, place).toBe(expected)
      if (taken.from !== taken.to) seenEdges.add(`${taken.from} ${taken.to}`)
      standing = taken.standing
      active = standing !== null && standing.state !== 'pending'
      if (!standing) history = []
    }
  }
  expect([...seenEdges].filter((edge) => !EDGES.has(edge))).toEqual([])
  expect(seenEdges).toEqual(EDGES)
})
