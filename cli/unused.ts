/** `weir unused`: tools whose definitions were read and that nobody called, and what leaving them out saves. */
import { type ContextTotals, run, type UnusedTool } from '../collector/queries/unused-tools.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore } from './store-client.ts'
import { type Cell, type Column, table } from './table.ts'
import { clean, count, cut, endWithReader, jsonLine, print, type Screen, screen, share } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir unused [--window 30d] [--team TEAM] [--json]

Every tool that was listed costs each session the tokens of its definition, called or not.

  --window DAYS       how far back: 1d, 7d, 30d, at most 800d (default 30d); days are whole, by UTC
  --team TEAM         what this team reads and never calls; others may (default: what nobody calls)
  --json              one JSON object, totals and rows
${STORE_USAGE}

Money is shown when weir.yaml has a price: context: { usd_per_million_input_tokens: 3.00 }`

const WINDOW_MAX_DAYS = 800
const DAY_MS = 86_400_000
const NANO_PER_USD = 1e9

/** "30d" in milliseconds. Throws CliError. */
export function windowMs(text: string): number {
  const days = Number(/^(\d{1,5})d$/.exec(text.trim())?.[1])
  if (!(days >= 1))
    throw new CliError(`"${clean(text)}" is not a number of days`, 'write for example 7d or 30d', 2)
  if (days > WINDOW_MAX_DAYS)
    throw new CliError(
      `--window ${clean(text)} is longer than ${WINDOW_MAX_DAYS}d`,
      `write at most ${WINDOW_MAX_DAYS}d`,
      2,
    )
  return days * DAY_MS
}

/** $0.000123, $1.24, $12,345.67: what is left of a small sum is not rounded away. */
export function usd(nano: number): string {
  const dollars = nano / NANO_PER_USD
  const digits = dollars === 0 || dollars >= 0.995 ? 2 : Math.min(9, 2 - Math.floor(Math.log10(dollars)))
  return `$${dollars.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })}`
}

/** Money, and whether some of it is not known. */
function money({
  cost_nano,
  unpriced_tokens,
}: {
  cost_nano: number | null
  unpriced_tokens: number
}): string {
  if (cost_nano === null) return 'unpriced'
  return `${unpriced_tokens > 0 ? '≥ ' : ''}${usd(cost_nano)}`
}

const RIGHT = (head: string, rank: number, min = 6): Column => ({ head, align: 'right', min, rank })
const columnsFor = (team: string | null): readonly Column[] => [
  { head: 'server', min: 8, max: 24, rank: 0 },
  { head: 'tool', min: 12, max: 44, rank: 0 },
  RIGHT('tokens', 3),
  RIGHT('sessions', 2),
  ...(team === null ? [] : [RIGHT('calls of others', 4)]),
  RIGHT('tokens read', 1),
  RIGHT('saves', 0, 9),
]

const cellsOf = (row: UnusedTool, team: string | null): Cell[] => [
  clean(row.server),
  clean(row.tool),
  count(row.tokens),
  count(row.sessions),
  ...(team === null ? [] : [count(row.calls)]),
  count(row.context_tokens),
  money(row),
]

type View = { window: string; team: string | null }

function page(
  { rows, totals }: { rows: UnusedTool[]; totals: ContextTotals },
  { window, team }: View,
  now: Screen,
): string[] {
  const who = team === null ? '' : ` of ${clean(team) || 'no team'}`
  const read = `${count(totals.sessions)} sessions${who} read ${count(totals.context_tokens)} tokens of ${count(totals.tools)} tool definitions`
  const head = [
    now.paint('bold', cut(`last ${window}: ${read} (${money(totals)})`, now.width)),
    ...(totals.unread_sessions > 0
      ? [
          now.paint(
            'yellow',
            cut(`${count(totals.unread_sessions)} sessions got a list that was not read`, now.width),
          ),
        ]
      : []),
  ]
  if (totals.sessions === 0)
    return [`no tools were listed in the last ${window}${who && ` by callers${who}`}`]
  if (rows.length === 0) return [...head, 'every tool that was listed was called']
  const tokens = rows.reduce((sum, row) => sum + row.context_tokens, 0)
  const cost = rows.reduce<number | null>(
    (sum, row) => (row.cost_nano === null ? sum : (sum ?? 0) + row.cost_nano),
    null,
  )
  const unpriced_tokens = rows.reduce((sum, row) => sum + row.unpriced_tokens, 0)
  const saving = `listed, never called: ${count(rows.length)} tools, ${count(tokens)} tokens (${share(tokens / Math.max(1, totals.context_tokens))}); leaving them out saves ${money({ cost_nano: cost, unpriced_tokens })}`
  const body = table(
    columnsFor(team),
    rows.map((row) => cellsOf(row, team)),
    now,
  )
  return [...head, cut(saving, now.width), '', ...body]
}

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    ...STORE_OPTIONS,
    window: { type: 'string', short: 'w', default: '30d' },
    team: { type: 'string' },
    json: { type: 'boolean' },
  })
  const given = values as {
    window: string
    team?: string
    json?: boolean
    config?: string
    url?: string
    user?: string
    password?: string
  }
  const team = given.team ?? null
  const window_ms = windowMs(given.window)
  const store = openStore(findInstallation(given))
  endWithReader()
  try {
    const to_ms = Date.now() + 1_000
    const from_ms = to_ms - window_ms
    const answer = await run(store, { from_ms, to_ms, team, limit: 10_000 })
    await print(
      given.json
        ? jsonLine({ from_ms, to_ms, team, ...answer })
        : `${page(answer, { window: given.window.trim(), team }, screen()).join('\n')}\n`,
    )
    return 0
  } finally {
    await store.close()
  }
}
