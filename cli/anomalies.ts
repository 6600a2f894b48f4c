/** `weir anomalies`: what is unlike it usually is, now and lately. */
import { type AnomalyRow, one, run } from '../collector/queries/anomalies.ts'
import { backtest } from './anomalies-backtest.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore } from './store-client.ts'
import { type Column, table } from './table.ts'
import { clean, clock, endWithReader, iso, jsonLine, moment, print, screen } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir anomalies [id] [--since 24h] [--open] [--json]
       weir anomalies backtest --help

Findings of the detectors: what goes on now, and what ended lately. With an id: all about one, with the SQL that shows it.

  --since DURATION    how far back ended ones are shown: 30m, 24h, 7d (default 24h)
  --open              only what goes on now
  --json              one JSON object a line
${STORE_USAGE}`

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }
const AHEAD_MS = 60_000

function sinceOf(text: string): number {
  const [, number, unit] = /^(\d{1,5})([mhd])$/.exec(text) ?? []
  const ms = Number(number) * (UNITS_MS[unit ?? ''] ?? Number.NaN)
  if (!(ms > 0))
    throw new CliError(`"${clean(text)}" is not a duration`, 'write a number and a unit: 30m, 24h or 7d', 2)
  return ms
}

const COLUMNS: readonly Column[] = [
  { head: 'id', min: 8, max: 8, rank: 1 },
  { head: 'since', min: 5, max: 18, rank: 2 },
  { head: 'state', min: 5, max: 8, rank: 3 },
  { head: 'kind', min: 6, max: 14, rank: 4 },
  { head: 'what', min: 20, rank: 0 },
]

const answer = (row: AnomalyRow): object => ({
  ...row,
  started: iso(row.started),
  ended: iso(row.ended),
  last_seen: iso(row.last_seen),
  detected_at: iso(row.detected_at),
  is_open: row.is_open === 1,
})

function details(row: AnomalyRow): string {
  const differs = row.differs.map(
    (d) =>
      `  ${clean(d.dimension)} ${clean(d.value)}: ${Math.round(d.share * 100)} % of the change, ${Math.round(d.usual * 100)} % of the calls`,
  )
  return [
    clean(row.summary),
    '',
    `${row.kind}, ${row.is_open ? 'still going on' : `ended ${iso(row.ended)}`}; started ${iso(row.started)}, found ${iso(row.detected_at)}, last seen ${iso(row.last_seen)}`,
    ...(differs.length > 0 ? ['', 'What differs:', ...differs] : []),
    ...(row.traces.length > 0
      ? ['', 'Examples:', ...row.traces.map((id) => `  weir trace ${clean(id)}`)]
      : []),
    '',
    'Evidence:',
    `  weir query "${clean(row.evidence).replaceAll(/["$`\\]/g, '\\$&')}"`,
    '',
  ].join('\n')
}

export const verb: Verb = async (argv) => {
  if (argv[0] === 'backtest') return backtest(argv.slice(1))
  const { values, positionals } = readArgs(
    USAGE,
    argv,
    {
      ...STORE_OPTIONS,
      since: { type: 'string', default: '24h' },
      open: { type: 'boolean' },
      json: { type: 'boolean' },
    },
    1,
  )
  const [id] = positionals
  if (id !== undefined && !/^[0-9a-f]{4,16}$/.test(id))
    throw new CliError(`"${clean(id)}" is not the id of a finding`, '`weir anomalies` lists them', 2)
  const since_ms = sinceOf(values.since as string)
  const store = openStore(findInstallation(values as Parameters<typeof findInstallation>[0]))
  endWithReader()
  try {
    if (id !== undefined) {
      const found = await one(store, id)
      if (!found) throw new CliError(`there is no finding ${id}`, '`weir anomalies --since 7d` lists them')
      await print(values.json ? jsonLine(answer(found)) : details(found))
      return 0
    }
    const now_ms = Date.now()
    const rows = await run(store, {
      from_ms: now_ms - since_ms,
      to_ms: now_ms + AHEAD_MS,
      state: values.open ? 'open' : 'all',
    })
    if (values.json) {
      for (const row of rows) await print(jsonLine(answer(row)))
      return 0
    }
    if (rows.length === 0) {
      await print(`nothing unusual ${values.open ? 'now' : `in the last ${values.since}`}\n`)
      return 0
    }
    const now = screen()
    const cells = rows.map((row) => [
      row.id.slice(0, 8),
      clock(moment(row.started)).replace(/\.\d+$/, ''),
      row.is_open ? ({ text: 'open', style: 'red' } as const) : 'ended',
      clean(row.kind),
      clean(row.summary),
    ])
    await print(`${table(COLUMNS, cells, now).join('\n')}\n`)
    return 0
  } finally {
    await store.close()
  }
}
