/**
 * The end of every call: one event, written before the answer's last byte leaves. The only place that records.
 * Never throws and never waits: what the spool does not take is counted there.
 */
import { type CallEvent, EVENT_VERSION } from '../event/fields.ts'
import type { CallIntent } from '../event/intent.ts'
import { METRICS, type MetricName } from '../event/proxy-metrics.ts'
import { type Call, NO_LABELS, NO_METERS } from './call.ts'
import { type Capture, NAME_MAX_CHARS } from './capture.ts'
import { NO_ROLES } from './identity/identity.ts'
import { KNOWN_METHODS, LEGACY_VERSIONS, MODERN_VERSIONS } from './mcp/versions.ts'
import type { SpoolWriter, Written } from './spool/writer.ts'
import { nowUs, wallUs } from './telemetry/clock.ts'
import { type Metrics, observe, type Series } from './telemetry/metrics.ts'
import { newEventId } from './telemetry/random.ts'
import { fingerprint, redactError } from './telemetry/redact.ts'

export const TOKENS_METHOD = 'bytes/4'
const SERVER_BOUNDS = METRICS.mcp_server_operation_duration_seconds.buckets
const OVERHEAD_BOUNDS = METRICS.weir_overhead_seconds.buckets
/** Shorter ones would be found in words. */
const SESSION_MIN_CHARS = 8
/** More of an error text is never looked at. */
const ERROR_SCAN_CHARS = 16_384
/** What may be a metric label: clients choose these words, and each new one would be a series. */
const METHODS: ReadonlySet<string> = new Set(KNOWN_METHODS)
const VERSIONS: ReadonlySet<string> = new Set([...MODERN_VERSIONS, ...LEGACY_VERSIONS])
const SERIES_MAX = 4000

/** The error text less the id of the server's session: whoever reads it could join that session. */
function withoutSession({ error_message, upstream_session }: Call): string {
  if (upstream_session.length < SESSION_MIN_CHARS) return error_message
  return error_message.slice(0, ERROR_SCAN_CHARS).replaceAll(upstream_session, '[session]')
}

/** A JSON-RPC id in string form. */
const plainId = (id: string | null): string =>
  (id?.startsWith('"') ? (JSON.parse(id) as string) : (id ?? '')).slice(0, NAME_MAX_CHARS)

/** The fields most calls leave empty: they stand in the line only when one of them says something. */
type SeldomFields = Pick<
  CallEvent,
  | 'parent_span_id'
  | 'link_trace_id'
  | 'link_span_id'
  | 'agent'
  | 'labels'
  | 'env'
  | 'target'
  | 'error_type'
  | 'error_code'
  | 'error_message'
  | 'error_fingerprint'
  | 'queue_us'
  | 'content_image'
  | 'content_audio'
  | 'content_resource'
  | 'content_structured'
  | 'list_items'
  | 'stream_messages'
  | 'upstream_attempts'
  | 'missed_servers'
  | 'tags'
  | 'meters'
  | 'cost_reported'
  | 'cost_reported_nano'
  | 'list_id'
  | 'roles'
  | 'decision'
  | 'decision_rule'
  | 'decision_reason'
  | 'decision_facts'
  | 'shadow'
  | 'captured_arguments'
  | 'captured_result'
>
type UsualFields = Omit<CallEvent, keyof SeldomFields>

/** What of a call's end its cost depends on. */
export type EndFigures = Pick<
  UsualFields,
  'ts' | 'tokens_in' | 'tokens_out' | 'request_bytes' | 'response_bytes' | 'upstream_us' | 'attempts'
>

/** The series a call is counted in. */
type CallSeries = { server: Series; client: Series; overhead: Series }

export type RecorderOptions = { instance: string; worker: string; env: string }

export class Recorder {
  readonly #options: RecorderOptions
  readonly #spool: SpoolWriter
  readonly #metrics: Metrics
  capture: Capture
  /** Told of the end of a call that holds something of limits, with the figures of its event. */
  onHolderEnd: ((call: Call, event: EndFigures) => void) | null = null
  /** Series of the calls seen lately, by what labels them. */
  readonly #series = new Map<string, CallSeries>()

  constructor(options: RecorderOptions, spool: SpoolWriter, metrics: Metrics, capture: Capture) {
    this.#options = options
    this.#spool = spool
    this.#metrics = metrics
    this.capture = capture
  }

  /** Writes the event of a call, once. Call it before the last byte of the answer is handed to the socket. */
  record(call: Call): void {
    if (!call.isRecorded) this.#spool.append(this.#take(call))
  }

  /** As `record`, for many calls at once: tells `then` when the event is written. Only then may the last byte leave. */
  recordThen(call: Call, then: Written): void {
    if (call.isRecorded) return then.written()
    this.#spool.appendThen(this.#take(call), then)
  }

  /** The line of a call, which is counted and done with. */
  #take(call: Call): string {
    call.isRecorded = true
    const event = this.#event(call)
    if (call.holds !== null) this.onHolderEnd?.(call, event)
    this.#count(call, event)
    return this.#line(call, event)
  }

  /** The intent of a call, synced to disk (`durability: strict`). Rejects when it could not be kept. */
  recordIntent(call: Call): Promise<void> {
    const identity = call.identity
    const intent: CallIntent = {
      intent: 1,
      event_id: call.event_id,
      ts: wallUs(call.received_us),
      trace_id: call.trace_id,
      session_id: call.session?.handle ?? '',
      caller: identity?.caller ?? '',
      team: identity?.team ?? '',
      project: identity?.project || call.project,
      agent: call.agent,
      principal: identity?.principal ?? '',
      instance: this.#options.instance,
      worker: this.#options.worker,
      method: call.method,
      server: call.server,
      tool: call.tool,
      arguments_hash: this.#argumentsHash(call),
    }
    return this.#spool.appendSynced(JSON.stringify(intent))
  }

  /** Once per call: a strict call needs it twice. */
  #argumentsHash(call: Call): string {
    if (call.arguments_json !== '' && this.capture.hashesArguments)
      call.arguments_hash ||= this.capture.digest(call.arguments_json)
    return call.arguments_hash
  }

  /** The text of an event: the fields that every call fills in one object of one shape, which V8 writes fastest, then the rest. */
  #line(call: Call, event: UsualFields): string {
    const usual = JSON.stringify(event)
    const seldom = this.#seldom(call)
    return seldom === null ? usual : `${usual.slice(0, -1)},${JSON.stringify(seldom).slice(1)}`
  }

  /** Fields that most calls leave empty; null when this one does too. */
  #seldom(c: Call): SeldomFields | null {
    const isFailed = c.outcome !== 'ok' && c.outcome !== 'input_required'
    const roles = c.identity?.roles ?? NO_ROLES
    const kept = this.capture.keeps(c)
    const captured_arguments =
      kept.arguments && c.arguments_json !== '' ? this.capture.mask(c.arguments_json) : c.captured_arguments
    const isUsual =
      !isFailed &&
      c.parent_span_id === '' &&
      c.link_trace_id === '' &&
      c.agent === '' &&
      c.labels === NO_LABELS &&
      c.target === '' &&
      c.queue_us === 0 &&
      c.content_image + c.content_audio + c.content_resource + c.list_items + c.stream_messages === 0 &&
      !c.content_structured &&
      c.upstream_attempts.length + c.missed_servers.length === 0 &&
      c.tags === NO_LABELS &&
      c.meters === NO_METERS &&
      !c.cost_reported &&
      c.list_id === '' &&
      c.decision === null &&
      roles.length === 0 &&
      captured_arguments === '' &&
      c.captured_result === '' &&
      this.#options.env === ''
    if (isUsual) return null
    const message = isFailed && c.error_message ? redactError(this.capture.redact, withoutSession(c)) : ''
    const fields: SeldomFields = {
      parent_span_id: c.parent_span_id,
      link_trace_id: c.link_trace_id,
      link_span_id: c.link_span_id,
      agent: c.agent,
      labels: c.labels,
      env: this.#options.env,
      target: c.target,
      error_type: c.error_type,
      error_code: c.error_code,
      error_message: message,
      error_fingerprint: isFailed ? fingerprint(c.error_type, message) : '',
      queue_us: Math.round(c.queue_us),
      content_image: Math.min(c.content_image, 65535),
      content_audio: Math.min(c.content_audio, 65535),
      content_resource: Math.min(c.content_resource, 65535),
      content_structured: c.content_structured,
      list_items: c.list_items,
      stream_messages: c.stream_messages,
      upstream_attempts: c.upstream_attempts,
      missed_servers: c.missed_servers,
      tags: c.tags,
      meters: c.meters,
      cost_reported: c.cost_reported,
      cost_reported_nano: c.cost_reported_nano,
      list_id: c.list_id,
      roles,
      decision: c.decision?.verdict ?? 'none',
      decision_rule: c.decision?.rule ?? '',
      decision_reason: c.decision?.reason ?? '',
      decision_facts: c.decision?.facts ?? NO_LABELS,
      shadow: c.decision?.shadow ?? NO_ROLES,
      captured_arguments,
      captured_result: c.captured_result,
    }
    return fields
  }

  #event(c: Call): UsualFields {
    const end = c.ended_us || nowUs()
    const identity = c.identity
    const body_us = c.body_us || end
    const upstreamStart = c.forwarded_us || end
    const upstreamEnd = c.forwarded_us ? c.last_byte_us || end : end
    const sent = c.sent_us || (c.forwarded_us ? upstreamEnd : end)
    const first = c.first_byte_us || upstreamEnd
    const upstream_us = c.forwarded_us ? Math.max(0, Math.round(upstreamEnd - c.forwarded_us)) : 0
    const duration_us = Math.round(end - c.received_us)
    const receive_us = Math.round(body_us - c.received_us)
    return {
      version: EVENT_VERSION,
      event_id: c.event_id || newEventId(wallUs(c.received_us) / 1000),
      ts: wallUs(c.received_us),
      kind: c.kind,
      trace_id: c.trace_id,
      span_id: c.span_id,
      client_span_id: c.client_span_id,
      trace_source: c.trace_source,
      sampled: (Number.parseInt(c.trace_flags, 16) & 1) === 1,
      run_id: c.run_id,
      run_source: c.run_source,
      run_confidence: c.run_confidence,
      run_evidence: c.run_evidence,
      session_id: c.session ? c.session.handle : '',
      request_id: plainId(c.id),
      caller: identity ? identity.caller : '',
      team: identity ? identity.team : '',
      project: identity?.project || c.project,
      principal: identity ? identity.principal : '',
      auth_method: identity ? identity.auth_method : 'none',
      client_name: c.client_name,
      client_version: c.client_version,
      client_address: c.peer_address,
      instance: this.#options.instance,
      worker: this.#options.worker,
      endpoint: c.endpoint.path,
      method: c.method.slice(0, NAME_MAX_CHARS),
      server: c.server,
      tool: c.tool.slice(0, NAME_MAX_CHARS),
      exposed_name: c.exposed_name.slice(0, NAME_MAX_CHARS),
      era: c.era,
      protocol_version: c.protocol_version,
      upstream_protocol_version: c.upstream_protocol_version,
      transport: c.transport,
      upstream_transport: c.upstream_transport,
      http_status: c.http_status,
      outcome: c.outcome,
      owner: c.owner,
      duration_us,
      receive_us,
      authorise_us: Math.max(0, Math.round(upstreamStart - body_us - c.queue_us)),
      connect_us: c.forwarded_us ? Math.max(0, Math.round(sent - c.forwarded_us)) : 0,
      wait_us: c.forwarded_us ? Math.max(0, Math.round(first - sent)) : 0,
      transfer_us: c.forwarded_us ? Math.max(0, Math.round(upstreamEnd - first)) : 0,
      answer_us: c.forwarded_us ? Math.max(0, Math.round(end - upstreamEnd)) : 0,
      upstream_us,
      overhead_us: Math.max(0, duration_us - receive_us - upstream_us - Math.round(c.queue_us)),
      request_bytes: c.request_bytes || c.body.length,
      response_bytes: c.response_bytes,
      arguments_bytes: c.arguments_bytes,
      arguments_hash: this.#argumentsHash(c),
      result_hash: c.result_hash,
      result_read: c.result_read,
      content_text: Math.min(c.content_text, 65535),
      tokens_in: Math.ceil(c.arguments_bytes / 4),
      tokens_out: Math.ceil(c.text_bytes_out / 4),
      tokens_method: TOKENS_METHOD,
      attempts: Math.min(c.attempts, 255),
      upstream_endpoint: c.upstream_endpoint,
    }
  }

  #count(call: Call, e: UsualFields): void {
    if (e.kind === 'server_request') return this.#countQuestion(e)
    const error_type = e.outcome === 'ok' ? '' : call.error_type
    // A name only counts as a label once a server has answered to it: clients could otherwise invent series.
    const tool = e.outcome === 'ok' || e.outcome === 'tool_error' ? e.tool : ''
    const key = `${e.method}\n${tool}\n${e.server}\n${e.outcome}\n${error_type}\n${e.protocol_version}\n${e.upstream_transport}`
    let series = this.#series.get(key)
    if (!series) {
      series = this.#seriesOf(e, tool, error_type)
      if (this.#series.size >= SERIES_MAX) this.#series.clear()
      this.#series.set(key, series)
    }
    observe(series.server, SERVER_BOUNDS, e.duration_us / 1e6)
    if (e.attempts === 0) return
    observe(series.client, SERVER_BOUNDS, e.upstream_us / 1e6)
    observe(series.overhead, OVERHEAD_BOUNDS, e.overhead_us / 1e6)
  }

  /** Asked by a server: apart from the calls, for the parts are reversed, and a ping may go either way. */
  #countQuestion(e: UsualFields): void {
    const method = METHODS.has(e.method) ? e.method : 'other'
    const labels = [method, e.server, e.outcome]
    observe(
      this.#metrics.series('weir_server_request_duration_seconds', labels),
      SERVER_BOUNDS,
      e.duration_us / 1e6,
    )
  }

  #seriesOf(e: UsualFields, tool: string, error_type: string): CallSeries {
    const method = METHODS.has(e.method) ? e.method : e.method === '' ? '' : 'other'
    const version = VERSIONS.has(e.protocol_version) ? e.protocol_version : 'other'
    const transport = e.upstream_transport === 'stdio' ? 'pipe' : 'tcp'
    const of = (name: MetricName, labels: string[]): Series => this.#metrics.series(name, labels)
    const labels = [method, tool, e.server, e.outcome, error_type, version]
    return {
      server: of('mcp_server_operation_duration_seconds', labels),
      client: of('mcp_client_operation_duration_seconds', [method, tool, e.server, error_type, transport]),
      overhead: of('weir_overhead_seconds', [e.server]),
    }
  }
}
