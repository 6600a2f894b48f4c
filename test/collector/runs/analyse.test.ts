/** Runs made by hand, whose answers are known. */
import { describe, expect, test } from 'vitest'
import { analyseRun } from '../../../collector/runs/analyse.ts'
import type { ForeignSpan, Step } from '../../../collector/runs/step.ts'
import { failedStep, START_US, span, step } from './made-runs.ts'

const analyse = (steps: Step[], foreign: ForeignSpan[] = []) => analyseRun(steps, foreign)

describe('time', () => {
  test('one after the other: all steps are critical, the rest is thinking', () => {
    const run = analyse([step(0, 10), step(30, 50), step(60, 100)])
    expect(run.duration_us).toBe(100_000)
    expect(run.path).toEqual({
      steps: [0, 1, 2],
      busy_us: 70_000,
      idle_us: 30_000,
      idle_traced_us: 0,
      by_name: [{ name: 'bank/read', steps: 3, us: 70_000 }],
    })
    expect(run.parallelism).toEqual({ max: 1, mean: 1 })
  })

  test('of steps at once the one that ends last decides', () => {
    const run = analyse([
      step(0, 10),
      step(20, 50, { tool: 'short' }),
      step(20, 90, { tool: 'long' }),
      step(100, 110),
    ])
    expect(run.path.steps).toEqual([0, 2, 3])
    expect(run.steps.map((s) => s.isCritical)).toEqual([true, false, true, true])
    expect(run.path.idle_us).toBe(20_000)
    expect(run.path.by_name).toEqual([
      { name: 'bank/long', steps: 1, us: 70_000 },
      { name: 'bank/read', steps: 2, us: 20_000 },
    ])
    expect(run.parallelism.max).toBe(2)
    // 10 + 30 + 70 + 10 within 90 ms in which something ran.
    expect(run.parallelism.mean).toBeCloseTo(120 / 90)
  })

  test('a step within another is no part of the chain', () => {
    const outer = step(0, 100)
    const run = analyse([outer, step(10, 40, { parent_span_id: outer.span_id })])
    expect(run.path.steps).toEqual([0])
    expect(run.steps.map((s) => s.depth)).toEqual([0, 1])
  })

  test('thinking that a span of another explains is told apart; a span around the steps explains nothing', () => {
    const task = span(-10, 120, { name: 'task', span_id: 'task' })
    const run = analyse(
      [step(0, 10, { parent_span_id: 'task' }), step(60, 100, { parent_span_id: 'task' })],
      [task, span(20, 50, { parent_span_id: 'task' }), span(40, 55, { parent_span_id: 'task' })],
    )
    expect(run.path.idle_us).toBe(50_000)
    expect(run.path.idle_traced_us).toBe(35_000)
  })

  test('no steps, one step without a duration', () => {
    expect(analyse([])).toMatchObject({
      duration_us: 0,
      parallelism: { max: 0, mean: 0 },
      path: { steps: [] },
    })
    expect(analyse([step(5, 5)])).toMatchObject({
      started_us: START_US + 5000,
      parallelism: { max: 1, mean: 1 },
    })
  })
})

describe('habits', () => {
  test('the same call three times is a loop, twice is none', () => {
    const same = { arguments_hash: 'x', result_hash: 'r' }
    expect(analyse([step(0, 1, same), step(2, 3, same)]).loops).toEqual([])
    expect(analyse([step(0, 1, same), step(2, 3), step(4, 5, same), step(6, 7, same)]).loops).toEqual([
      { names: ['bank/read'], steps: [0, 2, 3], times: 3, isResultSame: true },
    ])
  })

  test('other arguments, other tools and arguments that are not hashed are no loop', () => {
    expect(analyse([step(0, 1), step(2, 3), step(4, 5)]).loops).toEqual([])
    const hashless = { arguments_hash: '' }
    expect(analyse([step(0, 1, hashless), step(2, 3, hashless), step(4, 5, hashless)]).loops).toEqual([])
    const one = { arguments_hash: 'x' }
    expect(
      analyse([step(0, 1, one), step(2, 3, { ...one, tool: 'b' }), step(4, 5, { ...one, server: 'c' })])
        .loops,
    ).toEqual([])
  })

  test('two calls in turn are a loop of both', () => {
    const a = { arguments_hash: 'a', result_hash: 'ra' }
    const b = { arguments_hash: 'b', tool: 'write' }
    const run = analyse([
      step(0, 1),
      step(2, 3, a),
      step(4, 5, b),
      step(6, 7, a),
      step(8, 9, b),
      step(10, 11),
    ])
    expect(run.loops).toEqual([
      { names: ['bank/read', 'bank/write'], steps: [1, 2, 3, 4], times: 2, isResultSame: false },
    ])
  })

  test('a retry is the same tool after the failure ended, whatever its arguments', () => {
    const run = analyse([
      failedStep(0, 10, { arguments_hash: 'a' }),
      step(5, 20, { arguments_hash: 'a' }),
      step(12, 14, { tool: 'other' }),
      failedStep(20, 30, { arguments_hash: 'b' }),
      step(40, 50, { arguments_hash: 'b' }),
    ])
    expect(run.retries).toEqual([
      { name: 'bank/read', failed: 0, again: 3, isSameArguments: false, isSuccess: false },
      { name: 'bank/read', failed: 3, again: 4, isSameArguments: true, isSuccess: true },
    ])
  })

  test('failing arguments stand together by tool, cause and arguments', () => {
    const run = analyse([
      failedStep(0, 1, { arguments_hash: 'a' }),
      failedStep(2, 3, { arguments_hash: 'a', arguments: '{"account":0}' }),
      failedStep(4, 5, { arguments_hash: 'b', error_fingerprint: 'g' }),
    ])
    expect(run.failing).toMatchObject([
      { times: 2, steps: [0, 1], arguments: '{"account":0}', arguments_hash: 'a' },
      { times: 1, steps: [2], arguments: null, error_fingerprint: 'g' },
    ])
  })
})

test('sums: outcomes, tokens, cost; what is unpriced is counted and not added as zero silently', () => {
  const run = analyse([step(0, 1), failedStep(2, 3), step(4, 5, { cost_nano: 0, cost_source: 'unpriced' })])
  expect(run).toMatchObject({
    outcomes: { ok: 2, tool_error: 1 },
    failed: 1,
    tokens_in: 3,
    tokens_out: 6,
    cost_nano: 6,
    unpriced: 1,
  })
})

describe('waterfall', () => {
  test('an agent, its model, a call, its message and the span of the server nest in one tree', () => {
    const call = step(20, 60, {
      parent_span_id: 'task',
      client_span_id: 'c',
      upstream_start_us: START_US + 22_000,
      upstream_us: 36_000,
    })
    const run = analyse(
      [call],
      [
        span(25, 55, { span_id: 'srv', parent_span_id: 'c', service: 'bank' }),
        span(0, 100, { span_id: 'task', name: 'task' }),
        span(2, 18, { span_id: 'llm', parent_span_id: 'task' }),
      ],
    )
    expect(run.items.map((i) => [i.depth, i.what, i.span_id])).toEqual([
      [0, 'foreign', 'task'],
      [1, 'foreign', 'llm'],
      [1, 'call', call.span_id],
      [2, 'upstream', 'c'],
      [3, 'foreign', 'srv'],
    ])
  })

  test('circles, missing parents and doubled ids lose nothing', () => {
    const run = analyse(
      [step(0, 1, { parent_span_id: 'gone' })],
      [
        span(0, 5, { span_id: 'a', parent_span_id: 'b' }),
        span(1, 4, { span_id: 'b', parent_span_id: 'a' }),
        span(2, 3, { span_id: 'a', parent_span_id: 'a' }),
      ],
    )
    expect(run.items).toHaveLength(4)
    expect(new Set(run.items).size).toBe(4)
  })
})
