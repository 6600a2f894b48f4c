/** `weir trace`: one trace as a waterfall, found by whatever id is at hand. */
import { type FoundTrace, run as findTrace } from '../collector/queries/find-trace.ts'
import { run as readTrace, type TraceSpan } from '../collector/queries/trace.ts'
import { run as readCalls, type TraceCall } from '../collector/queries/trace-calls.ts'
import { findInstallation, STORE_OPTIONS, STORE_USAGE } from './installation.ts'
import { openStore, type StoreClient } from './store-client.ts'
import { table } from './table.ts'
import {
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
  screen,
} from './terminal.ts'
import { CliError, readArgs, type Verb } from './verb.ts'
import { waterfall } from './waterfall.ts'

const USAGE = `usage: weir trace <id> [--limit 200] [--json]

Draws all spans of a trace: Weir's own, and those agents and servers sent over OTLP.
The id may be that of a trace, an event, a session or a run, or the first 6 or more hex digits of one.

  --limit N           spans drawn at most (default 200; 0 = all)
  --json              one JSON object with every span
${STORE_USAGE}`

const PREFIX_MIN = 6
const CANDIDATES_MAX = 20
const SPANS_MAX = 10_000
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

function hexOf(id: string): string {
  const lower = id.toLowerCase()
  const hex = UUID.test(lower) || /^[0-9a-f]{8}-[0-9a-f-]*$/.test(lower) ? lower.replaceAll('-', '') : lower
  return /^[0-9a-f]+$/.test(hex) && hex.length >= PREFIX_MIN && hex.length <= 32 ? hex : ''
}

function candidateLines(found: readonly FoundTrace[], now: Screen): string[] {
  return table(
    [
      { head: 'trace', min: 32, rank: 0 },
      { head: 'by', min: 5, rank: 4 },
      { head: 'last call', min: 12, rank: 1 },
      { head: 'calls', align: 'right', min: 5, rank: 2 },
      { head: 'failed', align: 'right', min: 6, rank: 3 },
      { head: 'client', min: 8, max: 20, rank: 5 },
      { head: 'servers', min: 8, rank: 6 },
    ],
    found.map((f) => [
      clean(f.trace_id),
      f.matched.join(','),
      f.last_ts ? clock(moment(f.last_ts)) : '-',
      count(f.calls),
      count(f.failed),
      clean(f.client_name) || '-',
      clean(f.servers.join(', ')) || '-',
    ]),
    now,
  )
}

/** The one trace that is meant. Throws CliError, with the candidates when there are several. */
async function resolveId(store: StoreClient, id: string): Promise<string> {
  const hex = hexOf(id)
  const found = await findTrace(store, { exact: id, hex, limit: CANDIDATES_MAX + 1 })
  const exact = found.find((f) => f.trace_id === hex && f.matched.includes('trace'))
  if (exact) return exact.trace_id
  if (found.length === 1) return found[0]!.trace_id
  if (found.length > 1) {
    const now = { ...screen(), paint: (_style: unknown, text: string): string => text }
    const more = found.length > CANDIDATES_MAX ? `\n  … and more` : ''
    const lines = candidateLines(found.slice(0, CANDIDATES_MAX), { ...now, width: Number.POSITIVE_INFINITY })
    throw new CliError(
      `"${clean(id)}" stands for several traces:\n\n${lines.map((l) => `  ${l}`).join('\n')}${more}\n`,
      'give one of these, or more digits',
    )
  }
  if (!hex && /^[0-9a-f-]{1,5}$/i.test(id))
    throw new CliError(
      `"${clean(id)}" is too short to find a trace by`,
      `give at least ${PREFIX_MIN} hex digits`,
      2,
    )
  throw new CliError(
    `there is no trace, event, session or run "${cut(clean(id), 80)}"`,
    '`weir tail` shows the ids of the latest calls; a call is stored about a second after its answer, and kept for retention.calls_days',
  )
}

function headLines(
  trace_id: string,
  spans: readonly TraceSpan[],
  calls: readonly TraceCall[],
  { paint, width }: Screen,
): string[] {
  const start_us = spans.reduce((least, s) => Math.min(least, s.start_us), Number.POSITIVE_INFINITY)
  const end_us = spans.reduce((most, s) => Math.max(most, s.start_us + s.duration_us), start_us)
  const failed = calls.filter((c) => c.outcome !== 'ok' && c.outcome !== 'input_required').length
  const foreign = spans.filter((s) => !s.is_weir).length
  const sum = (pick: (call: TraceCall) => number): number =>
    calls.reduce((total, call) => total + pick(call), 0)
  const first = calls[0]
  const facts = [
    `${count(spans.length)} spans${foreign ? ` (${count(foreign)} of others)` : ''}`,
    `${count(calls.length)} events, ${failed ? `${count(failed)} failed` : 'none failed'}`,
    duration(end_us - start_us),
    `${count(sum((c) => c.tokens_in + c.tokens_out))} tokens`,
    `began ${clock(new Date(start_us / 1000))}`,
  ]
  const who = first && [
    first.caller && `caller ${first.caller}`,
    first.agent && `agent ${first.agent}`,
    first.client_name && `client ${first.client_name} ${first.client_version}`,
    first.run_id && `run by ${first.run_source}`,
  ]
  const line = (text: string): string => cut(clean(text), width)
  return [
    paint('bold', `trace ${clean(trace_id)}`),
    line(facts.join(' · ')),
    ...(who ? [paint('dim', line(who.filter(Boolean).join(' · ')))] : []),
    '',
  ]
}

function json(trace_id: string, spans: readonly TraceSpan[], calls: readonly TraceCall[]): string {
  const bySpan = new Map(calls.map((c) => [c.span_id, { ...c, ts: iso(c.ts) }]))
  return jsonLine({
    trace_id,
    spans: spans.map((span) => ({
      ...span,
      call: (span.is_weir && span.kind === 'Server' && bySpan.get(span.span_id)) || null,
    })),
  })
}

export const verb: Verb = async (argv) => {
  const { values, positionals } = readArgs(
    USAGE,
    argv,
    { ...STORE_OPTIONS, limit: { type: 'string', default: '200' }, json: { type: 'boolean' } },
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
  if (!id) throw new CliError(`which trace?\n\n${USAGE}`, '', 2)
  if (!/^\d{1,6}$/.test(given.limit))
    throw new CliError(
      `--limit ${clean(given.limit)} is not a number of spans`,
      'write a whole number; 0 = all',
      2,
    )
  const limit = Number(given.limit) || Number.POSITIVE_INFINITY
  const installation = findInstallation(given)
  const store = openStore(installation)
  endWithReader()
  try {
    const trace_id = await resolveId(store, id)
    const [spans, calls] = await Promise.all([
      readTrace(store, { trace_id, limit: SPANS_MAX }),
      readCalls(store, { trace_id }),
    ])
    if (spans.length === 0)
      throw new CliError(
        `the spans of trace ${clean(trace_id)} are no longer there`,
        'they are kept for retention.calls_days',
      )
    if (given.json) {
      await print(json(trace_id, spans, calls))
      return 0
    }
    const now = screen()
    const drawn = waterfall(spans, new Map(calls.map((c) => [c.span_id, c])), now, limit)
    const left = spans.length - drawn.shown
    const lines = [...headLines(trace_id, spans, calls, now), ...drawn.lines]
    if (left > 0)
      lines.push(
        now.paint(
          'yellow',
          `… ${count(left)} more spans: weir trace ${clean(trace_id)} --limit 0 draws them all`,
        ),
      )
    if (spans.length >= SPANS_MAX)
      lines.push(
        now.paint(
          'yellow',
          `… only the first ${count(SPANS_MAX)} spans were read: weir query "SELECT * FROM otel_traces WHERE TraceId = '${clean(trace_id)}'"`,
        ),
      )
    await print(`${lines.join('\n')}\n`)
    return 0
  } finally {
    await store.close()
  }
}
