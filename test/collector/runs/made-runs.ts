/** Steps and spans of hand-made runs: what a test does not name is plain. Times in milliseconds. */
import type { ForeignSpan, Step } from '../../../collector/runs/step.ts'

export const START_US = 1_790_000_000_000_000
let made = 0

export function step(from_ms: number, to_ms: number, more: Partial<Step> = {}): Step {
  const n = String(++made).padStart(16, '0')
  return {
    event_id: n,
    trace_id: 't',
    span_id: `s${n}`,
    parent_span_id: '',
    client_span_id: '',
    start_us: START_US + from_ms * 1000,
    duration_us: (to_ms - from_ms) * 1000,
    kind: 'request',
    method: 'tools/call',
    server: 'bank',
    tool: 'read',
    outcome: 'ok',
    owner: 'none',
    failed: false,
    error_type: '',
    error_message: '',
    error_fingerprint: '',
    arguments_hash: n,
    result_hash: `r${n}`,
    arguments: null,
    tokens_in: 1,
    tokens_out: 2,
    cost_nano: 3,
    cost_source: 'tool',
    run_confidence: 95,
    run_evidence: 'sequence',
    upstream_start_us: START_US + from_ms * 1000,
    upstream_us: (to_ms - from_ms) * 1000,
    ...more,
  }
}

export const failedStep = (from_ms: number, to_ms: number, more: Partial<Step> = {}): Step =>
  step(from_ms, to_ms, {
    outcome: 'tool_error',
    owner: 'client',
    failed: true,
    error_type: 'tool_error',
    error_fingerprint: 'f',
    error_message: 'no such account',
    ...more,
  })

export const span = (from_ms: number, to_ms: number, more: Partial<ForeignSpan> = {}): ForeignSpan => ({
  trace_id: 't',
  span_id: `o${++made}`,
  parent_span_id: '',
  name: 'chat',
  service: 'agent',
  kind: 'Client',
  start_us: START_US + from_ms * 1000,
  duration_us: (to_ms - from_ms) * 1000,
  status: 'Unset',
  status_message: '',
  attributes: {},
  ...more,
})
