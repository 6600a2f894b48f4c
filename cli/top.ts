/** `weir top`: who or what is busiest, slowest, failing right now. */
import { setTimeout as sleep } from 'node:timers/promises'
import { GROUPS, type Group, run, type TopRow, type TopTotals } from '../collector/queries/top.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { isPassing, openStore, type StoreClient } from './store-client.ts'
import { type Cell, type Column, table } from './table.ts'
import {
  byteSize,
  clean,
  count,
  cut,
  duration,
  endWithReader,
  jsonLine,
  print,
  type Screen,
  screen,
  share,
} from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir top [--window 5m] [--by tool|server|caller|team] [--once] [--json]

Refreshes every second on a terminal; q or Ctrl-C ends it. In a pipe it prints one table.

  --window DURATION   how far back: 30s, 5m, 2h, at most 24h (default 5m)
  --by WHAT           ${GROUPS.join(', ')} (default tool)
  --once              one table
  --json              one JSON object, totals and rows
${STORE_USAGE}`

const REFRESH_MS = 1_000
const WINDOW_MAX_S = 86_400
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** "5m" in seconds. Throws CliError. */
export function windowSeconds(text: string): number {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text.trim()) ?? []
  const window_s = Number(number) * (UNITS[unit ?? ''] ?? Number.NaN)
  if (!(window_s >= 1))
    throw new CliError(`"${clean(text)}" is not a duration`, 'write a number and a unit: 30s, 5m or 2h', 2)
  if (window_s > WINDOW_MAX_S)
    throw new CliError(
      `--window ${clean(text)} is longer than 24h`,
      'for longer spans ask the daily figures: weir query "SELECT * FROM v_usage_1d"',
      2,
    )
  return window_s
}

const COLUMN = (head: string, rank: number, min = 8): Column => ({ head, align: 'right', min, rank })
const columnsBy = (by: Group): readonly Column[] => [
  ...(by === 'tool' ? [{ head: 'server', min: 8, max: 20, rank: 2 } as const] : []),
  { head: by, min: 12, max: 44, rank: 0 },
  COLUMN('calls', 0, 7),
  COLUMN('calls/s', 5, 7),
  COLUMN('errors', 1, 6),
  COLUMN('p50', 4),
  COLUMN('p95', 0),
  COLUMN('p99', 3),
  COLUMN('weir p50', 6),
  COLUMN('bytes', 8),
  COLUMN('tokens', 7),
]

const perSecond = (calls: number, window_s: number): string => {
  const rate = calls / window_s
  return rate >= 100 ? count(rate) : rate.toFixed(2)
}

function cellsOf(row: TopRow, by: Group, window_s: number): Cell[] {
  const errors = row.failed / row.calls
  return [
    ...(by === 'tool' ? [clean(row.server) || '-'] : []),
    clean(row.name) || (by === 'team' ? '(no team)' : by === 'caller' ? '(unknown)' : '-'),
    count(row.calls),
    perSecond(row.calls, window_s),
    { text: share(errors), style: errors === 0 ? 'dim' : errors < 0.05 ? 'yellow' : 'red' },
    duration(row.p50_us),
    duration(row.p95_us),
    duration(row.p99_us),
    { text: duration(row.overhead_p50_us), style: 'dim' },
    byteSize(row.request_bytes + row.response_bytes),
    count(row.tokens_in + row.tokens_out),
  ]
}

const seconds = (s: number): string => duration(Math.max(0, s) * 1_000_000)

function headLines(t: TopTotals, window: string, window_s: number, { paint, width }: Screen): string[] {
  const figures = `${count(t.calls)} calls · ${perSecond(t.calls, window_s)}/s · ${share(t.calls ? t.failed / t.calls : 0)} errors · p50 ${duration(t.p50_us)} · p95 ${duration(t.p95_us)} · p99 ${duration(t.p99_us)} · Weir p50 ${duration(t.overhead_p50_us)}`
  const sizes = `${byteSize(t.request_bytes + t.response_bytes)} · ${count(t.tokens_in + t.tokens_out)} tokens`
  const lag =
    t.newest_age_s === null
      ? 'no calls in the last day'
      : `newest call ${seconds(t.newest_age_s)} ago, stored ${seconds(t.newest_delay_s ?? 0)} after its answer`
  const lost =
    t.lost > 0 || t.lost_ever > 0
      ? `LOST ${count(t.lost)} events in this window, ${count(t.lost_ever)} ever: weir doctor`
      : 'nothing lost'
  const second = cut(`${sizes} · ${lag} · `, Math.max(0, width - lost.length))
  return [
    paint('bold', cut(`last ${window}: ${figures}`, width)),
    `${paint('dim', second)}${paint(t.lost_ever > 0 ? ['red', 'bold'] : 'dim', lost)}`,
  ]
}

type View = { window: string; window_s: number; by: Group }

function page(
  { rows, totals }: { rows: TopRow[]; totals: TopTotals },
  { window, window_s, by }: View,
  now: Screen,
): string[] {
  const head = headLines(totals, window, window_s, now)
  if (rows.length === 0) return [...head, '', `no calls in the last ${window}`]
  const room = Math.max(1, now.height - head.length - 4)
  const shown = rows.slice(0, Math.min(rows.length, room))
  const body = table(
    columnsBy(by),
    shown.map((row) => cellsOf(row, by, window_s)),
    now,
  )
  const left = totals.groups - shown.length
  return [...head, '', ...body, ...(left > 0 ? [now.paint('dim', `… and ${count(left)} more`)] : [])]
}

/** The alternate screen, as long as somebody looks; whatever ends the process gives the terminal back. */
function takeScreen(stop: () => void): () => void {
  const input = process.stdin
  const restore = (): void => {
    process.stdout.write('\u001b[?25h\u001b[?1049l')
    if (input.isTTY) input.setRawMode(false)
    input.pause()
  }
  process.stdout.write('\u001b[?1049h\u001b[?25l')
  if (input.isTTY) {
    input.setRawMode(true)
    input.resume()
    input.on('data', (keys: Buffer) => {
      if (/[qQ\u0003\u0004]/.test(keys.toString('latin1'))) stop()
    })
  }
  process.once('exit', restore)
  return () => {
    process.off('exit', restore)
    restore()
  }
}

async function watch(store: StoreClient, view: View): Promise<void> {
  // Asked before the screen is taken: an error of the first question belongs on the ordinary screen.
  let answer = await run(store, view)
  const ended = new AbortController()
  const stop = (): void => ended.abort()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  const giveBack = takeScreen(stop)
  const draw = (trouble: string): void => {
    const now = screen()
    const lines = page(answer, view, trouble ? { ...now, height: now.height - 1 } : now)
    if (trouble) lines.unshift(now.paint('red', cut(trouble, now.width)))
    process.stdout.write(
      `\u001b[H${lines
        .slice(0, now.height - 1)
        .map((line) => `${line}\u001b[K\r\n`)
        .join('')}\u001b[J`,
    )
  }
  let trouble = ''
  process.stdout.on('resize', () => draw(trouble))
  try {
    draw(trouble)
    for (;;) {
      await sleep(REFRESH_MS, undefined, { signal: ended.signal })
      try {
        answer = await run(store, view)
        trouble = ''
      } catch (error) {
        if (!isPassing(error)) throw error
        trouble = `${error.message}; these figures are old`
      }
      draw(trouble)
    }
  } catch (error) {
    if (!ended.signal.aborted) throw error
  } finally {
    giveBack()
  }
}

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    ...STORE_OPTIONS,
    window: { type: 'string', short: 'w', default: '5m' },
    by: { type: 'string', default: 'tool' },
    once: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  const given = values as {
    window: string
    by: string
    once?: boolean
    json?: boolean
    config?: string
    url?: string
    user?: string
    password?: string
  }
  if (!(GROUPS as readonly string[]).includes(given.by))
    throw new CliError(`--by ${clean(given.by)} is not a grouping`, `write ${GROUPS.join(', ')}`, 2)
  const view: View = {
    window: given.window.trim(),
    window_s: windowSeconds(given.window),
    by: given.by as Group,
  }
  const installation = findInstallation(given)
  const store = openStore(installation)
  endWithReader()
  try {
    if (given.json) {
      const { rows, totals } = await run(store, { ...view, limit: 10_000 })
      const rate = (row: { calls: number }): { calls_per_s: number } => ({
        calls_per_s: row.calls / view.window_s,
      })
      await print(
        jsonLine({
          window_s: view.window_s,
          by: view.by,
          totals: { ...totals, ...rate(totals) },
          rows: rows.map((row) => ({ ...row, ...rate(row) })),
        }),
      )
    } else if (given.once || !screen().isTTY)
      await print(
        `${page(await run(store, { ...view, limit: 10_000 }), view, { ...screen(), height: Number.POSITIVE_INFINITY }).join('\n')}\n`,
      )
    else await watch(store, view)
    return 0
  } finally {
    await store.close()
  }
}
