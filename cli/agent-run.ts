/** `weir run`: one agent run with its steps, its critical path and what is remarkable about it. */
import { run as findRuns } from '../collector/queries/find-run.ts'
import { run as readRun } from '../collector/queries/run.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { runLines } from './run-view.ts'
import { openStore, type StoreClient } from './store-client.ts'
import { clean, clock, count, cut, endWithReader, iso, jsonLine, moment, print, screen } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir run <id> [--limit 100] [--json]

Shows the steps of an agent run in order; ▸ marks the critical path: the steps that decided how long it took.
The id is that of a run (weir runs), its beginning, or that of a call, trace or session in it.

  --limit N           steps shown at most (default 100; 0 = all that are read)
  --json              one JSON object: head, steps, findings, waterfall with the spans of others
${STORE_USAGE}`

const PREFIX_MIN = 6
const CANDIDATES_MAX = 10

/** The one run that is meant. Throws CliError, with the candidates when there are several. */
async function resolveId(store: StoreClient, id: string): Promise<string> {
  const digits = id.toLowerCase().replaceAll('-', '')
  const hex = /^[0-9a-f]{32}$/.test(digits) ? digits : ''
  const found = await findRuns(store, { id, hex, limit: CANDIDATES_MAX + 1 })
  const [first, second] = found
  if (first && (first.run_id === id || (!second && (hex || id.length >= PREFIX_MIN)))) return first.run_id
  if (first && id.length >= PREFIX_MIN) {
    const lines = found
      .slice(0, CANDIDATES_MAX)
      .map((r) => `  ${clean(r.run_id)}  ${count(r.calls)} calls, began ${clock(moment(r.started))}`)
    throw new CliError(
      `"${clean(id)}" stands for several runs:\n\n${lines.join('\n')}\n`,
      'give one of these',
    )
  }
  throw new CliError(
    `there is no run "${cut(clean(id), 80)}"`,
    '`weir runs` lists the runs of the last hour; a beginning of an id needs at least 6 characters',
  )
}

export const verb: Verb = async (argv) => {
  const { values, positionals } = readArgs(
    USAGE,
    argv,
    { ...STORE_OPTIONS, limit: { type: 'string', default: '100' }, json: { type: 'boolean' } },
    1,
  )
  const given = values as {
    limit: string
    json?: boolean
    config?: string
    url?: string
    user?: string
    password?: string
  }
  const id = positionals[0]?.trim()
  if (!id) throw new CliError(`which run?\n\n${USAGE}`, '', 2)
  if (!/^\d{1,6}$/.test(given.limit))
    throw new CliError(
      `--limit ${clean(given.limit)} is not a number of steps`,
      'write a whole number; 0 = all',
      2,
    )
  const store = openStore(findInstallation(given))
  endWithReader()
  try {
    const run_id = await resolveId(store, id)
    const found = await readRun(store, { run_id })
    if (!found || found.steps.length === 0)
      throw new CliError(
        `the calls of run ${clean(run_id)} are no longer there`,
        'they are kept for retention.calls_days',
      )
    await print(
      given.json
        ? jsonLine({ ...found, started: iso(found.started), ended: iso(found.ended) })
        : `${runLines(found, Number(given.limit) || Number.POSITIVE_INFINITY, screen()).join('\n')}\n`,
    )
    return 0
  } finally {
    await store.close()
  }
}
