/** `weir changes`: the record of who changed what in the configuration. */
import { type ConfigChangeRow, run } from '../collector/queries/config-changes.ts'
import { durationMs } from './duration.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore } from './store-client.ts'
import { type Column, table } from './table.ts'
import { clean, endWithReader, jsonLine, print, screen } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir changes [--since 30d] [--section keys] [--limit 100] [--json]

Keys, callers, rules, limits, budgets, prices and every other setting: who changed them, when, from what to what. Newest first.
Secrets are never in it: digests are cut, and what may hold a secret is shown as a fingerprint (#…).

  --since DURATION   how far back: 2h, 30d (default 30d)
  --section NAME     keys, callers, rules, limits, budgets, prices, teams, admin_tokens, servers, …
  --limit N          how many (default 100)
  --json             one JSON object a line
${STORE_USAGE}`

const LIMIT_MAX = 100_000
const COLUMNS: readonly Column[] = [
  { head: 'when', min: 20, rank: 0 },
  { head: 'who', min: 8, max: 28, rank: 1 },
  { head: 'via', min: 7, rank: 3 },
  { head: 'what', min: 14, max: 50, rank: 0 },
  { head: '', min: 7, rank: 2 },
  { head: 'before', min: 10, max: 50, rank: 5 },
  { head: 'after', min: 10, max: 50, rank: 4 },
]

const cells = (row: ConfigChangeRow): string[] => [
  `${new Date(row.at_ms).toISOString().slice(0, 19).replace('T', ' ')}Z`,
  clean(row.who === '' ? '?' : row.who),
  row.via,
  clean(`${row.section} ${row.name}`.trim()),
  row.action,
  clean(row.before),
  clean(row.after),
]

export const verb: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    ...STORE_OPTIONS,
    since: { type: 'string', default: '30d' },
    section: { type: 'string', default: '' },
    limit: { type: 'string', default: '100' },
    json: { type: 'boolean' },
  })
  const since_ms = durationMs(values.since)
  const limit = Number(values.limit)
  if (!(since_ms > 0))
    throw new CliError(`--since ${clean(values.since)} is not a duration`, 'write for example 2h or 30d', 2)
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    throw new CliError(`--limit ${clean(values.limit)} is not a number of rows`, `write 1 to ${LIMIT_MAX}`, 2)
  endWithReader()
  const store = openStore(findInstallation(values))
  try {
    const now_ms = Date.now()
    const rows = await run(store, {
      from_ms: now_ms - since_ms,
      // Clocks of other machines may be ahead.
      to_ms: now_ms + 3_600_000,
      section: values.section,
      limit,
    })
    if (values.json) await print(rows.map((row) => jsonLine(row)).join(''))
    else if (rows.length === 0) await print(`nothing was changed in the last ${clean(values.since)}\n`)
    else await print(`${table(COLUMNS, rows.map(cells), screen()).join('\n')}\n`)
    return 0
  } finally {
    await store.close()
  }
}
