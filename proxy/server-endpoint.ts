/**
 * /servers/<name>/mcp: one server, unprefixed. Bytes pass through; only the trace context is written into the request
 * and the session id is sealed. Works the same for HTTP servers and hosted stdio servers.
 */
import type { Call, Endpoint } from './call.ts'
import { asWeirError, WeirError } from './errors.ts'
import { HOST, type Session, type SessionSeal } from './identity/session-id.ts'
import { shownOf } from './list-filter.ts'
import { withTraceparent } from './mcp/propagate.ts'
import { STREAM_METHODS } from './mcp/versions.ts'
import type { Route } from './serve.ts'
import { openSession } from './stages/understand.ts'
import { nowUs } from './telemetry/clock.ts'
import { startSession } from './telemetry/clues.ts'
import { newSpanId, newTraceId } from './telemetry/random.ts'
import { traceparent } from './telemetry/trace.ts'
import { Relay } from './upstream/relay.ts'
import type { RelayHooks, RelaySurroundings } from './upstream/relay-surroundings.ts'
import { forwardedHeaders, type Upstream } from './upstream/upstream.ts'

const TRANSPARENT: RelayHooks = {
  filter: null,
  sessionId: null,
  message: null,
  result: null,
  takenBack: null,
}

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
    const upstream = this.#way(call)
    if (upstream instanceof Promise) return upstream.then((way) => this.#forward(call, way))
    return this.#forward(call, upstream)
  }

  /** Straight to the server, or over the bridge when it does not speak the call's era. A session stays where it began. */
  #way(call: Call): Upstream | Promise<Upstream> {
    const upstream = this.#upstream
    if (call.session) return (call.session.owner === HOST && upstream.bridge) || upstream
    if (call.era === 'modern') return upstream.modernWay()
    return call.method === 'initialize' ? upstream.legacyWay() : upstream
  }

  #forward(call: Call, upstream: Upstream): void | Promise<void> {
    call.server = upstream.name
    call.way = upstream
    call.upstream_transport = upstream.transport
    call.upstream_endpoint = upstream.endpoint
    call.upstream_protocol_version = call.protocol_version
    call.upstream_session = call.session?.upstream_id ?? ''
    const waiting = this.#env.passTarget(call)
    if (waiting) return waiting.then(() => this.#send(call, upstream))
    this.#send(call, upstream)
  }

  #send(call: Call, upstream: Upstream): void {
    if (call.res.destroyed) throw new WeirError('client_gone')
    call.attempts++
    call.client_span_id = newSpanId()
    const parent = traceparent(call, call.client_span_id)
    const headers = this.#headers(call, upstream)
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
      call.method === 'initialize'
        ? this.#initializing(call, upstream)
        : this.#env.judged(call, this.#plain(call))
    const isLong = STREAM_METHODS.has(call.method)
    upstream.send('POST', headers, body, new Relay(call, upstream, this.#env, hooks, isLong), isLong)
  }

  /** Bytes pass, but for lists whose caller may not see all: what broke off of one comes again on the stream of a session. */
  #plain(call: Call): RelayHooks {
    const { gate } = this.#env
    const server = this.#upstream.name
    const mayList = call.kind === 'unreadable' || call.method.endsWith('/list')
    if (gate === null || !mayList || gate.isFree(call.identity!, server)) return TRANSPARENT
    const filter = (json: string): string => {
      // Of what is hidden too it has to be known that it is there.
      gate.definitions.answered(call, json)
      return shownOf(gate, call, server, json)
    }
    return { ...TRANSPARENT, filter }
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
    const upstream = this.#way(call) as Upstream
    call.forwarded_us = nowUs()
    const isLong = method === 'GET'
    const relay = new Relay(call, upstream, this.#env, this.#plain(call), isLong)
    upstream.send(method, this.#headers(call, upstream), null, relay, isLong)
  }

  #headers(call: Call, upstream: Upstream): string[] {
    const headers = forwardedHeaders(upstream, call.req.rawHeaders, call.identity!.caller)
    if (call.session) headers.push('mcp-session-id', call.session.upstream_id)
    return headers
  }

  /** A server that refuses may be a modern one: then the bridge takes the call. */
  #initializing(call: Call, upstream: Upstream): RelayHooks {
    const isFirst = call.attempts === 1 && !upstream.isHosted
    const again = (): boolean => {
      const other = upstream.wayAfterRefusal().then((way) => {
        call.forwarded_us = call.sent_us = call.first_byte_us = call.response_bytes = call.http_status = 0
        this.#send(call, way)
      })
      other.catch((error) => this.#env.refuse(call, asWeirError(error)))
      return true
    }
    const sessionId = this.#newSession(call, upstream)
    return { filter: null, sessionId, message: null, result: null, takenBack: isFirst ? again : null }
  }

  /** Seals the id the server gives; from then on the session is known by its handle. */
  #newSession(call: Call, upstream: Upstream): (upstreamId: string) => string {
    return (upstreamId) => {
      const session: Session = {
        handle: call.trace_source === 'run' ? call.trace_id : newTraceId(),
        caller: call.identity!.caller,
        server: this.#upstream.name,
        upstream_id: upstreamId,
        owner: upstream === this.#upstream ? '' : HOST,
        client_name: call.client_name,
        client_version: call.client_version,
        protocol_version: call.negotiated_version || call.protocol_version,
        capabilities: '',
      }
      call.session = session
      startSession(call)
      return this.#seal.seal(session)
    }
  }

  /** A server that was asked to stop answering: the legacy way is a notification (spec, cancellation). */
  static cancelBody(call: Call, reason: string): string {
    return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${call.id},"reason":${JSON.stringify(reason)}}}`
  }
}
