/** `weir silence`: keeps alerts quiet for a while. Reads the store as every asking command; writes through the collector. */
import { userInfo } from 'node:os'
import { run, type SilenceRow } from '../collector/queries/silences.ts'
import type { Matcher } from '../config/matchers.ts'
import { matcherText, parseMatcher } from '../config/matchers.ts'
import { durationMs } from './duration.ts'
import { findInstallation, type Installation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore } from './store-client.ts'
import { type Column, table } from './table.ts'
import { clean, endWithReader, jsonLine, print, screen } from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'

const USAGE = `usage: weir silence add --for 2h [--comment TEXT] <matcher> ...
       weir silence list [--all] [--json]
       weir silence remove <id>

Alerts that meet all matchers are told to nobody until the silence ends. A matcher is a label, =, !=, =~ or !~, and a value:

  weir silence add --for 2h --comment "database moves" server=bank 'alertname=~"Slow.*"'

  --for DURATION    how long: 30m, 2h, 7d
  --comment TEXT    why
  --all             ended silences too
  --json            one JSON object a line
  --key KEY         API key for a collector on another machine (or WEIR_API_KEY)
  --collector URL   the collector to write to (default: the one of the installation)
${STORE_USAGE}`

const ASK_MS = 10_000

type Given = {
  for?: string
  comment?: string
  all?: boolean
  json?: boolean
  key?: string
  collector?: string
  config?: string
  url?: string
  user?: string
  password?: string
}

function quietMs(text: string | undefined): number {
  const ms = durationMs(text ?? '')
  if (!(ms > 0))
    throw new CliError(
      text === undefined ? 'how long shall it be quiet?' : `"${clean(text)}" is not a duration`,
      'write --for with a number and a unit: 30m, 2h or 7d',
      2,
    )
  return ms
}

function matchersOf(words: readonly string[]): Matcher[] {
  if (words.length === 0)
    throw new CliError('what shall be quiet?', 'name it by labels: server=bank, \'alertname=~"Slow.*"\'', 2)
  return words.map((word) => {
    try {
      return parseMatcher(word)
    } catch (error) {
      const [message, example] = (error as Error).message.split(', for example ')
      throw new CliError(`${clean(word)} ${message}`, example ? `write something like ${example}` : '', 2)
    }
  })
}

/** Asks the collector; its refusals become ours. */
async function ask(
  base: string,
  path: string,
  method: string,
  given: Given,
  body?: object,
): Promise<unknown> {
  const key = given.key ?? process.env.WEIR_API_KEY ?? ''
  let response: Response
  try {
    response = await fetch(`${base.replace(/\/$/, '')}${path}`, {
      method,
      redirect: 'error',
      headers: {
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(ASK_MS),
    })
  } catch (error) {
    const { cause, message } = error as { cause?: { code?: string }; message: string }
    throw new CliError(
      `the collector at ${clean(base)} does not answer (${clean(cause?.code ?? message)})`,
      '`weir doctor` looks for the cause; --collector names another',
    )
  }
  const answer = (await response.json().catch(() => ({}))) as { error?: { message?: string; fix?: string } }
  if (response.ok) return answer
  const { message = `HTTP ${response.status}`, fix = '' } = answer.error ?? {}
  throw new CliError(
    `the collector refuses: ${clean(message)}`,
    response.status === 401 ? 'run it on the machine of the collector, or give --key' : clean(fix),
  )
}

const COLUMNS: readonly Column[] = [
  { head: 'id', min: 36, rank: 0 },
  { head: 'until', min: 17, rank: 1 },
  { head: 'state', min: 7, rank: 2 },
  { head: 'matchers', min: 20, max: 80, rank: 0 },
  { head: 'by', min: 6, max: 20, rank: 4 },
  { head: 'comment', min: 8, max: 60, rank: 3 },
]

const stateOf = (row: SilenceRow, now_ms: number): string =>
  row.ends_ms <= now_ms ? 'ended' : row.starts_ms > now_ms ? 'waits' : 'runs'
const minuteOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')}Z`

async function list(installation: Installation, given: Given): Promise<void> {
  const store = openStore(installation)
  try {
    const rows = await run(store, { only: given.all ? 'all' : 'running' })
    if (given.json) return await print(rows.map((row) => jsonLine(row)).join(''))
    if (rows.length === 0) return await print('nothing is silenced\n')
    const now_ms = Date.now()
    const cells = rows.map((row) => [
      row.id,
      minuteOf(row.ends_ms),
      stateOf(row, now_ms),
      clean(row.matchers.map((matcher) => matcherText(matcher as Matcher)).join(' ')),
      clean(row.created_by),
      clean(row.comment),
    ])
    await print(`${table(COLUMNS, cells, screen()).join('\n')}\n`)
  } finally {
    await store.close()
  }
}

const userName = (): string => {
  try {
    return userInfo().username
  } catch {
    return ''
  }
}

async function add(base: string, words: readonly string[], given: Given): Promise<void> {
  const matchers = matchersOf(words)
  const ends_at = Date.now() + quietMs(given.for)
  const body = { matchers, ends_at, created_by: userName(), comment: given.comment ?? '' }
  const made = (await ask(base, '/api/silences', 'POST', given, body)) as { id: string; ends_ms: number }
  await print(
    given.json
      ? jsonLine(made)
      : `quiet until ${minuteOf(made.ends_ms)}: ${matchers.map(matcherText).join(' ')}\nweir silence remove ${made.id}\n`,
  )
}

export const verb: Verb = async (argv) => {
  const { values, positionals } = readArgs(
    USAGE,
    argv,
    {
      ...STORE_OPTIONS,
      for: { type: 'string' },
      comment: { type: 'string' },
      all: { type: 'boolean' },
      json: { type: 'boolean' },
      key: { type: 'string' },
      collector: { type: 'string' },
    },
    30,
  )
  const given = values as Given
  const [what, ...words] = positionals
  if (what !== 'add' && what !== 'list' && what !== 'remove')
    throw new CliError(
      `${what === undefined ? 'add, list or remove?' : `there is no "${clean(what)}"`}\n\n${USAGE}`,
      '',
      2,
    )
  const installation = findInstallation(given)
  const base = given.collector ?? installation.collector
  endWithReader()
  if (what === 'list') await list(installation, given)
  else if (base === '')
    throw new CliError(
      'no collector is known here',
      'name the config with --config, or the collector with --collector',
      2,
    )
  else if (what === 'add') await add(base, words, given)
  else {
    const [id, ...more] = words
    if (id === undefined || more.length > 0)
      throw new CliError('which silence?', '`weir silence list` shows their ids', 2)
    await ask(base, `/api/silences/${encodeURIComponent(id)}`, 'DELETE', given)
    await print(given.json ? jsonLine({ id }) : `${clean(id)} has ended\n`)
  }
  return 0
}
