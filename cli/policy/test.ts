/** `weir policy test`: what rules, limits and budgets would have done to the calls of the past, and what that would have saved. */
import { type PastCall, run } from '../../collector/queries/past-calls.ts'
import { limitEntries } from '../../config/limit-book.ts'
import type { Config } from '../../config/schema.ts'
import { findInstallation, loadForAsking, STORE_OPTIONS, STORE_USAGE } from '../installation.ts'
import { openStore } from '../store-client.ts'
import { type Column, table } from '../table.ts'
import { clean, count, cut, endWithReader, jsonLine, print, screen } from '../terminal.ts'
import { usd, windowMs } from '../unused.ts'
import { CliError, readArgs, type Verb } from '../verb.ts'
import { type Finding, type Judge, RuleJudge } from './judges.ts'
import { LimitJudge } from './limit-judge.ts'

const USAGE = `usage: weir policy test [--rules FILE] [--rule NAME] [--window 7d] [--limit 50] [--json]

Which calls of the past the rules, limits and budgets would have refused, when, why, and what those calls cost. Those in shadow
mode are taken as enforced: this is how they are tried. Budgets take part when they have \`enforce\`.

  --rules FILE        rules and limits of this file (a weir.yaml, or one with nothing else) instead of the installation's
  --rule NAME         show only what this rule, limit or budget refuses
  --window DAYS       how far back: 1d, 7d, 30d (default 7d)
  --limit N           lines shown (default 50)
  --json              one JSON object
${STORE_USAGE}

Rules on arguments need arguments that were kept (capture.keep in weir.yaml), masked as they are; how many calls could not be
judged is said.`

type Told = Finding & { call: PastCall }
export type Tally = {
  calls: number
  /** Refused already when they were made: nothing new would have happened. */
  refused_before: number
  refused: number
  unknown: number
  saved_nano: number
  /** By rule. */
  by: Record<string, { refused: number; unknown: number; saved_nano: number; callers: string[] }>
}

/** Tells the judges of every call, and counts. At most `limit` of what they would have refused is kept. */
export async function judgeAll(
  pages: AsyncIterable<readonly PastCall[]>,
  judges: readonly Judge[],
  only: string | null,
  limit: number,
): Promise<{ tally: Tally; told: Told[] }> {
  const tally: Tally = { calls: 0, refused_before: 0, refused: 0, unknown: 0, saved_nano: 0, by: {} }
  const told: Told[] = []
  for await (const page of pages)
    for (const call of page) {
      tally.calls++
      const findings: Finding[] = []
      for (const judge of judges) {
        const finding = judge.judge(call)
        if (finding) findings.push(finding)
        // What rules refuse uses no limit up.
        if (finding?.verdict === 'refused') break
      }
      if (call.outcome === 'denied' || call.outcome === 'limited') {
        tally.refused_before++
        continue
      }
      const finding = findings.find(({ verdict }) => verdict === 'refused') ?? findings[0]
      if (!finding || (only !== null && finding.by !== only)) continue
      const isRefused = finding.verdict === 'refused'
      const sum = (tally.by[finding.by] ??= { refused: 0, unknown: 0, saved_nano: 0, callers: [] })
      if (isRefused) {
        tally.refused++
        sum.refused++
        tally.saved_nano += call.cost_nano
        sum.saved_nano += call.cost_nano
        if (!sum.callers.includes(call.caller) && sum.callers.length < 100) sum.callers.push(call.caller)
        if (told.length < limit) told.push({ ...finding, call })
      } else {
        tally.unknown++
        sum.unknown++
      }
    }
  return { tally, told }
}

/** What decides about calls in a config. */
export function judgesOf(config: Config): Judge[] {
  const limits = limitEntries(config)
  return [
    ...(config.rules.length > 0 ? [new RuleJudge(config.rules)] : []),
    ...(limits.length > 0 ? [new LimitJudge(limits)] : []),
  ]
}

const COLUMNS: readonly Column[] = [
  { head: 'when (UTC)', min: 19, rank: 0 },
  { head: 'caller', min: 8, max: 20, rank: 0 },
  { head: 'what', min: 14, max: 44, rank: 0 },
  { head: 'refused by', min: 10, max: 28, rank: 0 },
  { head: 'why', min: 12, max: 60, rank: 2 },
  { head: 'cost', align: 'right', min: 6, rank: 1 },
]
const whenOf = (ts_us: number): string => new Date(ts_us / 1000).toISOString().slice(0, 19).replace('T', ' ')
const whatOf = ({ server, tool, target }: PastCall): string => clean(`${server} ${tool || target}`)

function page(
  window: string,
  judges: readonly Judge[],
  { tally, told }: { tally: Tally; told: Told[] },
): string[] {
  const now = screen()
  const head = [
    `${count(tally.calls)} calls of the last ${window}, judged by ${judges.map(({ about }) => about).join(' and ')}`,
    `refused: ${count(tally.refused)}; not making them saves ${usd(tally.saved_nano)}`,
    ...(tally.refused_before > 0
      ? [`refused already when they were made: ${count(tally.refused_before)}`]
      : []),
    ...(tally.unknown > 0
      ? [
          `not judged: ${count(tally.unknown)}, because arguments or tool definitions were not kept (capture.keep keeps arguments)`,
        ]
      : []),
  ].map((line) => now.paint('bold', cut(line, now.width)))
  const sums = Object.entries(tally.by).map(
    ([rule, { refused, unknown, saved_nano, callers }]) =>
      `  ${clean(rule)}: ${count(refused)} refused (${callers.map(clean).join(', ') || 'nobody'}), ${count(unknown)} not judged, ${usd(saved_nano)}`,
  )
  if (told.length === 0) return [...head, ...sums]
  const rows = told.map(({ call, by, reason }) => [
    whenOf(call.ts_us),
    clean(call.caller),
    whatOf(call),
    clean(by),
    clean(reason),
    usd(call.cost_nano),
  ])
  const more =
    tally.refused > told.length ? [`… and ${count(tally.refused - told.length)} more (--limit)`] : []
  return [...head, ...sums, '', ...table(COLUMNS, rows, now), ...more]
}

export const test: Verb = async (argv) => {
  const { values } = readArgs(USAGE, argv, {
    ...STORE_OPTIONS,
    rules: { type: 'string' },
    rule: { type: 'string' },
    window: { type: 'string', short: 'w', default: '7d' },
    limit: { type: 'string', default: '50' },
    json: { type: 'boolean' },
  })
  const given = values as {
    rules?: string
    rule?: string
    window: string
    limit: string
    json?: boolean
    config?: string
    url?: string
  }
  const window_ms = windowMs(given.window)
  const limit = Number(given.limit)
  if (!Number.isInteger(limit) || limit < 0)
    throw new CliError(`--limit ${clean(given.limit)} is not a number of lines`, '', 2)
  const installation = findInstallation(values)
  const config = given.rules === undefined ? installation.config : loadForAsking(given.rules).config
  const judges = config ? judgesOf(config) : []
  if (judges.length === 0)
    throw new CliError(
      'there are no rules and no limits to try',
      'write some under `rules:` or `limits:` in weir.yaml, or name a file with --rules',
    )
  const only = given.rule ?? null
  if (
    only !== null &&
    !config!.rules.some(({ allow, deny }) => (allow ?? deny) === only) &&
    only !== 'default' &&
    !limitEntries(config!).some(({ name }) => name === only)
  )
    throw new CliError(
      `there is no rule or limit "${clean(only)}"`,
      'names are those after allow: and deny:, `default`, and names of limits; a budget is budget:scope:name:period',
      2,
    )
  const store = openStore(installation, 120_000)
  endWithReader()
  try {
    const to_ms = Date.now() + 1_000
    const from_ms = to_ms - window_ms
    const found = await judgeAll(run(store, { from_ms, to_ms }), judges, only, limit)
    const { tally, told } = found
    const refused = told.map(({ call, by, reason }) => ({ rule: by, reason, ...call, arguments: undefined }))
    await print(
      given.json
        ? jsonLine({ from_ms, to_ms, ...tally, calls_refused: refused })
        : `${page(given.window.trim(), judges, found).join('\n')}\n`,
    )
    return 0
  } finally {
    await store.close()
  }
}
