/**
 * /servers/<name>/mcp: one server, unprefixed. Bytes pass through; only the trace context is written into the request
 * and the session id is sealed. Works the same for HTTP servers and hosted stdio servers.
 */
import type { Call, Endpoint } from './call.ts'
import { WeirError } from './errors.ts'
import type { Session, SessionSeal } from './identity/session-id.ts'
import { withTraceparent } from './mcp/propagate.ts'
import { STREAM_METHODS } from './mcp/versions.ts'
import type { Route } from './serve.ts'
import { openSession } from './stages/understand.ts'
import { nowUs } from './telemetry/clock.ts'
import { newSpanId, newTraceId } from './telemetry/random.ts'
import { traceparent } from './telemetry/trace.ts'
import { Relay } from './upstream/relay.ts'
import type { RelayHooks, RelaySurroundings } from './upstream/relay-surroundings.ts'
import { forwardedHeaders, type Upstream } from './upstream/upstream.ts'

const TRANSPARENT: RelayHooks = { sessionId: null, message: null, sessionLost: null }

export class ServerEndpoint implements Route {
  readonly endpoint: Endpoint
  readonly #upstream: Upstream
  readonly #seal: SessionSeal
  readonly #env: RelaySurroundings

  constructor(upstream: Upstream, seal: SessionSeal, env: RelaySurroundings) {
    this.endpoint = { path: `/servers/${upstream.name}/mcp`, server: upstream.name }
    this.#upstream = upstream
    this.#seal = seal
    this.#env = env
  }

  forward(call: Call): void | Promise<void> {
    const upstream = this.#upstream
    call.server = upstream.name
    call.upstream_transport = upstream.transport
    call.upstream_endpoint = upstream.endpoint
    call.upstream_protocol_version = call.protocol_version
    call.upstream_session = call.session?.upstream_id ?? ''
    const waiting = this.#env.passTarget(call)
    if (waiting) return waiting.then(() => this.#send(call))
    this.#send(call)
  }

  #send(call: Call): void {
    const upstream = this.#upstream
    if (call.res.destroyed) throw new WeirError('client_gone')
    call.attempts = 1
    call.client_span_id = newSpanId()
    const parent = traceparent(call, call.client_span_id)
    const headers = this.#headers(call)
    headers.push('traceparent', parent)
    if (call.tracestate) headers.push('tracestate', call.tracestate)
    const body =
      call.kind === 'request'
        ? Buffer.from(withTraceparent(call.text, call.message!, parent, call.tracestate))
        : call.body
    if (call.method === 'notifications/cancelled') this.#env.cancelled(call)
    if (call.kind === 'unreadable') this.#env.questions.answered(call, upstream.name, call.message!.id)
    call.forwarded_us = nowUs()
    const hooks =
      call.method === 'initialize' ? { ...TRANSPARENT, sessionId: this.#newSession(call) } : TRANSPARENT
    const isLong = STREAM_METHODS.has(call.method)
    upstream.send('POST', headers, body, new Relay(call, upstream, this.#env, hooks, isLong), isLong)
  }

  openStream(call: Call): void {
    this.#passThrough(call, 'GET')
  }

  endSession(call: Call): void {
    this.#passThrough(call, 'DELETE')
    if (call.session) this.#env.questions.sessionEnded(call.session.handle)
  }

  #passThrough(call: Call, method: 'GET' | 'DELETE'): void {
    call.session = openSession(call, this.#seal)
    call.forwarded_us = nowUs()
    const isLong = method === 'GET'
    this.#upstream.send(
      method,
      this.#headers(call),
      null,
      new Relay(call, this.#upstream, this.#env, TRANSPARENT, isLong),
      isLong,
    )
  }

  #headers(call: Call): string[] {
    const headers = forwardedHeaders(this.#upstream, call.req.rawHeaders, call.identity!.caller)
    if (call.session) headers.push('mcp-session-id', call.session.upstream_id)
    return headers
  }

  /** Seals the id the server gives; from then on the session is known by its handle. */
  #newSession(call: Call): (upstreamId: string) => string {
    return (upstreamId) => {
      const session: Session = {
        handle: call.trace_source === 'run' ? call.trace_id : newTraceId(),
        caller: call.identity!.caller,
        server: this.#upstream.name,
        upstream_id: upstreamId,
        owner: '',
        client_name: call.client_name,
        client_version: call.client_version,
        protocol_version: call.protocol_version,
        capabilities: '',
      }
      call.session = session
      return this.#seal.seal(session)
    }
  }

  /** A server that was asked to stop answering: the legacy way is a notification (spec, cancellation). */
  static cancelBody(call: Call, reason: string): string {
    return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${call.id},"reason":${JSON.stringify(reason)}}}`
  }
}
