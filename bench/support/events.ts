/** Events as a company's traffic leaves them: few callers, some dozens of tools, sessions of many calls, one failure in 20. */
import { createHash } from 'node:crypto'
import { type CallEvent, EVENT_VERSION, FIELDS } from '../../event/fields.ts'

const EMPTY = Object.fromEntries(
  FIELDS.map((field) => [
    field.name,
    typeof field.json === 'string'
      ? { string: '', integer: 0, boolean: false, strings: [], labels: {}, numbers: {}, attempts: [] }[
          field.json
        ]
      : field.json[0],
  ]),
) as CallEvent

const SERVERS = ['bank', 'files', 'crm', 'search', 'tickets', 'calendar', 'github', 'warehouse']
const VERBS = ['get', 'list', 'search', 'create', 'update']
const CALLERS = Array.from({ length: 24 }, (_, i) => `agent-${i}`)
const TEAMS = ['research', 'operations', 'sales', 'support']
const CLIENTS = ['claude-code', 'cursor', 'vscode', 'in-house-agent']
const ERRORS = [
  'permission denied for account #',
  'no such record',
  'upstream said 503',
  'quota used up, come again at #',
]

type Run = { handle: string; caller: number; client: number; left: number; at: number }

/** A source of events, the same for the same seed. Times advance by about a millisecond an event from `start_us`. */
export function eventSource(random: () => number, start_us: number): () => CallEvent {
  const int = (max: number): number => Math.floor(random() * max)
  const hex = (digits: number): string => {
    let text = ''
    while (text.length < digits)
      text += Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return text.slice(0, digits)
  }
  /** Log-normal around `median`. */
  const about = (median: number, spread: number): number => {
    const normal = Math.sqrt(-2 * Math.log(random() || 1e-9)) * Math.cos(2 * Math.PI * random())
    return Math.max(1, Math.round(median * Math.exp(spread * normal)))
  }
  const newRun = (): Run => ({
    handle: hex(32),
    caller: int(CALLERS.length),
    client: int(CLIENTS.length),
    left: 1 + int(60),
    at: 0,
  })
  const runs = Array.from({ length: 200 }, newRun)
  let now_us = start_us
  return () => {
    const slot = int(runs.length)
    const run = --runs[slot]!.left > 0 ? runs[slot]! : (runs[slot] = newRun())
    run.at++
    now_us += about(800, 1)
    const server = SERVERS[Math.floor(random() * random() * SERVERS.length)]!
    const tool = `${VERBS[int(VERBS.length)]}_${server}`
    const isFailed = random() < 0.05
    const error = isFailed ? ERRORS[int(ERRORS.length)]!.replace('#', String(int(10_000))) : ''
    const upstream_us = about(18_000, 1.1)
    const overhead_us = about(160, 0.5)
    const request_bytes = about(640, 0.6)
    const response_bytes = about(1800, 1.4)
    const caller = CALLERS[run.caller]!
    const time = Math.floor(now_us / 1000)
      .toString(16)
      .padStart(12, '0')
    const receive_us = about(40, 0.5)
    return {
      ...EMPTY,
      version: EVENT_VERSION,
      event_id: `${time.slice(0, 8)}-${time.slice(8)}-7${hex(3)}-a${hex(3)}-${hex(12)}`,
      ts: now_us,
      kind: 'request',
      trace_id: run.handle,
      span_id: hex(16),
      client_span_id: hex(16),
      trace_source: 'run',
      sampled: true,
      run_id: run.handle,
      run_source: 'session',
      session_id: run.handle,
      request_id: String(run.at),
      caller,
      team: TEAMS[run.caller % TEAMS.length]!,
      project: `project-${run.caller % 7}`,
      principal: `${caller}#${createHash('sha256').update(caller).digest('hex').slice(0, 8)}`,
      auth_method: 'api_key',
      client_name: CLIENTS[run.client]!,
      client_version: `1.${run.client}.3`,
      client_address: `10.0.${run.caller}.${run.client}`,
      instance: 'bench',
      worker: `w${1 + (slot % 2)}`,
      endpoint: '/mcp',
      method: 'tools/call',
      server,
      tool,
      exposed_name: `${server}_${tool}`,
      era: 'legacy',
      protocol_version: '2025-11-25',
      upstream_protocol_version: '2025-11-25',
      transport: 'http',
      upstream_transport: 'http',
      http_status: 200,
      outcome: isFailed ? 'tool_error' : 'ok',
      owner: isFailed ? 'upstream' : 'none',
      error_type: isFailed ? 'tool_error' : '',
      error_message: error,
      error_fingerprint: isFailed
        ? createHash('sha256').update(error.replace(/\d+/, '#')).digest('hex').slice(0, 16)
        : '',
      duration_us: receive_us + upstream_us + overhead_us,
      receive_us,
      authorise_us: about(60, 0.4),
      connect_us: about(12, 0.5),
      wait_us: Math.round(upstream_us * 0.95),
      transfer_us: Math.round(upstream_us * 0.05),
      answer_us: about(50, 0.5),
      upstream_us,
      overhead_us,
      request_bytes,
      response_bytes,
      arguments_bytes: Math.max(2, request_bytes - 120),
      arguments_hash: hex(32),
      result_hash: hex(32),
      result_read: 'parsed',
      content_text: 1,
      tokens_in: Math.ceil(request_bytes / 5),
      tokens_out: Math.ceil(response_bytes / 4),
      tokens_method: 'bytes/4',
      attempts: 1,
      upstream_endpoint: `http://${server}.internal:8080/mcp`,
    }
  }
}
