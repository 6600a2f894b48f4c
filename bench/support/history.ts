/**
 * A month of a company's calls, made by the engine itself: 25 servers, 341 tools, 20 teams, 120 projects, 2,000 callers; traces of
 * six calls, sessions of 42, one call in 28 fails. Everything is a hash of the row's number and the seed, so a run can be repeated.
 */

export const DAYS = 30
const TOOLS = 341
const SERVERS = 25
const CALLERS = 2_000
const TEAMS = 20
const PROJECTS = 120
const TRACE_CALLS = 6
const SESSION_CALLS = 42

/** One day of it: `rows` calls from `first` on, spread over the day that begins `start_s` (seconds since 1970). */
export function dayOfCalls(
  first: number,
  rows: number,
  start_s: number,
  span_s: number,
  seed: number,
): string {
  const hash = (what: string, salt: number): string => `cityHash64(${what}, ${salt}, ${seed})`
  const id = (what: string, salt: number, digits: number): string =>
    `lower(substring(hex(${hash(what, salt)}), 1, ${Math.min(digits, 16)}))`
  const wide = (what: string, salt: number): string =>
    `concat(${id(what, salt, 16)}, ${id(what, salt + 1, 16)})`
  return `INSERT INTO weir.calls (version, event_id, ts, kind, trace_id, span_id, client_span_id, run_id, run_source, session_id, request_id,
  caller, team, project, agent, principal, auth_method, client_name, client_version, instance, worker, endpoint, method, server, tool, exposed_name, era,
  protocol_version, transport, upstream_transport, http_status, outcome, owner, error_type, error_message, error_fingerprint, duration_us, authorise_us, wait_us,
  transfer_us, upstream_us, overhead_us, request_bytes, response_bytes, arguments_bytes, arguments_hash, tokens_in, tokens_out, tokens_method, attempts,
  upstream_endpoint, cost_nano, price_id, cost_source, batch_id)
SELECT 1, generateUUIDv4(n), fromUnixTimestamp64Micro(toInt64(${start_s}) * 1000000 + intDiv((n - ${first}) * ${span_s} * 1000000, ${rows}) + ${hash('n', 1)} % 1000),
  'request', ${wide(`intDiv(n, ${TRACE_CALLS})`, 2)}, ${id('n', 4, 16)}, ${id('n', 5, 16)}, ${id(`intDiv(n, ${SESSION_CALLS})`, 6, 16)}, 'session', ${id(`intDiv(n, ${SESSION_CALLS})`, 7, 16)}, toString(n % ${SESSION_CALLS}),
  concat('agent-', toString(caller_no)), concat('team-', toString(caller_no % ${TEAMS})), concat('project-', toString(caller_no % ${PROJECTS})), concat('role-', toString(caller_no % 50)),
  concat('key-', toString(caller_no)), 'api_key', ['claude-code', 'cursor', 'vscode', 'in-house'][caller_no % 4 + 1], '2.1.0', 'bench', 'w0', '/mcp', 'tools/call',
  concat('server-', toString(tool_no % ${SERVERS})), concat('tool-', toString(tool_no)), concat('server-', toString(tool_no % ${SERVERS}), '_tool-', toString(tool_no)), 'legacy',
  '2025-11-25', 'http', 'http', 200, if(is_bad, if(${hash('n', 11)} % 3 = 0, 'limited', 'tool_error'), 'ok'), if(is_bad, if(${hash('n', 11)} % 3 = 0, 'capacity', 'upstream'), 'none'), if(is_bad, 'tool_error', ''),
  if(is_bad, concat('no such record ', toString(tool_no % 7)), ''), if(is_bad, hex(tool_no % 7), ''), duration, 30, intDiv(duration * 8, 10), intDiv(duration, 10), intDiv(duration * 9, 10), 120,
  400 + ${hash('n', 12)} % 4000, 600 + ${hash('n', 13)} % 40000, 200 + ${hash('n', 14)} % 2000, ${wide(`concat(toString(tool_no), '/', toString(${hash('n', 15)} % 400))`, 16)}, 60 + ${hash('n', 14)} % 500, 150 + ${hash('n', 13)} % 10000,
  'bytes/4', 1, concat('http://server-', toString(tool_no % ${SERVERS}), ':8080'), if(is_bad, 0, 1000000 + tool_no * 1000), if(is_bad, '', concat('price-', toString(tool_no % ${SERVERS}))), if(is_bad, 'none', 'server'),
  concat('bench-', toString(${first}))
FROM (
  SELECT number + ${first} AS n, ${hash(`intDiv(number + ${first}, ${SESSION_CALLS})`, 8)} % ${CALLERS} AS caller_no,
    toUInt32(pow((${hash(`number + ${first}`, 9)} % 1000000) / 1000000, 2) * ${TOOLS}) AS tool_no, ${hash(`number + ${first}`, 10)} % 28 = 0 AS is_bad,
    toUInt64(exp(8 + (tool_no % 17) / 5 + (${hash(`number + ${first}`, 18)} % 1000) / 500)) AS duration
  FROM numbers(${rows})
)
SETTINGS max_insert_threads = 1`
}
