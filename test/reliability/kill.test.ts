/**
 * Promises 1 to 3 under fire: whatever dies, freezes, fills up or answers badly, every answered call is one row, never two,
 * and what the spool had to give up is counted. Real processes, seeded: WEIR_SEED repeats a run.
 */
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Load } from '../support/client.ts'
import { type Fault, openFaultProxy } from '../support/fault-proxy.ts'
import { makeFolder, mountSmallDisk } from '../support/folder.ts'
import { startWeir, type Weir } from '../support/installation.ts'
import { isAlive, signal } from '../support/processes.ts'
import { runSeed, seeded } from '../support/seed.ts'
import { readStore, type StoreReader, waitForRows } from '../support/store-reader.ts'
import { startUpstream, type UpstreamStub } from '../support/upstream.ts'
import { waitFor } from '../support/wait.ts'

const SEED = runSeed('kill.test')
const random = seeded(SEED)
const ROUNDS_ONE_WORKER = 14
const ROUNDS_TWO_WORKERS = 12
const CLIENTS = 4
const CALLS_MAX = 4_000

const ROLLUPS = ['v_tool_5m', 'v_usage_1d', 'v_callers_1d', 'v_runs']

type Row = {
  round: string
  victim: string
  calls: number
  answered: number
  rows: number
  doubled: number
  lost: number
  ms: number
}
const table: Row[] = []
let upstream: UpstreamStub

beforeAll(async () => {
  upstream = await startUpstream()
})

afterAll(async () => {
  await upstream.end()
  const total = (key: 'calls' | 'answered' | 'rows' | 'doubled' | 'lost' | 'ms'): number =>
    table.reduce((sum, r) => sum + r[key], 0)
  const line = (r: Row): string =>
    `${r.round.padEnd(14)} ${r.victim.padEnd(34)} ${[r.calls, r.answered, r.rows, r.doubled, r.lost, r.ms].map((n) => String(n).padStart(8)).join('')}`
  const head = `${'round'.padEnd(14)} ${'victim'.padEnd(34)} ${['calls', 'answered', 'rows', 'doubled', 'lost', 'ms'].map((n) => n.padStart(8)).join('')}`
  const sum: Row = {
    round: 'all',
    victim: `seed ${SEED}`,
    calls: total('calls'),
    answered: total('answered'),
    rows: total('rows'),
    doubled: total('doubled'),
    lost: total('lost'),
    ms: total('ms'),
  }
  process.stdout.write(`\n${[head, ...table.map(line), line(sum)].join('\n')}\n\n`)
})

const serversOf = (stub: UpstreamStub): object => ({ stub: { url: stub.url, era: 'legacy' } })

/** A tool's name as this path knows it. */
const named =
  (path: string, tool: (n: number) => { name: string; args: Record<string, unknown> }) => (n: number) => {
    const { name, args } = tool(n)
    return { name: path === '/mcp' ? `stub_${name}` : name, args }
  }

/** Traffic of several kinds: plain, streamed, slow, larger than one chunk. */
const mixed = (n: number): { name: string; args: Record<string, unknown> } => {
  switch (n % 5) {
    case 0:
      return { name: 'sse', args: { text: `s${n}` } }
    case 1:
      return { name: 'slow', args: { ms: 20 } }
    case 2:
      return { name: 'echo', args: { bytes: 150_000 } }
    default:
      return { name: 'echo', args: { text: `e${n}` } }
  }
}

/** Every answered id is a row, and no id is two. */
async function settle(
  store: StoreReader,
  load: Load,
  prefix: string,
  round: string,
  victim: string,
  began_ms: number,
  spool: () => string,
): Promise<void> {
  const answered = load.answered
  const counts = await waitForRows(store, prefix, answered)
  const doubled = [...counts].filter(([, n]) => n > 1)
  table.push({
    round,
    victim,
    calls: load.records.length,
    answered: answered.length,
    rows: counts.size,
    doubled: doubled.length,
    lost: 0,
    ms: Date.now() - began_ms,
  })
  expect(doubled, `doubled rows in ${round}, seed ${SEED}`).toEqual([])
  expect(answered.filter((id) => counts.get(id) !== 1)).toEqual([])
  await waitFor('nothing waits in the spool', () => spool() === '')
  await reconcile(store, `after ${round} (${victim})`)
}

/** Base table, rollups and ledger tell the same sums. `where` names the moment. */
async function reconcile(store: StoreReader, where: string): Promise<void> {
  const figures =
    'sum(calls) AS calls, sum(failed) AS failed, sum(duration_us_sum) AS duration_us, sum(response_bytes) AS response_bytes, sum(tokens_out) AS tokens_out'
  const [base] = await store.rows<object>(
    "SELECT count() AS calls, countIf(outcome NOT IN ('ok','input_required')) AS failed, sum(duration_us) AS duration_us, sum(response_bytes) AS response_bytes, sum(tokens_out) AS tokens_out FROM calls WHERE kind = 'request'",
  )
  const seen: Record<string, object | undefined> = {}
  for (const rollup of ROLLUPS)
    seen[rollup] = (await store.rows<object>(`SELECT ${figures} FROM ${rollup}`))[0]
  expect(seen, `rollups ${where}, seed ${SEED}`).toEqual(Object.fromEntries(ROLLUPS.map((r) => [r, base])))
  expect(await store.number('SELECT sum(rows) FROM ingest_batches FINAL WHERE complete')).toBe(
    await store.number('SELECT count() FROM calls'),
  )
  expect(await store.number('SELECT count() - uniqExact(event_id) FROM calls')).toBe(0)
  expect(await store.number('SELECT count() FROM dead_letters FINAL')).toBe(0)
  expect(await store.number('SELECT count() FROM losses')).toBe(0)
}

/** Traffic, one blow while it runs, traffic again until calls are answered that began after the blow. */
async function round(
  weir: Weir,
  name: string,
  victim: string,
  path: string,
  blow: () => Promise<void>,
  pace_ms = 0,
): Promise<void> {
  const began_ms = Date.now()
  const prefix = `${name}-`
  const load = new Load({
    url: () => weir.addresses.proxy + path,
    prefix,
    clients: CLIENTS,
    calls_max: CALLS_MAX,
    tool: named(path, mixed),
    session: path === '/mcp',
    timeout_ms: 30_000,
    pace_ms,
  })
  try {
    const before = 20 + random.int(60)
    await waitFor(`${before} calls answered`, () => load.answered.length >= before, 60_000)
    await blow()
    const after = load.answered.length + 20
    await waitFor(
      `calls are answered after the loss of ${victim}`,
      () => load.answered.length >= after,
      60_000,
    )
  } finally {
    await load.stop()
  }
  const store = readStore(weir.addresses.store)
  try {
    await settle(store, load, prefix, name, victim, began_ms, () => weir.spoolText)
  } finally {
    await store.close()
  }
}

for (const [workers, rounds] of [
  [1, ROUNDS_ONE_WORKER],
  [2, ROUNDS_TWO_WORKERS],
] as const)
  test(`SIGKILL loses no answered call and doubles none: ${rounds} rounds, workers: ${workers}`, {
    timeout: 300_000,
  }, async () => {
    const folder = makeFolder('kill')
    const start = (): Promise<Weir> =>
      startWeir({
        folder,
        config: {
          workers,
          servers: serversOf(upstream),
          spool: { segment_bytes: 65_536, segment_age_ms: 100 },
        },
      })
    let weir = await start()
    // The lock of a schema step that was cut short is waited for: that is another test's matter.
    await weir.storing()
    try {
      // All four at least twice, then by chance.
      const victims = ['worker', 'collector', 'store', 'all', 'worker', 'collector', 'store']
      while (victims.length < rounds)
        victims.push(random.pick(['worker', 'collector', 'store', 'worker', 'collector', 'store', 'all']))
      for (let i = 0; i < rounds; i++) {
        const victim = victims[i]!
        const path = random.next() < 0.7 ? '/servers/stub/mcp' : '/mcp'
        const current = weir
        if (victim === 'all') {
          const began_ms = Date.now()
          const prefix = `w${workers}r${i}-`
          const load = new Load({
            url: () => current.addresses.proxy + path,
            prefix,
            clients: CLIENTS,
            calls_max: CALLS_MAX,
            tool: named(path, mixed),
            session: path === '/mcp',
          })
          await waitFor('calls answered', () => load.answered.length >= 60, 60_000)
          await current.kill()
          await load.stop()
          weir = await start()
          const store = readStore(weir.addresses.store)
          await settle(store, load, prefix, `w${workers}r${i}`, `all ${path}`, began_ms, () => weir.spoolText)
          await store.close()
          continue
        }
        await round(current, `w${workers}r${i}`, `${victim} ${path}`, path, async () => {
          const pids = current.pids(victim as 'worker')
          expect(pids.length).toBeGreaterThan(0)
          const pid = random.pick(pids)
          signal(pid, 'SIGKILL')
          await waitFor('the victim is gone', () => !isAlive(pid))
        })
      }
      const store = readStore(weir.addresses.store)
      await reconcile(store, 'after all rounds')
      await store.close()
      expect(weir.spoolText).toBe('')
    } finally {
      await weir.remove()
      folder.remove()
    }
  })

describe('what does not die but misbehaves', () => {
  let weir: Weir
  beforeAll(async () => {
    weir = await startWeir({
      config: {
        workers: 2,
        servers: serversOf(upstream),
        spool: { segment_bytes: 65_536, segment_age_ms: 100 },
      },
    })
    await weir.storing()
  })
  afterAll(async () => {
    const store = readStore(weir.addresses.store)
    try {
      await reconcile(store, 'at the end')
    } finally {
      await store.close()
      await weir.remove()
    }
  })

  for (const role of ['store', 'collector', 'worker'] as const)
    test(`a frozen ${role} is ended by its heartbeat and started again; calls go on meanwhile`, {
      timeout: 120_000,
    }, async () => {
      await round(
        weir,
        `frozen-${role}`,
        `${role} SIGSTOP`,
        '/servers/stub/mcp',
        async () => {
          const pid = weir.pids(role)[0]!
          signal(pid, 'SIGSTOP')
          const began = new Load({
            url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
            prefix: `meanwhile-${role}-`,
            clients: 1,
            calls_max: 20,
          })
          if (role !== 'worker') {
            await began.done()
            expect(began.answered.length).toBe(20)
            expect(isAlive(pid)).toBe(true)
          }
          await waitFor(`the frozen ${role} is gone`, () => !isAlive(pid), 40_000)
          await waitFor(`a new ${role} runs`, () => weir.pids(role).some((p) => p !== pid), 40_000)
          await began.done()
          expect(weir.output).toMatch(/is frozen: 3 heartbeats missed/)
        },
        20,
      )
    })
})

test('a collector that is away, and one behind a bad line: refused, 500, lost answers, slow', {
  timeout: 180_000,
}, async () => {
  const whole = await startWeir({ config: { collector: { token: 'token-of-the-test-token' }, servers: {} } })
  const door = await openFaultProxy(() => whole.addresses.collector)
  const weir = await startWeir({
    verb: 'proxy',
    config: {
      collector: { url: door.address, token: 'token-of-the-test-token' },
      servers: serversOf(upstream),
      spool: { segment_bytes: 32_768, segment_age_ms: 50 },
    },
  })
  const store = readStore(whole.addresses.store)
  try {
    const faults: [string, () => Fault][] = [
      ['cut', () => ({ kind: 'cut' })],
      ['http 500', () => ({ kind: 'status', status: 500 })],
      ['http 401', () => ({ kind: 'status', status: 401 })],
      ['lost answers', () => (random.next() < 0.6 ? { kind: 'lost_answer' } : { kind: 'none' })],
      ['slow', () => ({ kind: 'slow', ms: 300 })],
    ]
    for (const [name, fault] of faults) {
      const began_ms = Date.now()
      const prefix = `line-${name.replace(' ', '')}-`
      door.fault = (_method, url) => (url.startsWith('/v1/') ? fault() : { kind: 'none' })
      const faults_before = door.faults
      const load = new Load({
        url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
        prefix,
        clients: CLIENTS,
        calls_max: 150,
        tool: mixed,
      })
      await load.done()
      expect(load.answered.length).toBe(150)
      await waitFor('the fault was met', () => door.faults > faults_before)
      door.fault = () => ({ kind: 'none' })
      await settle(
        store,
        load,
        prefix,
        'bad line',
        `proxy to collector: ${name}`,
        began_ms,
        () => weir.spoolText,
      )
    }
    await reconcile(store, 'at the end')
  } finally {
    await store.close()
    await weir.remove()
    await door.close()
    await whole.remove()
  }
})

test('a store that is slow, refuses, or whose answers get lost', { timeout: 180_000 }, async () => {
  const password = 'password-of-the-test-store'
  const behind = await startWeir({ verb: 'store', config: { store: { password } } })
  const door = await openFaultProxy(() => behind.addresses.store)
  const weir = await startWeir({
    config: {
      workers: 2,
      servers: serversOf(upstream),
      store: { url: door.address, user: 'weir', password, timeout_ms: 5_000 },
      spool: { segment_bytes: 32_768, segment_age_ms: 50 },
    },
  })
  const store = readStore(behind.addresses.store)
  try {
    await waitFor('the schema is there', () => store.number('SELECT count() FROM calls').then((n) => n === 0))
    const busy =
      'Code: 241. DB::Exception: (total) memory limit exceeded. (MEMORY_LIMIT_EXCEEDED) (version 26.7)'
    const denied = 'Code: 497. DB::Exception: weir: Not enough privileges. (ACCESS_DENIED) (version 26.7)'
    const faults: [string, () => Fault][] = [
      ['slow', () => ({ kind: 'slow', ms: 400 })],
      [
        'memory limit',
        () => ({
          kind: 'status',
          status: 500,
          body: busy,
          headers: { 'x-clickhouse-exception-code': '241' },
        }),
      ],
      [
        'refused',
        () => ({
          kind: 'status',
          status: 403,
          body: denied,
          headers: { 'x-clickhouse-exception-code': '497' },
        }),
      ],
      ['cut', () => ({ kind: 'cut' })],
      ['lost answers', () => (random.next() < 0.5 ? { kind: 'lost_answer' } : { kind: 'none' })],
    ]
    for (const [name, fault] of faults) {
      const began_ms = Date.now()
      const prefix = `store-${name.replace(' ', '')}-`
      const faults_before = door.faults
      door.fault = fault
      const load = new Load({
        url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
        prefix,
        clients: CLIENTS,
        calls_max: 150,
        tool: mixed,
      })
      await load.done()
      expect(load.answered.length).toBe(150)
      await waitFor('the fault was met', () => door.faults > faults_before)
      door.fault = () => ({ kind: 'none' })
      await settle(
        store,
        load,
        prefix,
        'bad store',
        `collector to store: ${name}`,
        began_ms,
        () => weir.spoolText,
      )
    }
    await reconcile(store, 'at the end')
  } finally {
    await store.close()
    await weir.remove()
    await door.close()
    await behind.remove()
  }
})

test('a full disk under the spool: every call succeeds, and what was lost is counted exactly', {
  timeout: 120_000,
}, async () => {
  const folder = makeFolder('full')
  const disk = mountSmallDisk(join(folder.path, 'data', 'spool'), 1_048_576)
  if (!disk) return folder.remove()
  const began_ms = Date.now()
  const weir = await startWeir({
    folder,
    config: {
      workers: 2,
      servers: serversOf(upstream),
      spool: { segment_bytes: 16_384, segment_age_ms: 50 },
    },
  })
  const ballast = join(weir.spool, 'ballast')
  const store = readStore(weir.addresses.store)
  try {
    const phase = async (name: string): Promise<Load> => {
      const load = new Load({
        url: () => `${weir.addresses.proxy}/servers/stub/mcp`,
        prefix: `full-${name}-`,
        clients: CLIENTS,
        calls_max: 120,
        tool: mixed,
      })
      await load.done()
      expect(load.answered.length).toBe(120)
      return load
    }
    const first = await phase('before')
    await waitForRows(store, 'full-before-', first.answered)
    try {
      writeFileSync(ballast, Buffer.alloc(2_000_000))
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC')
    }
    expect(execFileSync('df', ['--output=avail', weir.spool]).toString()).toMatch(/\n\s*0\n/)
    const during = await phase('during')
    const lost = await waitFor('losses are counted', () => weir.metric('weir_events_lost_total', 'disk_full'))
    rmSync(ballast)
    const after = await phase('after')
    await waitForRows(store, 'full-after-', after.answered)
    const answered = first.answered.length + during.answered.length + after.answered.length
    const inStore = await waitFor('the losses are rows', () =>
      store.number("SELECT sum(lost_events) FROM v_losses WHERE reason = 'disk_full'"),
    )
    const counts = await store.idCounts('full-')
    table.push({
      round: 'full disk',
      victim: 'spool',
      calls: answered,
      answered,
      rows: counts.size,
      doubled: [...counts.values()].filter((n) => n > 1).length,
      lost,
      ms: Date.now() - began_ms,
    })
    expect(inStore).toBe(lost)
    expect(await weir.metric('weir_events_lost_total')).toBe(lost)
    expect(counts.size + lost).toBe(answered)
    expect([...counts.values()].every((n) => n === 1)).toBe(true)
  } finally {
    await store.close()
    await weir.remove()
    disk.unmount()
    folder.remove()
  }
})
