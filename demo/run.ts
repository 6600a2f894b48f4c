/**
 * `npm run demo`: a whole installation on this machine, three real servers, two agents at work, and what Weir saw of it.
 * On a terminal it stays up so that another client can join; elsewhere it ends after the work (--once, --stay decide).
 */
import { fork } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { styleText } from 'node:util'
import { clientSetup } from '../cli/up.ts'
import { openReader } from '../collector/queries/client.ts'
import { type TopRow, run as top } from '../collector/queries/top.ts'
import { readNote } from '../supervisor/data-folder.ts'
import { analyst, reporter } from './agents.ts'

const here = dirname(fileURLToPath(import.meta.url))
const folder = join(here, 'files')
const data = process.env.WEIR_DEMO_DATA ?? join(here, 'data')
const desk = join(data, 'desk')
const isStaying =
  process.argv.includes('--stay') || (process.stdout.isTTY && !process.argv.includes('--once'))
const START_MAX_MS = 90_000
const REDRAW_MS = 500
const ROUNDS = 2

const print = (text: string): void => {
  process.stdout.write(text)
}

/** The port when it is free, else any free one. */
const freePort = (wanted: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', () => (wanted === 0 ? reject(new Error('no free port')) : resolve(freePort(0))))
    probe.listen(wanted, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })

function table(rows: readonly TopRow[]): string {
  const head = ['server', 'tool', 'calls', 'failed', 'p50', 'p95', 'overhead p50', 'tokens out']
  const ms = (us: number): string => `${(us / 1000).toFixed(us < 10_000 ? 2 : 0)} ms`
  const body = rows.map((r) => [
    r.server || '(weir)',
    r.name,
    String(r.calls),
    r.failed ? String(r.failed) : '',
    ms(r.p50_us),
    ms(r.p95_us),
    ms(r.overhead_p50_us),
    String(r.tokens_out),
  ])
  const widths = head.map((h, i) => Math.max(h.length, ...body.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((c, i) => (i < 2 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!))).join('  ')}`
  return `${[styleText('bold', line(head)), ...body.map((row, i) => (rows[i]!.failed ? styleText('yellow', line(row)) : line(row)))].join('\n')}\n`
}

async function main(): Promise<number> {
  mkdirSync(desk, { recursive: true })
  const ports = { LISTEN: await freePort(7332), CONSOLE: await freePort(7333), STORE: await freePort(7334) }
  print(
    'Starting Weir: supervisor, proxy worker, host of three stdio servers, collector, embedded ClickHouse …\n',
  )
  const weir = fork(join(here, '../weir.ts'), ['up', '--config', join(here, 'weir.yaml')], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      ...process.env,
      WEIR_DEMO_DATA: data,
      ...Object.fromEntries(Object.entries(ports).map(([k, p]) => [`WEIR_DEMO_${k}`, `127.0.0.1:${p}`])),
    },
  })
  const gone = new Promise<never>((_, reject) =>
    weir.once('exit', (code) => reject(new Error(`Weir ended with code ${code}`))),
  )
  gone.catch(() => {})
  const stop = async (): Promise<void> => {
    if (weir.exitCode !== null) return
    const ended = new Promise((resolve) => weir.once('exit', resolve))
    weir.kill('SIGTERM')
    await ended
  }
  try {
    await Promise.race([show(weir.pid!, `http://127.0.0.1:${ports.LISTEN}`, gone), gone])
    if (isStaying) {
      print('\nStill running. Ctrl-C stops it.\n')
      await new Promise<void>((resolve) => {
        process.once('SIGINT', resolve)
        process.once('SIGTERM', resolve)
        weir.once('exit', () => resolve())
      })
    }
  } finally {
    await stop()
  }
  return 0
}

async function show(pid: number, url: string, gone: Promise<never>): Promise<void> {
  const end = Date.now() + START_MAX_MS
  let ready = false
  while (!ready) {
    if (Date.now() > end) throw new Error(`Weir was not ready within ${START_MAX_MS / 1000} s`)
    await Promise.race([new Promise((resolve) => setTimeout(resolve, 100)), gone])
    const note = readNote(data)
    ready =
      note?.pid === pid &&
      (await fetch(`${url}/readyz`).then(
        async (r) => ((await r.json()) as { status: string }).status === 'ready',
        () => false,
      ))
  }
  const { store, console: consoleUrl } = readNote(data)!
  const reader = openReader({
    url: store,
    user: 'default',
    password: '',
    database: 'weir',
    timeout_ms: 10_000,
  })
  const started_ms = Date.now()
  const figures = async (): Promise<TopRow[]> =>
    (await top(reader, { window_s: Math.ceil((Date.now() - started_ms) / 1000) + 2, by: 'tool', limit: 40 }))
      .rows
  print(`Two agents (official SDK client) now work through ${url}/mcp …\n\n`)
  let drawn = 0
  const draw = async (): Promise<void> => {
    const text = table(await figures())
    if (process.stdout.isTTY && drawn > 0) print(`\x1b[${drawn}A\x1b[J`)
    drawn = text.split('\n').length - 1
    print(text)
  }
  const redraw = process.stdout.isTTY ? setInterval(() => void draw().catch(() => {}), REDRAW_MS) : null
  for (let round = 1; round <= ROUNDS; round++)
    await Promise.all([
      analyst(`${url}/mcp`, folder, desk, `review-${round}`),
      reporter(`${url}/mcp`, desk, `report-${round}`),
    ])
  if (redraw) clearInterval(redraw)
  await settled(figures)
  await draw()
  const [last] = await reader.rows<{ trace_id: string; calls: number; agents: number }>(
    "SELECT argMax(trace_id, ts) AS trace_id, toUInt32((SELECT count() FROM calls WHERE kind = 'request')) AS calls, toUInt32((SELECT uniqExact(agent) FROM calls WHERE agent != '')) AS agents FROM calls WHERE agent = 'analyst' AND method = 'tools/call'",
  )
  await reader.close()
  const config = '--config demo/weir.yaml'
  print(`
${last!.calls} calls recorded, each exactly once, in a ClickHouse that came with the install.

Look closer: open ${consoleUrl}/ in a browser while this runs. Or in another terminal:
  npm run -s weir -- trace ${last!.trace_id.slice(0, 12)} ${config}
  npm run -s weir -- tail ${config}
  npm run -s weir -- query "SELECT agent, outcome, count() FROM calls GROUP BY ALL" ${config}

Point your own client at ${url}/mcp:
${clientSetup(`${url}/mcp`)}
`)
}

/** Resolves when the figures stand still: everything answered has arrived. */
async function settled(figures: () => Promise<TopRow[]>): Promise<void> {
  let before = -1
  for (let i = 0; i < 50; i++) {
    const calls = (await figures()).reduce((sum, r) => sum + r.calls, 0)
    if (calls === before) return
    before = calls
    await new Promise((resolve) => setTimeout(resolve, 600))
  }
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: Error) => {
    process.stderr.write(`demo: ${error.message}\n`)
    process.exitCode = 1
  },
)
