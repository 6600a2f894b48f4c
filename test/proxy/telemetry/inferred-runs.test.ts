/** Which run a call is put into, clue by clue. */
import { describe, expect, test } from 'vitest'
import {
  endOfInferred,
  type Inferred,
  InferredRuns,
  type RunNews,
} from '../../../proxy/telemetry/inferred-runs.ts'
import type { Clue } from '../../../proxy/telemetry/run-threads.ts'

const GAP_US = 1e9
let now_us = 0

type Told = {
  id?: number | null
  on?: string
  at?: string
  name?: string
  prefix?: string
  uses?: number[]
  isTool?: boolean
}
const open = new Set<string>()
const clue = ({
  id = null,
  on = '',
  at = '/mcp',
  name = 'a',
  prefix = '',
  uses = [],
  isTool = true,
}: Told): Clue => ({
  name,
  endpoint: at,
  sequence: id === null ? null : { prefix, n: id },
  connection: on === '' ? null : { name: on, isOpen: () => open.has(on) },
  handles: () => uses,
  isToolCall: isTool,
})
/** One call from beginning to end, a second after the one before. */
function call(runs: InferredRuns, told: Told, pause_us = 1e6): Inferred {
  now_us += pause_us
  if (told.on) open.add(told.on)
  const found = runs.assign(clue(told), now_us, GAP_US)
  endOfInferred(found, now_us + 1000)
  return found
}

describe('one agent', () => {
  test('stays in one run while its numbers go on, and begins another after a long pause', () => {
    const runs = new InferredRuns()
    const first = call(runs, { id: 0, on: 'x' })
    expect(first.evidence).toBe('first')
    expect(call(runs, { id: 1, on: 'x' })).toMatchObject({
      trace_id: first.trace_id,
      evidence: 'sequence+connection',
    })
    expect(call(runs, { id: 2, on: 'x' }, GAP_US).trace_id).toBe(first.trace_id)
    expect(call(runs, { id: 3, on: 'x' }, GAP_US + 1e6).trace_id).not.toBe(first.trace_id)
  })

  test('may have several calls overtake each other on connections of their own', () => {
    const runs = new InferredRuns()
    const { trace_id } = call(runs, { id: 0, on: 'x' })
    for (const [id, on] of [
      [3, 'z'],
      [1, 'x'],
      [2, 'y'],
      [4, 'z'],
    ] as const)
      expect(call(runs, { id, on }).trace_id, String(id)).toBe(trace_id)
  })

  test('that numbers every call alike has one run all the same, soon', () => {
    const runs = new InferredRuns()
    const found = Array.from({ length: 8 }, (_, i) => {
      const given = call(runs, { id: 1, on: `c${i}` }, 6e6)
      open.delete(`c${i}`)
      return given.trace_id
    })
    expect(new Set(found).size).toBe(1)
  })

  test('without numbers and connections goes by the pause', () => {
    const runs = new InferredRuns()
    const first = call(runs, {})
    expect(call(runs, {})).toMatchObject({ trace_id: first.trace_id, evidence: 'alone' })
    expect(call(runs, {}, GAP_US + 1e6).trace_id).not.toBe(first.trace_id)
  })
})

describe('several agents', () => {
  test('under different names never share a run', () => {
    const runs = new InferredRuns()
    expect(call(runs, { id: 0, name: 'a' }).trace_id).not.toBe(call(runs, { id: 1, name: 'b' }).trace_id)
  })

  test('are told apart by their numbers, on whatever connections', () => {
    const runs = new InferredRuns()
    const a = call(runs, { id: 0, on: 'x' }).trace_id
    for (let id = 1; id <= 9; id++) call(runs, { id, on: 'x' })
    const b = call(runs, { id: 0, on: 'y' }, 6e6).trace_id
    expect(b).not.toBe(a)
    expect(call(runs, { id: 1, on: 'q' }).trace_id).toBe(b)
    expect(call(runs, { id: 10, on: 'p' }).trace_id).toBe(a)
  })

  test('with equal numbers are told apart by their connections', () => {
    const runs = new InferredRuns()
    const a = call(runs, { id: 0, on: 'x' }).trace_id
    const b = call(runs, { id: 0, on: 'y' }, 6e6).trace_id
    for (let id = 1; id <= 5; id++) {
      expect(call(runs, { id, on: 'y' }).trace_id).toBe(b)
      expect(call(runs, { id, on: 'x' }).trace_id).toBe(a)
    }
  })

  test('with equal numbers and no connection are told apart by what results held', () => {
    const runs = new InferredRuns()
    const a = call(runs, { id: 0 }).trace_id
    const b = call(runs, { id: 0 }, 6e6).trace_id
    runs.held(a, [11], 'a')
    runs.held(b, [22], 'a')
    expect(call(runs, { id: 1, uses: [22] })).toMatchObject({ trace_id: b, evidence: 'sequence+handle' })
    expect(call(runs, { id: 1, uses: [11] }).trace_id).toBe(a)
  })

  test('a handle that several results held says nothing', () => {
    const runs = new InferredRuns()
    const a = call(runs, { id: 0 }).trace_id
    const b = call(runs, { id: 0 }, 6e6).trace_id
    runs.held(a, [11], 'a')
    runs.held(b, [11], 'a')
    expect(call(runs, { id: 1, uses: [11] }).evidence).toBe('recent')
  })

  test('one agent with two servers, connected at once, has one run', () => {
    const runs = new InferredRuns()
    const one = call(runs, { id: 0, on: 'x', at: '/one' })
    expect(call(runs, { id: 0, on: 'y', at: '/two' })).toMatchObject({
      trace_id: one.trace_id,
      evidence: 'alone',
    })
    expect(call(runs, { id: 1, on: 'x', at: '/two' }).trace_id).toBe(one.trace_id)
  })
})

test('a client that has introduced itself begins a run, and leaves when it turns out to be a session', () => {
  const runs = new InferredRuns()
  const begun = runs.begin(clue({ id: 0, on: 'x' }), ++now_us, GAP_US)
  begun.leave!()
  endOfInferred(begun, now_us)
  expect(call(runs, { id: 1, on: 'x' }).trace_id).not.toBe(begun.trace_id)
})

test('workers that tell each other agree', () => {
  const [one, two] = [new InferredRuns(), new InferredRuns()]
  // As it travels between processes.
  const tell = (to: InferredRuns) => (news: RunNews) =>
    to.heard(JSON.parse(JSON.stringify(news)) as RunNews, now_us)
  one.onNews = tell(two)
  two.onNews = tell(one)
  const a = call(one, { id: 0, on: 'x' }).trace_id
  const b = call(two, { id: 0, on: 'y' }, 6e6).trace_id
  expect(b).not.toBe(a)
  one.held(a, [11], 'a')
  for (let id = 1; id <= 6; id++) {
    expect(call(id % 2 ? two : one, { id, on: 'x' }).trace_id).toBe(a)
    expect(call(id % 2 ? one : two, { id, on: 'y' }).trace_id).toBe(b)
  }
  expect(call(two, { on: 'new', uses: [11] })).toMatchObject({ trace_id: a, evidence: 'handle' })
})

test('names are bounded', () => {
  const runs = new InferredRuns()
  const first = call(runs, { id: 0, name: 'n0' }, 1).trace_id
  for (let i = 1; i <= 10_000; i++) call(runs, { id: 0, name: `n${i}` }, 1)
  expect(call(runs, { id: 1, name: 'n0' }, 1).trace_id).not.toBe(first)
})
