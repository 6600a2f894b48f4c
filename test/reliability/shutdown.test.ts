/** Starting, reloading and ending: nothing in flight is lost, nothing half is taken over, nobody stays behind. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { callTool, open } from '../support/client.ts'
import { makeFolder } from '../support/folder.ts'
import { startWeir, Weir } from '../support/installation.ts'
import { isAlive, signal } from '../support/processes.ts'
import { readStore, waitForRows } from '../support/store-reader.ts'
import { startUpstream } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

test('SIGTERM: the call in flight finishes, streams are told, every event is stored, the code is 0', async () => {
  const folder = makeFolder('drain')
  const upstream = await startUpstream()
  const config = {
    workers: 2,
    servers: { stub: { url: upstream.url, era: 'legacy' } },
    spool: { segment_age_ms: 60_000 },
  }
  let weir = await startWeir({ folder, config })
  try {
    const url = `${weir.addresses.proxy}/servers/stub/mcp`
    const before = await Promise.all(
      Array.from({ length: 30 }, (_, i) => callTool(url, `drain-${i}`, 'echo')),
    )
    expect(before.every((a) => a.isWhole)).toBe(true)
    await weir.storing()
    const stream = await open(url)
    const inFlight = callTool(url, 'drain-held', 'held')
    const inStream = callTool(url, 'drain-sse', 'sse_held')
    await waitFor('both calls are with the server', async () => (await upstream.seen()).held === 2)
    const pids = weir.allPids()
    signal(weir.pid, 'SIGTERM')
    await stream.ended
    expect(stream.text()).toContain('retry: ')
    expect(weir.exit).toBeNull()
    await upstream.release()
    expect((await inFlight).message?.result).toBeDefined()
    expect((await inStream).message?.result).toBeDefined()
    expect(await weir.ended()).toEqual({ code: 0, signal: null })
    expect(pids.filter(isAlive)).toEqual([])
    expect(weir.spoolText).toBe('')
    weir = await startWeir({ folder, config })
    const store = readStore(weir.addresses.store)
    const counts = await waitForRows(store, 'drain-', [
      ...before.map((_, i) => `drain-${i}`),
      'drain-held',
      'drain-sse',
    ])
    expect([...counts.values()].every((n) => n === 1)).toBe(true)
    await store.close()
  } finally {
    await weir.remove()
    await upstream.end()
    folder.remove()
  }
}, 120_000)

test('a second signal ends at once; what was answered is stored by the next start', async () => {
  const folder = makeFolder('twice')
  const upstream = await startUpstream()
  const config = {
    servers: { stub: { url: upstream.url, era: 'legacy' } },
    spool: { segment_age_ms: 60_000 },
  }
  let weir = await startWeir({ folder, config })
  try {
    const url = `${weir.addresses.proxy}/servers/stub/mcp`
    await callTool(url, 'twice-1', 'echo')
    const inFlight = callTool(url, 'twice-held', 'held')
    await waitFor('the call is with the server', async () => (await upstream.seen()).held === 1)
    const stream = await open(url)
    const pids = weir.allPids()
    signal(weir.pid, 'SIGTERM')
    // The drain has begun, and waits for the call.
    await stream.ended
    expect(weir.exit).toBeNull()
    signal(weir.pid, 'SIGTERM')
    expect(await weir.ended()).toEqual({ code: 130, signal: null })
    expect((await inFlight).isWhole).toBe(false)
    await waitFor('no process is left', () => pids.every((pid) => !isAlive(pid)))
    weir = await startWeir({ folder, config })
    const store = readStore(weir.addresses.store)
    await waitForRows(store, 'twice-', ['twice-1'])
    await store.close()
  } finally {
    await weir.remove()
    await upstream.end()
    folder.remove()
  }
}, 120_000)

test('a supervisor that is killed leaves no orphan, and a start right after works', async () => {
  const folder = makeFolder('orphans')
  const upstream = await startUpstream()
  const config = {
    workers: 2,
    servers: {
      stub: { url: upstream.url, era: 'legacy' },
      hosted: { command: [process.execPath, '-e', 'process.stdin.resume()'] },
    },
  }
  let weir = await startWeir({ folder, config })
  try {
    await callTool(`${weir.addresses.proxy}/servers/stub/mcp`, 'orphan-1', 'echo')
    const pids = weir.allPids()
    expect(pids.length).toBe(6)
    signal(weir.pid, 'SIGKILL')
    await weir.ended()
    weir = await startWeir({ folder, config })
    await waitFor('no process of the first is left', () => pids.every((pid) => !isAlive(pid)), 60_000)
    const store = readStore(weir.addresses.store)
    await waitForRows(store, 'orphan-', ['orphan-1'])
    await store.close()
  } finally {
    await weir.remove()
    await upstream.end()
    folder.remove()
  }
}, 120_000)

test('a second installation on the same data folder is refused in a sentence', async () => {
  const weir = await startWeir({ config: { servers: {} } })
  try {
    const second = new Weir({ folder: weir.folder, config: { servers: {} } })
    const exit = await second.ended()
    expect(exit.code).not.toBe(0)
    expect(second.output).toContain(`another Weir (process ${weir.pid}) already uses ${weir.data}`)
    expect(second.output).not.toMatch(/\n\s+at /)
    expect(weir.exit).toBeNull()
    expect((await fetch(`${weir.addresses.proxy}/healthz`)).status).toBe(200)
  } finally {
    await weir.remove()
  }
})

test('a lock left empty by a crash does not keep the folder closed', async () => {
  const folder = makeFolder('lock')
  let weir = await startWeir({ folder, config: { servers: {} } })
  await weir.stop()
  writeFileSync(join(weir.data, 'weir.lock'), '')
  weir = await startWeir({ folder, config: { servers: {} } })
  await weir.remove()
  folder.remove()
})

test('a reload swaps whole or changes nothing and says why', async () => {
  const upstream = await startUpstream()
  const stub = { url: upstream.url, era: 'legacy' }
  const weir = await startWeir({ config: { workers: 2, servers: { one: stub } } })
  const at = (server: string): string => `${weir.addresses.proxy}/servers/${server}/mcp`
  let n = 0
  const served = async (server: string): Promise<number> =>
    (await callTool(at(server), `reload-${n++}`, 'echo', {}, { timeout_ms: 5_000 })).status
  /** Every worker answers alike: asked often enough to meet both. */
  const everywhere = (server: string, status: number): Promise<unknown> =>
    waitFor(`${server} answers ${status}`, async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => served(server)))
      return answers.every((s) => s === status)
    })
  const said = (text: string | RegExp, from: number): Promise<unknown> =>
    waitFor(`the log says ${text}`, () => weir.output.slice(from).match(text))
  try {
    await everywhere('one', 200)
    await everywhere('two', 404)
    const held = callTool(at('one'), 'reload-held', 'held')
    await waitFor('the call is with the server', async () => (await upstream.seen()).held === 1)

    let from = weir.output.length
    weir.writeConfig({ workers: 2, servers: { one: stub, two: stub } })
    await said('config reloaded', from)
    await everywhere('two', 200)

    from = weir.output.length
    weir.writeConfig({ workers: 2, servers: { two: stub } })
    await said('config reloaded', from)
    await everywhere('one', 404)
    await everywhere('two', 200)
    await upstream.release()
    expect((await held).message?.result).toBeDefined()

    from = weir.output.length
    weir.writeConfig({ workers: 2, servers: { three: { url: 'not a url' } } })
    await said(/config not reloaded, the old one stays:[\s\S]*weir\.yaml:\d+:\d+ servers\.three\.url/, from)
    await everywhere('two', 200)
    await everywhere('three', 404)

    from = weir.output.length
    weir.writeConfig({ workers: 3, servers: { two: stub, three: stub } })
    await said(/config not reloaded, the old one stays: workers cannot change while running/, from)
    await everywhere('three', 404)
    await everywhere('two', 200)
    expect(weir.pids('worker').length).toBe(2)

    from = weir.output.length
    weir.writeConfig({ workers: 2, spool: { max_bytes: 2_000_000 }, servers: { two: stub } })
    await said(/config not reloaded, the old one stays: spool/, from)

    // A worker that starts again afterwards has the newest config that was taken over.
    weir.writeConfig({ workers: 2, servers: { two: stub, four: stub } })
    await everywhere('four', 200)
    weir.signal('worker', 'SIGKILL')
    await waitFor('both workers are back', () => weir.pids('worker').length === 2)
    await everywhere('four', 200)
    await everywhere('one', 404)
    expect(await weir.metric('weir_config_reloads_total', '"done"')).toBe(3)
    expect(await weir.metric('weir_config_reloads_total', '"refused"')).toBe(2)
  } finally {
    await weir.remove()
    await upstream.end()
  }
}, 120_000)
