/** Which run a call is put into, clue by clue. */
import { describe, expect, test } from 'vitest'
import { type Inferred, InferredRuns, type RunNews } from '../../../proxy/telemetry/inferred-runs.ts'
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
  isHello?: boolean
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
  isHello = false,
}: Told): Clue => ({
  name,
  endpoint: at,
  sequence: id === null ? null : { prefix, n: id },
  connection: on === '' ? null : { name: on, isOpen: () => open.has(on) },
  handles: () => uses,
  isToolCall: isTool && !isHello,
  isIntroduction: isHello,
  isNotification: false,
})
/** One call from beginning to end, a second after the one before. */
function call(runs: InferredRuns, told: Told, pause_us = 1e6): Inferred {
  now_us += pause_us
  if (told.on) open.add(told.on)
  const found = runs.assign(clue(told), now_us, GAP_US)
  runs.end(found, now_us + 1000)
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
    const a = call(runs, { id: 0 })
    const b = call(runs, { id: 0 }, 6e6)
    runs.held(a, [11])
    runs.held(b, [22])
    const next = call(runs, { id: 1, uses: [22] })
    expect(next).toMatchObject({ trace_id: b.trace_id, evidence: 'sequence+handle' })
    expect(call(runs, { id: 1, uses: [11] }).trace_id).toBe(a.trace_id)
  })

  test('a handle that several results held says nothing', () => {
    const runs = new InferredRuns()
    const a = call(runs, { id: 0 })
    const b = call(runs, { id: 0 }, 6e6)
    runs.held(a, [11])
    runs.held(b, [11])
    expect(call(runs, { id: 1, uses: [11] }).evidence).toBe('recent')
  })

  test('one agent with two servers, connected at once, has one run', () => {
    const runs = new InferredRuns()
    const one = call(runs, { id: 0, on: 'x', at: '/one' })
    expect(call(runs, { id: 0, on: 'y', at: '/two' }).trace_id).toBe(one.trace_id)
    expect(call(runs, { id: 1, on: 'x', at: '/two' }).trace_id).toBe(one.trace_id)
  })
})

test('a client that has introduced itself begins a run, and leaves when it turns out to be a session', () => {
  const runs = new InferredRuns()
  const begun = runs.begin(clue({ id: 0, on: 'x' }), ++now_us, GAP_US)
  runs.leave(begun)
  runs.end(begun, now_us)
  expect(call(runs, { id: 1, on: 'x' }).trace_id).not.toBe(begun.trace_id)
})

const hello = (runs: InferredRuns, on: string, pause_us = 1e6): Inferred =>
  call(runs, { id: 1, prefix: 'probe-', on, isHello: true, isTool: false }, pause_us)
const list = (runs: InferredRuns, on: string): Inferred => call(runs, { id: 0, on, isTool: false })

describe('an introduction', () => {
  test('begins a run, and whoever introduced himself first goes on first', () => {
    const runs = new InferredRuns()
    const [a, b] = [hello(runs, 'x'), hello(runs, 'y')]
    expect(b.trace_id).not.toBe(a.trace_id)
    expect(list(runs, 'p').trace_id).toBe(a.trace_id)
    expect(list(runs, 'q').trace_id).toBe(b.trace_id)
  })

  test('over the connection of an agent at work begins a run, and its connection says less from then on', () => {
    const runs = new InferredRuns()
    const a = hello(runs, 'x')
    list(runs, 'x')
    for (let id = 1; id <= 4; id++) call(runs, { id, on: 'x' })
    const b = hello(runs, 'x')
    expect(b).toMatchObject({ evidence: 'start' })
    expect(list(runs, 'x').trace_id).toBe(b.trace_id)
    expect(call(runs, { id: 5, on: 'x' })).toMatchObject({ trace_id: a.trace_id, evidence: 'sequence' })
    expect(call(runs, { id: 1, on: 'x' })).toMatchObject({ trace_id: b.trace_id })
  })

  test('before every single call is a habit of one agent', () => {
    const runs = new InferredRuns()
    const found = Array.from({ length: 4 }, () => [hello(runs, 'x'), call(runs, { id: 0, on: 'y' })])
    expect(new Set(found.flat().map((f) => f.trace_id)).size).toBe(1)
  })
})

describe('what was guessed wrong', () => {
  test('is given back with its connection, when a connection tells whose beginning it was', () => {
    const runs = new InferredRuns()
    const [a, b] = [hello(runs, 'x'), hello(runs, 'y')]
    // It is b's, who goes on over a new connection.
    expect(list(runs, 'p').trace_id).toBe(a.trace_id)
    expect(call(runs, { id: 1, on: 'y' })).toMatchObject({ trace_id: b.trace_id, evidence: 'connection' })
    expect(call(runs, { id: 2, on: 'p' }).trace_id).toBe(b.trace_id)
    expect(list(runs, 'q').trace_id).toBe(a.trace_id)
  })

  test('is given back where the number could as well come early for the one whose connection it is', () => {
    const runs = new InferredRuns()
    const [a, b] = [call(runs, { id: 0, on: 'x' }), call(runs, { id: 0, on: 'y' }, 6e6)]
    call(runs, { id: 1, on: 'p' })
    expect(call(runs, { id: 2, on: 'y' }).trace_id).toBe(b.trace_id)
    expect(call(runs, { id: 1, on: 'q' }).trace_id).toBe(a.trace_id)
    expect(call(runs, { id: 2, on: 'x' }).trace_id).toBe(a.trace_id)
  })

  test('makes room for the beginning of the one whose connection it is', () => {
    const runs = new InferredRuns()
    const [a, b] = [hello(runs, 'x'), hello(runs, 'y')]
    expect(list(runs, 'p').trace_id).toBe(a.trace_id)
    expect(list(runs, 'x').trace_id).toBe(a.trace_id)
    expect(call(runs, { id: 1, on: 'p' }).trace_id).toBe(b.trace_id)
    expect(call(runs, { id: 1, on: 'x' }).trace_id).toBe(a.trace_id)
  })

  test('is exchanged when a handle tells that two were taken for each other', () => {
    const runs = new InferredRuns()
    const [a, b] = [call(runs, { id: 0 }), call(runs, { id: 0 }, 6e6)]
    runs.held(a, [11])
    runs.held(b, [22])
    expect(call(runs, { id: 1, uses: [11] }).trace_id).toBe(a.trace_id)
    expect(call(runs, { id: 1, uses: [22] }).trace_id).toBe(b.trace_id)
    // It is b's, who has waited less.
    expect(call(runs, { id: 2 })).toMatchObject({ trace_id: a.trace_id, evidence: 'recent' })
    expect(call(runs, { id: 2, uses: [11] })).toMatchObject({ trace_id: a.trace_id, evidence: 'handle' })
    const next = call(runs, { id: 3, uses: [22] })
    expect(next).toMatchObject({ trace_id: b.trace_id, evidence: 'sequence+handle' })
    expect(call(runs, { id: 4 }).trace_id).toBe(b.trace_id)
  })

  test('a handle from a later number of another client is no proof against the numbers', () => {
    const runs = new InferredRuns()
    const [a, b] = [call(runs, { id: 0, on: 'x' }), call(runs, { id: 0, on: 'y' }, 6e6)]
    for (let id = 1; id <= 6; id++) call(runs, { id, on: 'x' })
    runs.held(call(runs, { id: 7, on: 'x' }), [11])
    expect(call(runs, { id: 1, on: 'y', uses: [11] }).trace_id).toBe(b.trace_id)
    expect(call(runs, { id: 8, on: 'x' }).trace_id).toBe(a.trace_id)
  })
})

test('calls at once are of one agent', () => {
  const runs = new InferredRuns()
  const [a, b] = [call(runs, { id: 0 }), call(runs, { id: 0 }, 6e6)]
  for (let id = 1; id <= 2; id++) expect(call(runs, { id }).trace_id).toBe(a.trace_id)
  for (let id = 1; id <= 2; id++) expect(call(runs, { id }).trace_id).toBe(b.trace_id)
  // Both have come to 3, and a has waited longer; b has just begun a call.
  expect(call(runs, { id: 3 }, 1_000).trace_id).toBe(b.trace_id)
  expect(call(runs, { id: 3 }).trace_id).toBe(a.trace_id)
})

test('how sure it is falls with the number of those who could be meant, and rises again', () => {
  const runs = new InferredRuns()
  const first = hello(runs, 'x')
  expect(first.confidence).toBe(95)
  hello(runs, 'y')
  hello(runs, 'z')
  const guessed = list(runs, 'p')
  expect(guessed.confidence).toBeLessThan(60)
  const later = [1, 2, 3, 4].map((id) => {
    const found = call(runs, { id, on: 'x', uses: [id] })
    runs.held(found, [id + 1])
    return found.confidence
  })
  expect(later[0]).toBeLessThan(later.at(-1)!)
  expect(later.at(-1)).toBeGreaterThan(85)
})

describe('workers that tell each other', () => {
  function pair(): [InferredRuns, InferredRuns] {
    const [one, two] = [new InferredRuns(), new InferredRuns()]
    // As it travels between processes.
    const tell = (to: InferredRuns) => (news: RunNews) =>
      to.heard(JSON.parse(JSON.stringify(news)) as RunNews, now_us)
    one.onNews = tell(two)
    two.onNews = tell(one)
    return [one, two]
  }

  test('agree', () => {
    const [one, two] = pair()
    const a = call(one, { id: 0, on: 'x' })
    const b = call(two, { id: 0, on: 'y' }, 6e6).trace_id
    expect(b).not.toBe(a.trace_id)
    one.held(a, [11])
    for (let id = 1; id <= 6; id++) {
      expect(call(id % 2 ? two : one, { id, on: 'x' }).trace_id).toBe(a.trace_id)
      expect(call(id % 2 ? one : two, { id, on: 'y' }).trace_id).toBe(b)
    }
    expect(call(two, { id: 7, on: 'new', uses: [11] })).toMatchObject({ trace_id: a.trace_id })
  })

  test('put right together what one of them guessed wrong', () => {
    const [one, two] = pair()
    const [a, b] = [hello(one, 'x'), hello(two, 'y')]
    expect(list(one, 'p').trace_id).toBe(a.trace_id)
    expect(call(two, { id: 1, on: 'y' }).trace_id).toBe(b.trace_id)
    expect(call(one, { id: 2, on: 'p' }).trace_id).toBe(b.trace_id)
    expect(list(two, 'q').trace_id).toBe(a.trace_id)
    expect(call(one, { id: 1, on: 'x' }).trace_id).toBe(a.trace_id)
  })

  test('know which calls of the other have ended: who waits for an answer does not go on', () => {
    const [one, two] = pair()
    const [a, b] = [hello(one, 'x'), hello(two, 'y')]
    list(one, 'x')
    list(two, 'y')
    now_us += 1e6
    const waits = one.assign(clue({ id: 1, on: 'x' }), now_us, GAP_US)
    call(two, { id: 1, on: 'y' })
    now_us += 1e6
    // Over a new connection, from one whose own is not free.
    expect(two.assign(clue({ id: 2, on: 'new' }), now_us, GAP_US).trace_id).toBe(a.trace_id)
    one.end(waits, now_us)
    expect(b.trace_id).not.toBe(a.trace_id)
  })

  test('hear when a run was a session', () => {
    const [one, two] = pair()
    const begun = one.begin(clue({ id: 0, on: 'x' }), ++now_us, GAP_US)
    one.leave(begun)
    expect(call(two, { id: 1, on: 'x' }).trace_id).not.toBe(begun.trace_id)
  })
})

test('names are bounded', () => {
  const runs = new InferredRuns()
  const first = call(runs, { id: 0, name: 'n0' }, 1).trace_id
  for (let i = 1; i <= 10_000; i++) call(runs, { id: 0, name: `n${i}` }, 1)
  expect(call(runs, { id: 1, name: 'n0' }, 1).trace_id).not.toBe(first)
})

test('handles are bounded: the newest are known, the oldest make room', () => {
  const runs = new InferredRuns()
  const hold = (id: number, on: string, handles: number[]): Inferred => {
    const found = call(runs, { id, on })
    runs.held(found, handles)
    return found
  }
  const owner = hold(0, 'x', [-1])
  for (let i = 0; i < 51_000; i += 48)
    hold(
      1 + i / 48,
      'x',
      Array.from({ length: 48 }, (_, k) => i + k),
    )
  const last = hold(9_000, 'x', [-2])
  expect(last.trace_id).toBe(owner.trace_id)
  call(runs, { id: 0, on: 'y', isHello: true })
  // Neither number nor connection says whose these are.
  expect(call(runs, { id: 9_050, on: 'z', uses: [-2] })).toMatchObject({
    trace_id: owner.trace_id,
    evidence: 'handle',
  })
  expect(call(runs, { id: 9_100, on: 'u', uses: [-1] }).evidence).not.toMatch('handle')
})

test('what a run held goes with it: its connections are nobody’s afterwards', () => {
  const runs = new InferredRuns()
  const first = call(runs, { id: 0, on: 'x' }).trace_id
  call(runs, { id: 0, on: 'y' }, GAP_US + 1)
  expect(call(runs, { id: 1, on: 'x' }).trace_id).not.toBe(first)
})
