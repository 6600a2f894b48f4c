/**
 * What every endpoint does with a request, whatever its transport: run the stages, forward or refuse, record once.
 * The only place that turns errors into answers.
 */

import type { OutgoingHttpHeaders } from 'node:http'
import type { Log } from '../event/log.ts'
import type { Call } from './call.ts'
import { asWeirError, toHttpJson, toJsonRpc, toToolResult, type WeirError } from './errors.ts'
import { runStages, type Stage } from './pipeline.ts'
import type { Recorder } from './record.ts'
import { listed, type Wrong } from './schema/explain.ts'
import type { Written } from './spool/writer.ts'
import { nowUs, wallUs } from './telemetry/clock.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { newEventId, newSpanId, newTraceId } from './telemetry/random.ts'

/** What stands behind a path. */
export type Route = {
  readonly endpoint: Call['endpoint']
  /** Takes the message of a POST. Answers and records by itself; throws a WeirError to refuse. */
  forward(call: Call): void | Promise<void>
  /** Opens the stream of a session (GET). */
  openStream(call: Call): void | Promise<void>
  /** Ends a session (DELETE). */
  endSession(call: Call): void | Promise<void>
}

/** A route runs `target` itself, once it knows where the call goes. */
export type Stages = {
  readonly head: readonly Stage[]
  readonly params: readonly Stage[]
  readonly target: readonly Stage[]
}

/** How long a client that was refused may go on sending before its connection is cut. */
const LINGER_MS = 2_000

/**
 * Ends an answer that came before its request was sent whole. A socket closed on a sender is reset, and the answer lost with
 * it: so what still comes is read, and thrown away, for a while.
 */
function endWhenRead({ req, res }: Call): void {
  const end = (): void => {
    clearTimeout(late)
    res.end()
  }
  const late = setTimeout(end, LINGER_MS)
  req.once('end', end).once('close', end).resume()
}

function bodyOf({ id, era }: Call, error: WeirError): string {
  if (error.spec.rpc === 0) return toHttpJson(error)
  if (error.code !== 'arguments_invalid' || id === null) return toJsonRpc(error, id)
  return toToolResult(error, id, era === 'modern', listed(error.data!.wrong as Wrong[]))
}

export class Server {
  readonly recorder: Recorder
  readonly metrics: Metrics
  readonly log: Log
  /** The time for a drain is over: what ends now is ended by us. */
  isCutting = false

  constructor(recorder: Recorder, metrics: Metrics, log: Log) {
    this.recorder = recorder
    this.metrics = metrics
    this.log = log
  }

  /** Answers with an error and records the call. When the answer has begun it can only be cut. */
  refuse(call: Call, error: WeirError): void {
    const { res } = call
    if (error.code === 'internal')
      this.log.error('internal error', {
        detail: error.detail,
        stack: (error.cause as Error | undefined)?.stack,
      })
    call.fail(
      error.spec.outcome,
      error.spec.owner,
      error.code,
      error.detail || error.spec.text,
      error.spec.rpc,
    )
    if (res.headersSent || res.destroyed) {
      call.http_status ||= error.spec.http
      this.record(call)
      res.destroy()
      return
    }
    const isLegacyUnknownMethod = error.code === 'method_unknown' && call.era === 'legacy'
    const status = isLegacyUnknownMethod ? 200 : error.spec.http
    const body = bodyOf(call, error)
    call.http_status = status
    call.response_bytes = Buffer.byteLength(body)
    this.record(call)
    const headers: Record<string, string | number> = {
      'content-type': 'application/json',
      'content-length': call.response_bytes,
    }
    if (status === 401) headers['www-authenticate'] = 'Bearer realm="weir"'
    if (status === 405) headers.allow = 'POST, GET, DELETE'
    if (status === 503) headers['retry-after'] = '1'
    const retry_ms = error.data?.retry_after_ms
    if (typeof retry_ms === 'number') headers['retry-after'] = String(Math.ceil(retry_ms / 1000))
    Object.assign(headers, error.headers)
    if (call.req.complete) return void res.writeHead(status, headers).end(body)
    // What was not read of the request would be taken for the next one.
    headers.connection = 'close'
    res.writeHead(status, headers).write(body)
    endWhenRead(call)
  }

  /** Answers a call with a JSON body of Weir's own making. */
  answer(call: Call, status: number, body: string, headers: OutgoingHttpHeaders = {}): void {
    if (call.res.destroyed) call.fail('cancelled', 'client', 'client_gone', '')
    call.http_status = call.res.destroyed ? 499 : status
    call.response_bytes = Buffer.byteLength(body)
    this.record(call)
    if (call.res.destroyed) return
    call.res
      .writeHead(
        status,
        body === ''
          ? headers
          : { 'content-type': 'application/json', 'content-length': call.response_bytes, ...headers },
      )
      .end(body)
  }

  /** Writes the event, once. */
  record(call: Call): void {
    if (this.#isToRecord(call)) this.recorder.record(call)
  }

  /** As `record`, when the answer's last byte can wait for others' events to be written along: `then` sends it. */
  recordThen(call: Call, then: Written): void {
    if (this.#isToRecord(call)) this.recorder.recordThen(call, then)
    else then.written()
  }

  /** Counts what leaves no event (any more). Calls refused before they were understood get their ids here. */
  #isToRecord(call: Call): boolean {
    if (call.isRecorded) {
      if (call.http_status)
        this.metrics.add('weir_http_requests_total', 1, [
          call.method || call.req.method || '',
          String(call.http_status),
        ])
      return false
    }
    call.inferred?.by.end(call.inferred, nowUs())
    if (this.isCutting && call.outcome === 'cancelled')
      call.refail('unavailable', 'weir', 'draining', 'cut at the end of the drain')
    call.event_id ||= newEventId(wallUs(call.received_us) / 1000)
    call.trace_id ||= newTraceId()
    call.span_id ||= newSpanId()
    call.run_id ||= call.trace_id
    return true
  }

  errorText(call: Call, error: WeirError): string {
    return toJsonRpc(error, call.id)
  }

  /** Runs the stages and then `then`, in this tick when nothing has to wait. Every error ends as an answer. */
  run(call: Call, stages: readonly Stage[], then: () => void | Promise<void>): void {
    try {
      const waiting = runStages(stages, call)
      if (waiting) waiting.then(then).catch((error) => this.refuse(call, asWeirError(error)))
      else then()?.catch((error) => this.refuse(call, asWeirError(error)))
    } catch (error) {
      this.refuse(call, asWeirError(error))
    }
  }
}
