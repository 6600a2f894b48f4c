/** `weir runs` and `weir run` on a real installation, as a user runs them. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, rows, run, startWeir, until, type Weir } from './support/weir.ts'

let weir: Weir
let id = ''

beforeAll(async () => {
  weir = await startWeir()
  const client = await connect(`${weir.note.listen}/servers/everything/mcp`)
  for (let i = 0; i < 3; i++) await client.callTool({ name: 'echo', arguments: { message: 'again' } })
  await client.callTool({ name: 'no-such-tool', arguments: {} }).catch(() => {})
  await client.close()
  const [first] = await until(async () => {
    const found = await rows<{ run_id: string }>(weir, "SELECT run_id FROM calls WHERE tool = 'no-such-tool'")
    return found.length > 0 && found
  }, 'the calls are stored')
  id = first!.run_id
}, 120_000)
afterAll(() => weir?.stop())

test('the list has the run, what failed in it and what was repeated', async () => {
  const { code, out, err } = await run(weir.folder, 'runs', '--looping', '--failing')
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain(id)
  expect(out).toContain('3x')
  const json = await run(weir.folder, 'runs', '--json')
  const listed = json.out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { run_id: string })
  expect(listed.find((row) => row.run_id === id)).toMatchObject({
    run_source: 'session',
    repeats: 3,
    failed: 1,
  })
  expect((await run(weir.folder, 'runs', '--text', 'nobody-here')).out).toContain('no such runs')
})

test('one run shows its steps, its critical path and its findings', async () => {
  const { code, out, err } = await run(weir.folder, 'run', id.slice(0, 12))
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain(`run ${id}`)
  expect(out).toMatch(/▸ +\d+ .* everything\/echo/)
  expect(out).toContain('critical path:')
  expect(out).toContain('loop: everything/echo with the same arguments, 3 times (#2 #3 #4)')
  expect(out).toContain('failed: everything/no-such-tool')
  const json = await run(weir.folder, 'run', id, '--json')
  expect(JSON.parse(json.out)).toMatchObject({ run_id: id, failed: 1, loops: [{ times: 3 }] })
})

test('what cannot be says so, and how to do better', async () => {
  const unknown = await run(weir.folder, 'run', 'nobody-here')
  expect(unknown.code).toBe(1)
  expect(unknown.err).toContain('there is no run "nobody-here"')
  const order = await run(weir.folder, 'runs', '--sort', 'luck')
  expect(order.code).toBe(2)
  expect(order.err).toContain('write one of started, duration')
})
