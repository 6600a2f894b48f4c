/**
 * Call: the one mutable object of a request on its way. Every field is set at birth (one hidden class);
 * stages and the relay fill it in, `record.ts` reads it once at the end. Knows no stage and no transport.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Attempt } from '../event/attempt.ts'
import type { CallEvent, Era, Kind, Outcome, Owner } from '../event/fields.ts'
import type { Decision } from './decision.ts'
import type { Certificate } from './identity/certificate.ts'
import type { Identity } from './identity/identity.ts'
import type { Session } from './identity/session-id.ts'
import type { Grant } from './identity/tokens.ts'
import type { Hold } from './limits/purses.ts'
import type { Inferred } from './telemetry/inferred-runs.ts'
import type { Upstream } from './upstream/upstream.ts'

/** A path that clients speak to: one server, or all of them under one roof. */
export type Endpoint = {
  readonly path: string
  /** Name of the server, '' for the roof. */
  readonly server: string
}

/** One JSON-RPC message as parsed. Only what Weir looks at is named. */
export type Message = {
  jsonrpc?: unknown
  id?: unknown
  method?: unknown
  params?: {
    [key: string]: unknown
    _meta?: Record<string, unknown>
    name?: unknown
    arguments?: unknown
    uri?: unknown
  }
  result?: unknown
  error?: unknown
}

export type ResultRead = CallEvent['result_read']

export class Call {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly endpoint: Endpoint
  /** Address of the client; behind a hop between workers, the one the first worker saw. */
  readonly peer_address: string
  /** Whether another worker passed it on: it must not be passed on again. */
  readonly isHop: boolean
  // time, monotonic microseconds; 0 = not reached
  readonly received_us: number
  body_us = 0
  forwarded_us = 0
  sent_us = 0
  first_byte_us = 0
  last_byte_us = 0
  queue_us = 0
  /** When it ended, for what is recorded later than that; 0: when it is recorded. */
  ended_us = 0
  /** Number of the listener its client came to. */
  listener = 0
  /** How its client speaks to us. */
  transport = 'http'
  // message
  body: Buffer = EMPTY
  text = ''
  message: Message | null = null
  kind: Kind = 'unreadable'
  /** JSON text of the request id; null for notifications and what could not be read. */
  id: string | null = null
  method = ''
  era: Era = 'unknown'
  protocol_version = ''
  // who
  identity: Identity | null = null
  /** Of its connection, verified; null for none. */
  certificate: Certificate | null = null
  /** What its access token opens; null for other credentials. */
  grant: Grant | null = null
  session: Session | null = null
  client_name = ''
  client_version = ''
  agent = ''
  project = ''
  run_label = ''
  labels: Record<string, string> = NO_LABELS
  // trace
  event_id = ''
  trace_id = ''
  span_id = ''
  parent_span_id = ''
  client_span_id = ''
  trace_source: CallEvent['trace_source'] = 'new'
  trace_flags = '01'
  tracestate = ''
  link_trace_id = ''
  link_span_id = ''
  run_id = ''
  run_source: CallEvent['run_source'] = 'trace'
  run_confidence = 0
  run_evidence = ''
  /** Where its run was inferred; null when the client said it. */
  inferred: Inferred | null = null
  // what
  server = ''
  tool = ''
  exposed_name = ''
  target = ''
  upstream_protocol_version = ''
  /** What the answer to `initialize` names: the revision of the session from then on. */
  negotiated_version = ''
  upstream_transport = ''
  upstream_endpoint = ''
  /** Session id towards the upstream, '' for none. Never recorded. */
  upstream_session = ''
  /** The way to its server, set before the stages that know the target. */
  way: Upstream | null = null
  attempts = 0
  upstream_attempts: Attempt[] = NO_ATTEMPTS
  missed_servers: string[] = NO_SERVERS
  /** What policy said; null while nothing has. */
  decision: Decision | null = null
  /** What it holds of limits until it ends; null for nothing. */
  holds: readonly Hold[] | null = null
  // outcome
  http_status = 0
  outcome: Outcome = 'ok'
  owner: Owner = 'none'
  error_type = ''
  error_code = 0
  error_message = ''
  // sizes
  /** Of the body, where it is not kept until the call ends; 0 where it is. */
  request_bytes = 0
  response_bytes = 0
  arguments_json = ''
  arguments_bytes = 0
  arguments_hash = ''
  result_hash = ''
  result_read: ResultRead = 'none'
  content_text = 0
  content_image = 0
  content_audio = 0
  content_resource = 0
  content_structured = false
  list_items = 0
  stream_messages = 0
  text_bytes_out = 0
  // money and context
  /** Tags of the identity; never the client's. */
  tags: Record<string, string> = NO_LABELS
  meters: Record<string, number> = NO_METERS
  cost_reported = false
  cost_reported_nano = 0
  list_id = ''
  /** Masked already; '' when it is to be made of the arguments. */
  captured_arguments = ''
  captured_result = ''
  /** Whether the event has been written (or given up and counted). Guards against a second one. */
  isRecorded = false
  /** Called once when the client goes away before its answer is complete. Set by `whenClientGone`. */
  onClientGone: (() => void) | null = null
  /** Called when the client says that it no longer waits (notifications/cancelled). */
  onCancelAsked: (() => void) | null = null
  /** What its server has asked on its stream and nobody has answered yet (questions.ts). */
  questions = 0
  /** Something another worker does for it, which must be done before its answer leaves. */
  awaited: Promise<unknown> | null = null
  /** Where OpenCalls keeps it, -1 for nowhere. */
  open_slot = -1

  constructor(
    req: IncomingMessage,
    res: ServerResponse,
    endpoint: Endpoint,
    received_us: number,
    peer_address: string,
    isHop: boolean,
  ) {
    this.req = req
    this.res = res
    this.endpoint = endpoint
    this.received_us = received_us
    this.peer_address = peer_address
    this.isHop = isHop
  }

  /**
   * Takes the function as an argument: V8 allocates a literal that is assigned to a property (`x.y = () => …`) in its old
   * space, where it keeps the whole call alive until the next full collection (6 KB a call; bench/README.md).
   */
  whenClientGone(then: () => void): void {
    this.onClientGone = then
  }

  /** As whenClientGone, for a client that says it no longer waits. */
  whenCancelAsked(then: () => void): void {
    this.onCancelAsked = then
  }

  /** Corrects a failure by what was learned later. */
  refail(outcome: Outcome, owner: Owner, error_type: string, error_message: string): void {
    this.outcome = outcome
    this.owner = owner
    this.error_type = error_type
    this.error_message = error_message
  }

  /** Marks the call as failed. The first failure stands. */
  fail(outcome: Outcome, owner: Owner, error_type: string, error_message: string, error_code = 0): void {
    if (this.outcome !== 'ok') return
    this.outcome = outcome
    this.owner = owner
    this.error_type = error_type
    this.error_message = error_message
    this.error_code = error_code
  }
}

const EMPTY = Buffer.alloc(0)
export const NO_LABELS: Record<string, string> = Object.freeze({})
export const NO_METERS: Record<string, number> = Object.freeze({})
// Not frozen: a frozen array takes JSON.stringify of the whole event off its fast path (5 us; bench/micro/record.ts).
// They are replaced, never added to.
const NO_ATTEMPTS: Attempt[] = []
const NO_SERVERS: string[] = []
