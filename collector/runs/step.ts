/**
 * What a run is made of: steps (the calls) and items of a waterfall (steps, their upstream messages, spans of others).
 * Plain shapes, filled by queries/run.ts. Times are microseconds since 1970, durations microseconds, money nano-dollars.
 */

export type Step = {
  event_id: string
  trace_id: string
  span_id: string
  parent_span_id: string
  client_span_id: string
  start_us: number
  duration_us: number
  kind: string
  method: string
  server: string
  tool: string
  outcome: string
  owner: string
  failed: boolean
  error_type: string
  error_message: string
  error_fingerprint: string
  /** '' where arguments are not hashed. */
  arguments_hash: string
  result_hash: string
  /** Captured and masked, null when no capture rule named the call. */
  arguments: string | null
  tokens_in: number
  tokens_out: number
  cost_nano: number
  cost_source: string
  run_confidence: number
  run_evidence: string
  /** Of the upstream message: when it left, and how long it took; 0 when none was sent. */
  upstream_start_us: number
  upstream_us: number
}

/** A span that Weir did not make. */
export type ForeignSpan = {
  trace_id: string
  span_id: string
  parent_span_id: string
  name: string
  service: string
  kind: string
  start_us: number
  duration_us: number
  status: string
  status_message: string
  attributes: Record<string, string>
}

export const endOf = (item: { start_us: number; duration_us: number }): number =>
  item.start_us + item.duration_us

/** What a step calls: server and tool, or the method. */
export const nameOf = ({ server, tool, method }: Pick<Step, 'server' | 'tool' | 'method'>): string =>
  tool === '' ? (server === '' ? method : `${server} ${method}`) : `${server}/${tool}`
