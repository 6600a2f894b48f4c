/**
 * One call's way to its server and back: bytes pass as they come, the outcome is read on the way, and the event is
 * written before the last byte (or, in a stream, the frame with the result) is handed to the client's socket.
 * Obeys backpressure: nothing is taken from the upstream that the client does not take.
 * Invariant: `finish` runs exactly once, whatever ends first: answer, error, deadline or client.
 */
import { createHash, type Hash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import { ErrorScan, isResponse, readAnswer } from '../mcp/answer.ts'
import { FrameSplitter, frameData } from '../mcp/frames.ts'
import { nowUs } from '../telemetry/clock.ts'
import { returnedHeaders, type Upstream } from './upstream.ts'

type Controller = Dispatcher.DispatchController

/** What the relay needs of its surroundings. */
export type RelaySurroundings = {
  /** Writes the call's event. */
  record(call: Call): void
  /** Answers with an error that Weir makes, and records. Only while nothing was sent. */
  refuse(call: Call, error: WeirError): void
  /** JSON text of an error response, for a stream already open. */
  errorText(call: Call, error: WeirError): string
  /** Hash of the answer as the event keeps it; null when results are not hashed. */
  hashResult: ((digestOrBytes: Buffer) => string) | null
  /** Whether this call's result is captured; the masked text then. */
  captureResult(call: Call, text: string): void
  /** Tells the upstream that nobody waits for the answer any more. */
  cancel(call: Call, reason: string): void
}

/** What one call may have done to its answer; all null for a transparent endpoint. */
export type RelayHooks = {
  /** Value for the client's Mcp-Session-Id header when the server set one. */
  sessionId: ((upstreamId: string) => string) | null
  /** Rewrites one message text of a stream; null: pass the bytes. */
  message: ((json: string) => string) | null
  /** Asked when the server no longer knows the session (400, 404). True: the call was taken back and goes another way. */
  sessionLost: ((status: number) => boolean) | null
}

/** Answers up to this size are kept whole for reading; larger ones are scanned as they pass. */
const KEEP_BYTES = 262_144

type State = 'waiting' | 'body' | 'stream' | 'done'

export class Relay implements Dispatcher.DispatchHandler {
  readonly #call: Call
  readonly #upstream: Upstream
  readonly #env: RelaySurroundings
  readonly #hooks: RelayHooks
  #state: State = 'waiting'
  #controller: Controller | null = null
  /** Null for the stream of a session, which has no end to wait for. */
  readonly #deadline: NodeJS.Timeout | null
  readonly #hardEnd_us: number
  #head: { status: number; headers: string[] } | null = null
  #held: Buffer | null = null
  #kept: Buffer[] | null = []
  #scan: ErrorScan | null = null
  #hash: Hash | null = null
  #splitter: FrameSplitter | null = null
  #isJson = false
  #isPausedByClient = false
  #hasResult = false

  constructor(call: Call, upstream: Upstream, env: RelaySurroundings, hooks: RelayHooks) {
    this.#call = call
    this.#upstream = upstream
    this.#env = env
    this.#hooks = hooks
    this.#hardEnd_us = call.forwarded_us + upstream.config.timeout_max_ms * 1000
    this.#deadline = call.kind === 'unreadable' && call.isRecorded ? null : setTimeout(() => this.#timeout(), upstream.config.timeout_ms)
    call.onClientGone = () => this.#clientGone()
  }

  // --- undici's callbacks, in the order they come -----------------------------------------------------------------

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.#state === 'done') return controller.abort(new Error('the call is over'))
    this.#call.sent_us = nowUs()
  }

  onResponseStart(controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (this.#state === 'done' || status < 200) return
    const call = this.#call
    call.first_byte_us = nowUs()
    this.#upstream.saw(status < 500, status < 500 ? 'answers' : `HTTP ${status}`)
    const queue = headers['weir-queue-us']
    if (typeof queue === 'string') {
      const waited_us = Math.min(Number(queue) || 0, call.first_byte_us - call.sent_us)
      // The host's wait for a child process is a queue of ours, not the server's time.
      call.queue_us += waited_us
      call.forwarded_us += waited_us
      call.sent_us += waited_us
    }
    if ((status === 404 || status === 400) && this.#hooks.sessionLost?.(status)) {
      this.#settle()
      this.#state = 'done'
      call.onClientGone = null
      return controller.abort(new Error('the session was lost'))
    }
    if (status === 401 || status === 403) {
      this.#fail(new WeirError('upstream_auth', `HTTP ${status}`))
      return controller.abort(new Error('credentials refused'))
    }
    const type = headers['content-type'] ?? ''
    const isStream = type.startsWith('text/event-stream')
    this.#isJson = type.startsWith('application/json') && headers['content-encoding'] === undefined
    const flat = returnedHeaders(headers, !isStream)
    const upstreamId = headers['mcp-session-id']
    if (typeof upstreamId === 'string' && this.#hooks.sessionId) flat.push('mcp-session-id', this.#hooks.sessionId(upstreamId))
    this.#head = { status, headers: flat }
    call.http_status = status
    if (!isStream) {
      this.#state = 'body'
      return
    }
    this.#state = 'stream'
    this.#sendHead()
    call.res.flushHeaders()
    this.#splitter = new FrameSplitter({
      frame: (bytes) => this.#frame(bytes),
      piece: (bytes) => this.#piece(bytes),
      lastPiece: (bytes, head) => this.#lastPiece(bytes, head),
    })
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.#state === 'stream') {
      this.#call.response_bytes += chunk.length
      this.#splitter!.push(chunk)
    } else if (this.#state === 'body') this.#bodyChunk(chunk)
  }

  onResponseEnd(): void {
    if (this.#state === 'done' || this.#state === 'waiting') return
    const call = this.#call
    call.last_byte_us ||= nowUs()
    if (this.#state === 'stream') this.#endStream()
    else this.#endBody()
  }

  onResponseError(_controller: Controller, error: Error): void {
    if (this.#state === 'done') return
    this.#call.last_byte_us = nowUs()
    const code = (error as { code?: string }).code ?? ''
    const unreachable = /ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|ENOENT|UND_ERR_CONNECT_TIMEOUT|CERT|TLS|SSL/.test(code)
    this.#upstream.saw(false, code || error.message)
    this.#fail(new WeirError(unreachable ? 'upstream_unavailable' : code.startsWith('HPE_') ? 'upstream_protocol' : 'upstream_closed', `${code} ${error.message}`.trim(), { cause: error }))
  }

  // --- a plain body -----------------------------------------------------------------------------------------------

  #bodyChunk(chunk: Buffer): void {
    const call = this.#call
    call.response_bytes += chunk.length
    if (this.#kept) {
      this.#kept.push(chunk)
      if (call.response_bytes > KEEP_BYTES) {
        this.#scan = new ErrorScan()
        for (const part of this.#kept) this.#scan.push(part)
        this.#kept = null
      }
    } else this.#scan!.push(chunk)
    if (this.#held) {
      // A second chunk: from here on everything but the newest piece flows.
      if (this.#env.hashResult) {
        this.#hash ??= createHash('sha256')
        this.#hash.update(this.#held)
      }
      this.#sendHead()
      this.#write(this.#held)
    }
    this.#held = chunk
  }

  #endBody(): void {
    const call = this.#call
    const last = this.#held
    if (this.#kept) {
      const whole = this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)
      this.#readBody(whole)
    } else this.#scan!.settle(call)
    if (last && this.#env.hashResult && call.kind === 'request')
      call.result_hash = this.#env.hashResult(this.#hash ? this.#hash.update(last).digest() : last)
    this.#finish()
    this.#sendHead()
    if (last) call.res.end(last)
    else call.res.end()
  }

  #readBody(whole: Buffer): void {
    const call = this.#call
    const status = call.http_status
    if (call.kind === 'request') {
      if (this.#isJson && whole.length > 0) {
        const text = whole.toString()
        if (readAnswer(call, text)) {
          this.#env.captureResult(call, text)
          if (status >= 400 && call.outcome === 'ok') this.#httpFailure(status)
          return
        }
      }
      if (status < 400) call.fail('upstream_error', 'upstream', 'upstream_protocol', `HTTP ${status} without a JSON-RPC answer`)
    }
    if (status >= 400) this.#httpFailure(status)
  }

  #httpFailure(status: number): void {
    const owner = status === 429 || status === 503 ? 'capacity' : status < 500 ? 'client' : 'upstream'
    this.#call.fail('upstream_error', owner, String(status), `HTTP ${status}`)
  }

  // --- a stream ---------------------------------------------------------------------------------------------------

  #frame(bytes: Buffer): void {
    if (this.#state === 'done') return
    const call = this.#call
    const data = this.#hasResult ? null : frameData(bytes)
    if (data !== null && isResponse(data)) return this.#result(bytes, data)
    if (data !== null && data !== '') {
      call.stream_messages++
      this.#extend()
      if (this.#hooks.message) {
        const rewritten = this.#hooks.message(data)
        if (rewritten !== data) return this.#write(Buffer.from(bytes.toString().replace(data, () => rewritten)))
      }
    }
    this.#write(bytes)
  }

  #result(bytes: Buffer, data: string): void {
    const call = this.#call
    this.#hasResult = true
    call.last_byte_us = nowUs()
    readAnswer(call, data)
    if (this.#env.hashResult) call.result_hash = this.#env.hashResult(Buffer.from(data))
    this.#env.captureResult(call, data)
    this.#settle()
    this.#env.record(call)
    this.#write(bytes)
  }

  #piece(bytes: Buffer): void {
    if (this.#state === 'done') return
    this.#scan ??= new ErrorScan()
    this.#scan.push(bytes)
    this.#write(bytes)
  }

  #lastPiece(bytes: Buffer, head: Buffer): void {
    if (this.#state === 'done') return
    const scan = (this.#scan ??= new ErrorScan())
    scan.push(bytes)
    this.#scan = null
    const call = this.#call
    if (!this.#hasResult && /"(?:result|error)"/.test(head.toString()) && !/"method"/.test(head.toString())) {
      this.#hasResult = true
      call.last_byte_us = nowUs()
      call.text_bytes_out = call.response_bytes
      scan.settle(call)
      this.#settle()
      this.#env.record(call)
    }
    this.#write(bytes)
  }

  #endStream(): void {
    const call = this.#call
    const rest = this.#splitter!.rest()
    if (!this.#hasResult && call.kind === 'request') {
      const data = rest.length > 0 ? frameData(rest) : null
      if (data !== null && isResponse(data)) readAnswer(call, data)
      else if (call.http_status < 400) call.fail('upstream_error', 'upstream', 'upstream_closed', 'the stream ended without an answer')
    }
    this.#finish()
    if (rest.length > 0) call.res.write(rest)
    call.res.end()
  }

  /** Each message shows that the server is alive: the deadline moves, up to the hard end. */
  #extend(): void {
    if (nowUs() < this.#hardEnd_us) this.#deadline?.refresh()
  }

  // --- towards the client -----------------------------------------------------------------------------------------

  #sendHead(): void {
    const head = this.#head
    if (!head || this.#call.res.headersSent) return
    this.#call.res.writeHead(head.status, head.headers)
  }

  #write(bytes: Buffer): void {
    if (this.#call.res.write(bytes) || this.#isPausedByClient) return
    this.#isPausedByClient = true
    this.#controller?.pause()
    this.#call.res.once('drain', () => {
      this.#isPausedByClient = false
      if (this.#state !== 'done') this.#controller?.resume()
    })
  }

  // --- the ends ---------------------------------------------------------------------------------------------------

  #settle(): void {
    if (this.#deadline) clearTimeout(this.#deadline)
  }

  #finish(): void {
    this.#settle()
    this.#state = 'done'
    this.#call.onClientGone = null
    this.#env.record(this.#call)
  }

  #fail(error: WeirError): void {
    const call = this.#call
    if (this.#state === 'done') return
    const wasStreaming = this.#state === 'stream'
    this.#settle()
    this.#state = 'done'
    call.onClientGone = null
    if (!call.res.headersSent) return this.#env.refuse(call, error)
    if (this.#hasResult || call.res.destroyed) {
      call.res.destroy()
      return this.#env.record(call)
    }
    call.fail(error.spec.outcome, error.spec.owner, error.code, error.detail, error.spec.rpc)
    this.#env.record(call)
    // In a stream the error is a message like any other; a cut body can only be cut.
    if (wasStreaming && call.id !== null) call.res.end(`event: message\ndata: ${this.#env.errorText(call, error)}\n\n`)
    else call.res.destroy()
  }

  #timeout(): void {
    if (this.#state === 'done') return
    this.#call.last_byte_us = nowUs()
    const error = new WeirError('upstream_timeout', `no answer within ${this.#upstream.config.timeout_ms} ms`)
    this.#fail(error)
    this.#controller?.abort(error)
    this.#env.cancel(this.#call, 'timeout')
  }

  #clientGone(): void {
    if (this.#state === 'done') return
    const call = this.#call
    call.last_byte_us ||= nowUs()
    this.#settle()
    this.#state = 'done'
    if (!this.#hasResult) call.fail('cancelled', 'client', 'client_gone', '')
    call.http_status ||= 499
    // A paused request stays paused for ever unless it is aborted: it would keep its connection.
    this.#controller?.abort(new Error('the client is gone'))
    this.#env.record(call)
  }
}
