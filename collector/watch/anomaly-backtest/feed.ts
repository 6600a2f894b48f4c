/** Puts made-up history into a scratch database: buckets into the rollup, calls into the table of calls. Knows no detector. */
import { createHash, randomUUID } from 'node:crypto'
import { compactLines, type Store } from '../../sink/store.ts'
import type { Call } from './calls.ts'
import type { Bucket } from './synthetic.ts'

const ROWS_MAX = 20_000

async function insert(
  store: Store,
  table: string,
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
): Promise<void> {
  for (let at = 0; at < rows.length; at += ROWS_MAX)
    await store.insert(table, columns, compactLines(rows.slice(at, at + ROWS_MAX)), randomUUID())
}

const BUCKET_COLUMNS = [
  't',
  'server',
  'tool',
  'method',
  'calls',
  'ok',
  'faults',
  'cost_nano',
  'response_bytes',
  'hist',
]

export const feedBuckets = (store: Store, buckets: readonly Bucket[]): Promise<void> =>
  insert(
    store,
    'tool_5m',
    BUCKET_COLUMNS,
    buckets
      .filter((b) => b.calls > 0)
      .map((b) => [
        b.t,
        b.server,
        b.tool,
        'tools/call',
        b.calls,
        b.calls - b.faults,
        b.faults,
        b.cost_nano,
        b.bytes,
        Object.fromEntries(b.hist),
      ]),
  )

const CALL_COLUMNS = [
  'event_id',
  'ts',
  'kind',
  'trace_id',
  'run_id',
  'caller',
  'team',
  'method',
  'server',
  'tool',
  'outcome',
  'owner',
  'error_type',
  'error_fingerprint',
  'arguments_hash',
  'duration_us',
  'list_items',
]

const hash = (text: string): string => createHash('md5').update(text).digest('hex')

export const feedCalls = (store: Store, calls: readonly Call[]): Promise<void> =>
  insert(
    store,
    'calls',
    CALL_COLUMNS,
    calls.map((c) => [
      randomUUID(),
      c.ts.toFixed(6),
      'request',
      hash(`${c.run}${c.ts}`),
      c.run,
      c.caller,
      c.team,
      c.method,
      c.server,
      c.tool,
      c.outcome,
      c.outcome === 'ok' ? 'none' : 'upstream',
      c.outcome === 'ok' ? '' : 'tool_error',
      c.outcome === 'ok' ? '' : hash(c.tool).slice(0, 16),
      c.arguments === '' ? '' : hash(c.arguments),
      50_000,
      c.list_items,
    ]),
  )
