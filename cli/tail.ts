/** `weir tail`: the last calls, then every call as it is stored, each once. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type FollowFilter,
  type FollowRow,
  LOOK_BACK_MS,
  last,
  more,
  start,
} from '../collector/queries/follow.ts'
import { OUTCOMES } from '../event/fields.ts'
import { findInstallation, type Installation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { isPassing, openStore, type StoreClient } from './store-client.ts'
import { type Cell, type Column, layout, tableHead, tableRow } from './table.ts'
import {
  byteSize,
  clean,
  clock,
  count,
  cut,
  duration,
  endWithReader,
  iso,
  jsonLine,
  moment,
  print,
  type Screen,
  type Style,
  screen,
} from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir tail [-n 20] [--no-follow] [filters] [--json]

Shows the last calls, then live ones as they are stored. Ctrl-C ends it.

  -n, --lines N       calls to start with (default 20)
  --no-follow         end after those
  --server NAME       only calls of this server
  --tool NAME         only this tool or prompt, by its own or its exposed name
  --caller NAME       only calls of this caller
  --method METHOD     only this MCP method, for example tools/call
  --outcome OUTCOME   only this outcome, or \`failed\`: ${OUTCOMES.join(', ')}
  --all               notifications and requests of servers too
  --json              one JSON object a line
${STORE_USAGE}`

const POLL_MS = 300
const LINES_MAX = 100_000

const COLUMNS: readonly Column[] = [
  { head: 'time', min: 12, rank: 0 },
  { head: 'caller', min: 8, max: 24, rank: 3 },
  { head: 'server', min: 8, max: 20, rank: 1 },
  { head: 'call', min: 12, max: 40, rank: 0 },
  { head: 'outcome', min: 10, max: 14, rank: 0 },
  { head: 'duration', align: 'right', min: 8, rank: 0 },
  { head: 'weir', align: 'right', min: 7, rank: 4 },
  { head: 'bytes', align: 'right', min: 7, rank: 6 },
  { head: 'tokens', align: 'right', min: 6, rank: 5 },
  { head: 'trace', min: 8, rank: 2 },
]

const isFailed = (outcome: string): boolean => outcome !== 'ok' && outcome !== 'input_required'

const outcomeStyle = (outcome: string, owner: string): Style =>
  !isFailed(outcome) ? 'green' : outcome === 'cancelled' || owner === 'client' ? 'yellow' : 'red'

/** What was called, in one word: the tool or prompt, the resource, or the method. */
function callName(row: FollowRow): string {
  if (row.tool && row.method === 'tools/call') return row.tool
  const object = row.tool || row.target
  if (row.method === '') return row.kind
  const name = object ? `${row.method} ${object}` : row.method
  return row.kind === 'server_request' ? `← ${name}` : name
}

const who = (row: FollowRow): string =>
  row.agent && row.agent !== row.caller ? `${row.caller || '-'}/${row.agent}` : row.caller || '-'

function cellsOf(row: FollowRow): Cell[] {
  return [
    { text: clock(moment(row.ts)), style: 'dim' },
    clean(who(row)),
    clean(row.server || '-'),
    clean(callName(row)),
    { text: clean(row.outcome), style: outcomeStyle(row.outcome, row.owner) },
    duration(row.duration_us),
    { text: duration(row.overhead_us), style: 'dim' },
    byteSize(row.request_bytes + row.response_bytes),
    count(row.tokens_in + row.tokens_out),
    { text: clean(row.trace_id).slice(0, 8), style: 'dim' },
  ]
}

/** What a failure says, on a line of its own. '' when there is nothing to say. */
function failureLine(row: FollowRow, { width, paint }: Screen): string {
  if (!isFailed(row.outcome)) return ''
  const parts = [row.owner !== 'none' && row.owner, row.error_type !== row.outcome && row.error_type]
    .filter(Boolean)
    .join(', ')
  const text = clean([parts && `[${parts}]`, row.error_message].filter(Boolean).join(' '))
  return text ? paint('dim', `  ${cut(text, width - 2)}`) : ''
}

/** Writes rows as a table that goes on: its columns may grow, never shrink. */
class TailTable {
  #widths: number[] = []
  #screen_width = 0
  #hasHead = false

  lines(rows: readonly FollowRow[]): string {
    if (rows.length === 0) return ''
    const now = screen()
    const cellRows = rows.map(cellsOf)
    const before = this.#screen_width === now.width ? this.#widths : []
    this.#widths = layout(COLUMNS, cellRows, now.width, before)
    this.#screen_width = now.width
    const lines = this.#hasHead ? [] : [tableHead(COLUMNS, this.#widths, now)]
    this.#hasHead = true
    rows.forEach((row, i) => {
      lines.push(tableRow(COLUMNS, this.#widths, cellRows[i]!, now))
      const failure = failureLine(row, now)
      if (failure) lines.push(failure)
    })
    return `${lines.join('\n')}\n`
  }
}

const json = (rows: readonly FollowRow[]): string =>
  rows.map((row) => jsonLine({ ...row, ts: iso(row.ts), ingested_at: iso(row.ingested_at) })).join('')

type Values = {
  server?: string
  tool?: string
  caller?: string
  method?: string
  outcome?: string
  all?: boolean
}

function filterOf(values: Values): FollowFilter {
  const { outcome, method } = values
  if (outcome !== undefined && outcome !== 'failed' && !(OUTCOMES as readonly string[]).includes(outcome))
    throw new CliError(`there is no outcome "${outcome}"`, `write failed, ${OUTCOMES.join(', ')}`, 2)
  const given = Object.fromEntries(
    Object.entries({
      server: values.server,
      tool: values.tool,
      caller: values.caller,
      method,
      outcome,
    }).filter(([, v]) => v !== undefined),
  )
  return { ...given, all: values.all || method?.startsWith('notifications/') || false }
}

/** Never ends by itself: a store that is away is waited for, and nothing stored meanwhile is missed. */
async function follow(
  store: StoreClient,
  installation: Installation,
  filter: FollowFilter,
  lines: number,
  write: (rows: readonly FollowRow[]) => Promise<void>,
): Promise<never> {
  const look_back_ms = Math.max(LOOK_BACK_MS, 2 * (installation.config?.store.timeout_ms ?? 0))
  const { rows, cursor } = await start(store, filter, lines, look_back_ms)
  await write(rows)
  let isAway = false
  for (;;) {
    try {
      for await (const portion of more(store, cursor, filter)) await write(portion)
      if (isAway) process.stderr.write('weir: the store answers again\n')
      isAway = false
    } catch (error) {
      if (!isPassing(error)) throw error
      if (!isAway) process.stderr.write(`weir: ${error.message}; waiting for it\n`)
      isAway = true
    }
    await sleep(POLL_MS)
  }
}

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    ...STORE_OPTIONS,
    lines: { type: 'string', short: 'n', default: '20' },
    follow: { type: 'boolean', short: 'f', default: true },
    'no-follow': { type: 'boolean' },
    server: { type: 'string' },
    tool: { type: 'string' },
    caller: { type: 'string' },
    method: { type: 'string' },
    outcome: { type: 'string' },
    all: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  const given = values as Values & {
    lines: string
    'no-follow'?: boolean
    json?: boolean
    config?: string
    url?: string
    user?: string
    password?: string
  }
  const lines = Number(given.lines)
  if (!/^\d+$/.test(given.lines) || lines > LINES_MAX)
    throw new CliError(
      `-n ${given.lines} is not a number of lines`,
      `write a whole number up to ${LINES_MAX}`,
      2,
    )
  const filter = filterOf(given)
  const installation = findInstallation(given)
  const store = openStore(installation)
  endWithReader()
  const shown = new TailTable()
  const write = (rows: readonly FollowRow[]): Promise<void> =>
    print(given.json ? json(rows) : shown.lines(rows))
  try {
    if (given['no-follow']) {
      await write(await last(store, filter, lines))
      return 0
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0))
    return await follow(store, installation, filter, lines, write)
  } finally {
    await store.close()
  }
}
