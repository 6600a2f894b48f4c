/** Events, segments and requests for tests. Random ones come from a seed, so that a failure can be repeated. */
import { randomBytes, randomUUID } from 'node:crypto'
import { crc32, gzipSync, zstdCompressSync } from 'node:zlib'
import { type CallEvent, EVENT_VERSION, FIELDS, KINDS, OUTCOMES, OWNERS } from '../../../event/fields.ts'
import type { CallIntent } from '../../../event/intent.ts'
import { TOKEN } from './processes.ts'

export const hex = (bytes: number): string => randomBytes(bytes).toString('hex')
export const nowUs = (): number => Date.now() * 1000

function empty(): CallEvent {
  const entries = FIELDS.map((field) => {
    if (typeof field.json !== 'string') return [field.name, field.json[0]]
    return [
      field.name,
      { string: '', integer: 0, boolean: false, strings: [], labels: {}, numbers: {}, attempts: [] }[
        field.json
      ],
    ]
  })
  return Object.fromEntries(entries) as CallEvent
}

/** A plain successful tools/call. */
export function makeEvent(more: Partial<CallEvent> = {}): CallEvent {
  return {
    ...empty(),
    version: EVENT_VERSION,
    event_id: randomUUID(),
    ts: nowUs() - 5_000_000,
    kind: 'request',
    trace_id: hex(16),
    span_id: hex(8),
    client_span_id: hex(8),
    trace_source: 'new',
    sampled: true,
    run_id: 'run-1',
    run_source: 'inferred',
    session_id: 'session-1',
    request_id: '7',
    caller: 'rm-agent',
    team: 'research',
    project: 'advisory',
    agent: 'planner',
    labels: { ticket: 'A-1' },
    principal: 'key-1',
    auth_method: 'api_key',
    client_name: 'test-client',
    client_version: '1.0',
    client_address: '127.0.0.1',
    instance: 'test',
    worker: 'w0',
    env: 'test',
    endpoint: '/mcp',
    method: 'tools/call',
    server: 'bank',
    tool: 'get_balance',
    exposed_name: 'bank_get_balance',
    era: 'legacy',
    protocol_version: '2025-11-25',
    upstream_protocol_version: '2025-06-18',
    transport: 'http',
    upstream_transport: 'http',
    http_status: 200,
    outcome: 'ok',
    owner: 'none',
    duration_us: 12_345,
    receive_us: 100,
    authorise_us: 200,
    queue_us: 30,
    connect_us: 45,
    wait_us: 11_000,
    transfer_us: 400,
    answer_us: 570,
    upstream_us: 11_445,
    overhead_us: 800,
    request_bytes: 321,
    response_bytes: 4_321,
    arguments_bytes: 40,
    arguments_hash: hex(16),
    result_hash: hex(16),
    result_read: 'parsed',
    content_text: 1,
    tokens_in: 10,
    tokens_out: 1_080,
    tokens_method: 'bytes/4',
    attempts: 1,
    upstream_endpoint: 'http://bank.example:8080/mcp',
    ...more,
  }
}

/** mulberry32: small, seeded, good enough for test data. */
export function seeded(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** An event that differs from others in everything figures are grouped or summed by. */
export function randomEvent(random: () => number, ts: number): CallEvent {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const int = (max: number): number => Math.floor(random() * max)
  const outcome = random() < 0.7 ? 'ok' : pick(OUTCOMES)
  const isFine = outcome === 'ok' || outcome === 'input_required'
  const error_code = isFine ? 0 : pick([0, -32602, -32603, -32000])
  return makeEvent({
    ts,
    kind: random() < 0.85 ? 'request' : pick(KINDS),
    outcome,
    owner: isFine ? 'none' : pick(OWNERS.filter((owner) => owner !== 'none')),
    error_code,
    error_type: isFine ? '' : pick(['tool_error', String(error_code), '']),
    error_message: isFine ? '' : `boom ${int(3)}`,
    error_fingerprint: isFine ? '' : `fp${int(3)}`,
    server: pick(['bank', 'files', '']),
    tool: pick(['a', 'b', '']),
    method: pick(['tools/call', 'tools/list', 'prompts/get', '']),
    caller: pick(['alice', 'bob']),
    team: pick(['research', 'ops']),
    project: pick(['p1', 'p2', '']),
    run_id: `run-${int(5)}`,
    session_id: random() < 0.5 ? '' : `session-${int(5)}`,
    duration_us: int(1e6),
    upstream_us: int(1e6),
    overhead_us: int(3000),
    receive_us: int(500),
    authorise_us: int(500),
    queue_us: int(500),
    request_bytes: int(10_000),
    response_bytes: int(1_000_000),
    tokens_in: int(1000),
    tokens_out: int(10_000),
    attempts: int(3),
    transport: pick(['http', 'stdio']),
    upstream_transport: pick(['http', 'stdio', '']),
    upstream_endpoint: pick([
      'http://bank.example:8080/mcp',
      'https://[::1]:9/x',
      'https://plain.example/mcp',
      'npx server',
      '',
    ]),
    client_span_id: random() < 0.2 ? '' : hex(8),
    parent_span_id: random() < 0.5 ? '' : hex(8),
    link_trace_id: random() < 0.8 ? '' : hex(16),
    link_span_id: hex(8),
    sampled: random() < 0.5,
    http_status: pick([200, 202, 400, 0]),
    upstream_attempts:
      random() < 0.85
        ? []
        : [0, 1].map(() => ({
            server: pick(['bank', 'files']),
            endpoint: pick(['http://a:1/mcp', 'npx b']),
            transport: pick(['http', 'stdio']),
            span_id: hex(8),
            start_us: int(1000),
            duration_us: int(100_000),
            outcome: pick(['ok', 'timeout']),
            error_type: pick(['', 'upstream_timeout']),
          })),
  })
}

export function makeIntent(event: CallEvent): CallIntent {
  const {
    event_id,
    ts,
    trace_id,
    session_id,
    caller,
    team,
    project,
    agent,
    principal,
    instance,
    worker,
    method,
    server,
    tool,
  } = event
  return {
    intent: 1,
    event_id,
    ts,
    trace_id,
    session_id,
    caller,
    team,
    project,
    agent,
    principal,
    instance,
    worker,
    method,
    server,
    tool,
    arguments_hash: event.arguments_hash,
  }
}

let segments = 0
/** A batch id nobody used before. */
export const newBatchId = (): string => `${hex(8)}-${String(segments++).padStart(8, '0')}`

export const segmentOf = (lines: readonly (object | string)[]): Buffer =>
  Buffer.from(lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''))

export type SendOptions = {
  attempt?: number
  token?: string
  encoding?: 'zstd' | 'gzip'
  checksum?: string
  headers?: Record<string, string>
}
export type Sent = { status: number; retryAfter: string | null; body: Record<string, unknown> }

/** What a shipper does with a sealed segment. */
export async function sendBatch(
  address: string,
  id: string,
  bytes: Buffer,
  options: SendOptions = {},
): Promise<Sent> {
  const body =
    options.encoding === 'zstd'
      ? zstdCompressSync(bytes)
      : options.encoding === 'gzip'
        ? gzipSync(bytes)
        : bytes
  const response = await fetch(`${address}/v1/batches/${id}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${options.token ?? TOKEN}`,
      'content-type': 'application/x-ndjson',
      'weir-instance': 'test',
      'weir-attempt': String(options.attempt ?? 1),
      'weir-crc32': options.checksum ?? crc32(bytes).toString(16).padStart(8, '0'),
      ...(options.encoding ? { 'content-encoding': options.encoding } : {}),
      ...options.headers,
    },
    body: new Uint8Array(body),
  })
  const body_ = (await response.json()) as Record<string, unknown>
  return { status: response.status, retryAfter: response.headers.get('retry-after'), body: body_ }
}
