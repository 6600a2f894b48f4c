/** Several equal children of one server: who takes what, and what a death of one means to the others. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type Answer,
  call,
  fixture,
  type Harness,
  initialize,
  isRunning,
  modern,
  openSession,
  startHost,
  textOf,
  until,
} from './harness.ts'

let harness: Harness
beforeAll(async () => {
  const shared = { isolation: 'shared', instances: 3 } as const
  harness = await startHost({
    modern: fixture(['--modern'], shared),
    legacy: fixture([], { ...shared, era: 'legacy' }),
    tight: fixture([], { ...shared, era: 'legacy', processes_max: 2 }),
  })
})
afterAll(() => harness.close())

const metrics = (name: string) => harness.host.metrics().servers[name]!
const invoke = (name: string, id: unknown): Promise<Answer> => {
  const { body, headers } = modern('tools/call', { name, arguments: {} }, id)
  return harness.send('modern', body, headers)
}
const pidOf = async (session: Record<string, string>, name = 'legacy'): Promise<number> =>
  Number(textOf(await harness.send(name, call('pid'), session)))

test('a modern call goes where the fewest are open', async () => {
  const pids = new Set([textOf(await invoke('pid', 1))])
  // Alone, one child is enough.
  pids.add(textOf(await invoke('pid', 2)))
  expect(pids.size).toBe(1)
  for (const n of [1, 2]) {
    void invoke('hold', `hold-${n}`)
    await until(() => metrics('modern').calls_open === n)
    pids.add(textOf(await invoke('pid', 3)))
  }
  expect(pids.size).toBe(3)
  expect(metrics('modern').started).toBe(3)
  void invoke('hold', 'hold-3')
  await until(() => metrics('modern').calls_open === 3)
  expect(pids).toContain(textOf(await invoke('pid', 4)))
  expect(metrics('modern').started).toBe(3)
})

test('legacy sessions are spread over the children, and stay on theirs', async () => {
  const sessions = await Promise.all([1, 2, 3, 4, 5, 6].map(() => openSession(harness, 'legacy')))
  const pids = await Promise.all(sessions.map((session) => pidOf(session)))
  expect(new Set(pids).size).toBe(3)
  for (const pid of pids) expect(pids.filter((other) => other === pid)).toHaveLength(2)
  expect(await Promise.all(sessions.map((session) => pidOf(session)))).toEqual(pids)
  // A child with calls is avoided, even by another caller.
  const busy = sessions.filter((_, i) => pids[i] !== pids[0])
  for (const session of busy) void harness.send('legacy', call('hold', {}, 'h'), session)
  await until(() => metrics('legacy').calls_open === busy.length)
  expect(await pidOf(await openSession(harness, 'legacy', 'bob'))).toBe(pids[0])
})

test('the death of one touches its sessions only, and while it pauses the others take what comes', async () => {
  const sessions = await Promise.all([1, 2, 3].map(() => openSession(harness, 'legacy', 'carol')))
  const pids = await Promise.all(sessions.map((session) => pidOf(session)))
  await harness.send('legacy', call('crash', { code: 9 }), sessions[0]!)
  await until(() => !isRunning(pids[0]!))
  expect((await harness.send('legacy', call('pid'), sessions[0]!)).status).toBe(404)
  for (const i of [1, 2]) if (pids[i] !== pids[0]) expect(await pidOf(sessions[i]!)).toBe(pids[i])
  for (let i = 0; i < 3; i++) expect((await harness.send('legacy', initialize())).status).toBe(200)
  expect(metrics('legacy').crashes).toBe(1)
})

test('processes_max bounds them, and who comes shares what there is', async () => {
  const sessions = []
  for (let i = 0; i < 4; i++) sessions.push(await openSession(harness, 'tight'))
  const pids = await Promise.all(sessions.map((session) => pidOf(session, 'tight')))
  expect(new Set(pids).size).toBe(2)
})
