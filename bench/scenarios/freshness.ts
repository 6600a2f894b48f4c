/**
 * How soon an answered call can be asked for: 500 calls/s in open loop through a whole installation, while the store is
 * asked again and again what it has. And whether every answered call is there, once.
 */
import { Agent, request } from 'node:http'
import { sleep } from '../support/children.ts'
import { cpuUs } from '../support/proc.ts'
import { openSession, toolsCall } from '../support/requests.ts'
import type { Findings, RunOptions, Scenario } from '../support/scenario.ts'
import { quantile, spreadOf } from '../support/spread.ts'
import { startStub } from '../support/stub.ts'
import { startWeir } from '../support/weir.ts'

const CALLS_PER_S = 500
const POLL_MS = 50
const FIRST_ID = 1_000_000
const WAIT_MS = 15_000

async function run({ quick, say }: RunOptions): Promise<Findings> {
  const seconds = quick ? 5 : 20
  const stub = await startStub()
  const weir = await startWeir({ servers: `  stub: { url: "${stub.url}/mcp" }` })
  const url = new URL(`${weir.proxy}/servers/stub/mcp`)
  const session = await openSession(url.href, weir.key)
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const [before, after] = toolsCall('echo', 'legacy').split('7777777') as [string, string]
  const answered = new Map<number, number>()
  const latencies: number[] = []
  let failed = 0
  let open = 0

  const call = (id: number): void => {
    const body = before + id + after
    const started = performance.now()
    open++
    const settle = (isGood: boolean): void => {
      open--
      if (!isGood) return void failed++
      answered.set(id, performance.now())
      latencies.push(performance.now() - started)
    }
    const sent = request(
      {
        agent,
        host: url.hostname,
        port: url.port,
        path: url.pathname,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${weir.key}`,
          'mcp-protocol-version': '2025-11-25',
          'mcp-session-id': session,
        },
      },
      (answer) => answer.resume().on('end', () => settle(answer.statusCode === 200)),
    )
    sent.on('error', () => settle(false))
    sent.end(body)
  }

  // Warm-up under ids of its own.
  for (let i = 0; i < 2 * CALLS_PER_S; i++) {
    call(9_000_000 + i)
    if (i % 50 === 0) await sleep(20)
  }
  await sleep(1500)
  answered.clear()
  latencies.length = 0

  const seen = new Map<number, number>()
  let isDone = false
  let polls = 0
  const watch = async (): Promise<void> => {
    while (!isDone) {
      const asked = performance.now()
      const rows = await weir.sql<{ id: number }>(
        `SELECT toUInt32OrZero(request_id) AS id FROM calls WHERE ts > now64() - INTERVAL 8 SECOND AND id BETWEEN ${FIRST_ID} AND ${FIRST_ID + 999_999}`,
      )
      const at = performance.now()
      for (const { id } of rows) if (!seen.has(id)) seen.set(id, at)
      polls++
      await sleep(Math.max(5, POLL_MS - (performance.now() - asked)))
    }
  }
  const watching = watch()
  const cpuBefore = {
    worker: cpuUs(weir.pids.workers),
    collector: cpuUs([weir.pids.collector]),
    store: cpuUs([weir.pids.store]),
  }
  const started = performance.now()
  const count = CALLS_PER_S * seconds
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - started) / 1000) * CALLS_PER_S))
    while (sent < due) call(FIRST_ID + sent++)
    await sleep(1)
  }
  for (const end = Date.now() + WAIT_MS; Date.now() < end && (open > 0 || seen.size < answered.size); )
    await sleep(50)
  isDone = true
  await watching
  await weir.drained(WAIT_MS)
  const cpu = {
    worker_us: (cpuUs(weir.pids.workers) - cpuBefore.worker) / count,
    collector_us: (cpuUs([weir.pids.collector]) - cpuBefore.collector) / count,
    store_us_with_polls: (cpuUs([weir.pids.store]) - cpuBefore.store) / count,
  }
  const [stored] = await weir.sql<{ ids: number; n: number }>(
    `SELECT toUInt32(uniqExact(request_id)) AS ids, toUInt32(count()) AS n FROM calls WHERE toUInt32OrZero(request_id) BETWEEN ${FIRST_ID} AND ${FIRST_ID + 999_999}`,
  )
  agent.destroy()
  const delays = [...answered]
    .flatMap(([id, at]) => (seen.has(id) ? [Math.max(0, seen.get(id)! - at)] : []))
    .sort((a, b) => a - b)
  const ms = (q: number): number => Math.round(quantile(delays, q))
  const lost = answered.size - stored!.ids
  const twice = stored!.n - stored!.ids
  const latency = latencies.sort((a, b) => a - b)
  say(`  ${answered.size} answered, ${stored!.ids} stored, ${failed} failed, ${polls} polls`)
  return {
    figures: {
      calls_per_s: CALLS_PER_S,
      seconds,
      answered: answered.size,
      stored: stored!.ids,
      lost,
      twice,
      failed,
      delay_ms: spreadOf(delays),
      delay_p99_ms: ms(0.99),
      latency_ms: spreadOf(latency),
      cpu,
    },
    tables: [
      {
        title: `${CALLS_PER_S} calls/s for ${seconds} s, open loop`,
        columns: [
          'answered',
          'queryable p50 ms',
          'p99 ms',
          'max ms',
          'lost',
          'twice',
          'client p50 ms',
          'client p99 ms',
          'worker us a call',
        ],
        rows: [
          [
            answered.size,
            ms(0.5),
            ms(0.99),
            ms(1),
            lost,
            twice,
            quantile(latency, 0.5).toFixed(2),
            quantile(latency, 0.99).toFixed(1),
            Math.round(cpu.worker_us),
          ],
        ],
      },
    ],
    gates: [
      { name: 'answered to queryable, p99', value: ms(0.99), limit: 2000, unit: 'ms', kind: 'must' },
      { name: 'answered calls not stored', value: lost, limit: 0, unit: 'calls', kind: 'must' },
      { name: 'calls stored twice', value: twice, limit: 0, unit: 'calls', kind: 'must' },
      { name: 'calls failed', value: failed, limit: 0, unit: 'calls', kind: 'must' },
    ],
    notes: [`the store is asked every ${POLL_MS} ms, so delays read up to that much too long`],
  }
}

export const freshness: Scenario = {
  name: 'freshness',
  about: 'from answered to queryable, and nothing lost',
  run,
}
