/** `weir runs`: what agents did. */
import { run as listRuns, RUN_SORTS, type RunRow, type RunSort } from '../collector/queries/run-list.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore } from './store-client.ts'
import { type Cell, table } from './table.ts'
import {
  clean,
  clock,
  count,
  duration,
  endWithReader,
  iso,
  jsonLine,
  moment,
  print,
  screen,
} from './terminal.ts'
import { windowSeconds } from './top.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir runs [--window 1h] [--agent A] [--caller C] [--team T] [--project P] [--text WORDS] [--failing] [--looping] [--json]

Lists agent runs, newest first. One run with its steps: weir run <id>

  --window DURATION   how far back: 30s, 5m, 2h, at most 24h (default 1h)
  --agent, --caller, --team, --project
                      runs of these alone
  --text WORDS        runs with these words in id, agent, caller, project or client
  --failing           runs with failed calls
  --looping           runs that made one call with the same arguments three times or more
  --sort WHAT         ${RUN_SORTS.join(', ')} (default started)
  --limit N           runs listed at most (default 50)
  --json              one JSON object per run
${STORE_USAGE}`

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const FILTERS = ['agent', 'caller', 'team', 'project', 'text'] as const

/** Nano-dollars for people; '-' when nothing is known to have cost anything. */
export const money = (nano: number, unpriced: number): string => {
  const known = nano === 0 ? (unpriced > 0 ? '?' : '-') : `$${(nano / 1e9).toPrecision(3)}`
  return unpriced > 0 && nano !== 0 ? `${known}+` : known
}

const cellsOf = (row: RunRow): Cell[] => [
  clean(row.run_id),
  clock(moment(row.started)),
  duration(row.duration_us),
  count(row.calls),
  row.failed > 0 ? { text: count(row.failed), style: 'red' } : { text: '0', style: 'dim' },
  row.repeats > 0 ? { text: `${count(row.repeats)}x`, style: 'yellow' } : { text: '-', style: 'dim' },
  count(row.tokens_in + row.tokens_out),
  money(row.cost_nano, row.unpriced),
  clean(row.agent || row.client_name) || '-',
  clean(row.caller) || '-',
  `${row.run_source} ${Math.round(row.confidence)}%`,
]

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    ...STORE_OPTIONS,
    ...(Object.fromEntries(FILTERS.map((name) => [name, text])) as Record<
      (typeof FILTERS)[number],
      typeof text
    >),
    window: { type: 'string', default: '1h' },
    sort: { type: 'string', default: 'started' },
    limit: { type: 'string', default: '50' },
    failing: flag,
    looping: flag,
    json: flag,
  })
  const given = values as { window: string; sort: string; limit: string } & {
    [F in (typeof FILTERS)[number] | 'config' | 'url' | 'user' | 'password']?: string
  } & { [F in 'failing' | 'looping' | 'json']?: boolean }
  const sort = RUN_SORTS.find((word) => word === given.sort)
  if (!sort)
    throw new CliError(`--sort ${clean(given.sort)} is no order`, `write one of ${RUN_SORTS.join(', ')}`, 2)
  if (!/^[1-9]\d{0,3}$/.test(given.limit))
    throw new CliError(
      `--limit ${clean(given.limit)} is not a number of runs`,
      'write a number from 1 to 9999',
      2,
    )
  const window_s = windowSeconds(given.window)
  const store = openStore(findInstallation(given))
  endWithReader()
  try {
    const rows = await listRuns(store, {
      from_ms: Date.now() - window_s * 1000,
      ...Object.fromEntries(FILTERS.map((name) => [name, given[name] ?? ''])),
      failing: given.failing === true,
      looping: given.looping === true,
      sort: sort satisfies RunSort,
      limit: Number(given.limit),
    })
    if (given.json)
      for (const row of rows)
        await print(jsonLine({ ...row, started: iso(row.started), ended: iso(row.ended) }))
    else if (rows.length === 0) await print(`no such runs in the last ${given.window}\n`)
    else
      await print(
        `${table(
          [
            { head: 'run', min: 8, max: 32, rank: 0 },
            { head: 'began', min: 8, rank: 2 },
            { head: 'took', align: 'right', min: 6, rank: 1 },
            { head: 'calls', align: 'right', min: 5, rank: 0 },
            { head: 'failed', align: 'right', min: 6, rank: 1 },
            { head: 'repeats', align: 'right', min: 7, rank: 3 },
            { head: 'tokens', align: 'right', min: 6, rank: 5 },
            { head: 'cost', align: 'right', min: 5, rank: 4 },
            { head: 'agent', min: 8, max: 24, rank: 2 },
            { head: 'caller', min: 8, max: 20, rank: 6 },
            { head: 'by', min: 8, max: 14, rank: 7 },
          ],
          rows.map(cellsOf),
          screen(),
        ).join('\n')}\n`,
      )
    return 0
  } finally {
    await store.close()
  }
}
