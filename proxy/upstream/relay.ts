/**
 * One call's way to its server and back: bytes pass as they come, the outcome is read on the way, and the event is
 * written before the last byte (or, in a stream, the frame with the result) is handed to the client's socket.
 * Obeys backpressure: nothing is taken from the upstream that the client does not take.
 * Invariant: `finish` runs exactly once, whatever ends first: answer, error, deadline or client.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Call } from '../call.ts'
import { withoutCors } from '../cors.ts'
import { WeirError } from '../errors.ts'
import { isResponse, isResponseHead, readAnswer } from '../mcp/answer.ts'
import { FrameSplitter, frameData } from '../mcp/frames.ts'
import type { Written } from '../spool/writer.ts'
import { nowUs } from '../telemetry/clock.ts'
import { AnswerHead } from './answer-head.ts'
import type { Deadline, Overdue } from './deadline.ts'
import { HeldBody, keptBytes, LIST_KEEP_BYTES } from './held-body.ts'
import { readHostHeaders } from './host-refusal.ts'
import { LargeFrame, MESSAGE_MAX_BYTES } from './large-frame.ts'
import {
  type AnswerForm,
  connectionFailure,
  overdueError,
  readFailure,
  readScanned,
  readStreamEnd,
  readWhole,
  rewritten,
  UNKNOWN_FORM,
} from './outcome.ts'
import type { RelayHooks, RelaySurroundings } from './relay-surroundings.ts'
import { shownBody, shownFrame } from './shown.ts'
import { returnedHeaders, type Upstream } from './upstream.ts'

type Controller = Dispatcher.DispatchController

/** How long a server may still answer a call that its client has cancelled. */
const CANCEL_GRACE_MS = 2_000

const TOO_LARGE = (): WeirError =>
  new WeirError('upstream_protocol', `a message is larger than ${MESSAGE_MAX_BYTES} bytes`)

type State = 'waiting' | 'body' | 'stream' | 'done'

export class Relay implements Dispatcher.DispatchHandler, Written, Overdue {
  readonly #call: Call
  readonly #upstream: Upstream
  readonly #env: RelaySurroundings
  readonly #hooks: RelayHooks
  #state: State = 'waiting'
  #controller: Controller | null = null
  /** Null for streams that have no end to wait for: of a session, or of changes. */
  readonly #deadline: Deadline | null
  #cancelTimer: NodeJS.Timeout | null = null
  #head: AnswerHead | null = null
  #body: HeldBody | null = null
  /** What of a plain answer waits for its event to be written. */
  #last: Buffer | null = null
  #splitter: FrameSplitter | null = null
  #form: AnswerForm = UNKNOWN_FORM
  readonly #isOpenEnded: boolean
  #isPausedByClient = false
  #hasResult = false
  #isCancelAsked = false
  /** A 400 that may mean that the call goes another way: nothing of it flows before it is read. */
  #isMaybeTaken = false
  #large: LargeFrame | null = null

  /** `isOpenEnded`: a stream that only ends when a side leaves; that is no failure, and there is no deadline. */
  constructor(
    call: Call,
    upstream: Upstream,
    env: RelaySurroundings,
    hooks: RelayHooks,
    isOpenEnded = false,
  ) {
    this.#call = call
    this.#upstream = upstream
    this.#env = env
    this.#hooks = hooks
    this.#isOpenEnded = isOpenEnded
    const { timeout_ms, timeout_max_ms } = upstream.config
    this.#deadline = isOpenEnded ? null : env.deadlines.start(timeout_ms, timeout_max_ms, this)
    call.whenClientGone(() => this.#clientGone())
    if (call.era === 'legacy' && call.kind === 'request') {
      call.whenCancelAsked(() => this.#cancelAsked())
      env.open.add(call)
    }
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    if (this.#state === 'done') return controller.abort(new Error('the call is over'))
    // Gone before anybody listened for it.
    if (this.#call.res.destroyed) return this.#clientGone()
    this.#call.sent_us = nowUs()
  }

  onResponseStart(controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (this.#state === 'done' || status < 200) return
    const call = this.#call
    call.first_byte_us = nowUs()
    this.#upstream.saw(status < 500, status < 500 ? 'answers' : `HTTP ${status}`)
    if (this.#upstream.isHosted) readHostHeaders(call, headers)
    if ((status === 404 || status === 405) && this.#isTakenBack(status, ''))
      return controller.abort(new Error('the call goes another way'))
    this.#isMaybeTaken = status === 400 && this.#hooks.takenBack !== null
    if (status === 401 || status === 403) {
      this.#fail(new WeirError('upstream_auth', `HTTP ${status}`))
      return controller.abort(new Error('credentials refused'))
    }
    const type = (headers['content-type'] ?? '').toLowerCase()
    const isStream = type.startsWith('text/event-stream')
    const coding = headers['content-encoding']
    this.#form = {
      isJson: type.startsWith('application/json'),
      isCompressed: coding !== undefined && coding !== 'identity',
      isHosted: this.#upstream.isHosted,
    }
    const isChanged = this.#hooks.result !== null || this.#hooks.filter !== null
    let flat = returnedHeaders(headers, !isStream && !isChanged)
    if (call.req.headers.origin !== undefined) flat = withoutCors(flat)
    this.#head = new AnswerHead(call.res, status, flat, headers['mcp-session-id'], this.#hooks.sessionId)
    call.http_status = status
    if (!isStream) {
      this.#state = 'body'
      const { hashResult, beginHash } = this.#env
      const keep_bytes = this.#hooks.filter ? MESSAGE_MAX_BYTES : keptBytes(call.method)
      this.#body = new HeldBody(hashResult && beginHash, this.#isMaybeTaken || isChanged, keep_bytes)
      return
    }
    this.#state = 'stream'
    this.#head.sendNow()
    this.#splitter = new FrameSplitter({
      frame: (bytes) => this.#frame(bytes),
      piece: (bytes, head) => this.#piece(bytes, head),
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
    this.#upstream.saw(false, code || error.message)
    this.#fail(
      new WeirError(connectionFailure(error, code), `${code} ${error.message}`.trim(), { cause: error }),
    )
  }

  // --- a plain body -----------------------------------------------------------------------------------------------

  #bodyChunk(chunk: Buffer): void {
    this.#call.response_bytes += chunk.length
    this.#deadline?.extend()
    const flows = this.#body!.push(chunk)
    if (this.#hooks.filter && this.#body!.scan) return this.#end(TOO_LARGE())
    if (flows) this.#write(flows)
  }

  #endBody(): void {
    const call = this.#call
    const body = this.#body!
    const { filter } = this.#hooks
    let whole = body.whole()
    if (filter && whole) {
      const shown = shownBody(filter, whole, this.#form, call)
      if (shown instanceof WeirError) return this.#end(shown)
      whole = shown
    }
    if (whole) {
      if (this.#isMaybeTaken && this.#isTakenBack(400, whole.toString('latin1'))) return
      const text = readWhole(call, whole, this.#form, this.#isCancelAsked)
      if (text !== null) this.#env.sawResult(call, text)
    } else readScanned(call, body.scan!, this.#form)
    this.#head?.openSession()
    const last = rewritten(filter ? whole : body.last(), whole, this.#form, this.#hooks.result)
    if (last && this.#env.hashResult && call.kind === 'request')
      call.result_hash = this.#env.hashResult(last, body.hash)
    this.#last = last
    this.#close()
    this.#env.recordThen(call, this)
  }

  /** The event of a plain answer is written: its last piece may leave. */
  written(): void {
    const { res } = this.#call
    try {
      this.#head?.send()
      if (this.#last && this.#last.length > 0) res.end(this.#last)
      else res.end()
    } catch {
      // A head that Node will not send (seen: control characters in a server's header).
      res.destroy()
    }
  }

  // --- a stream ---------------------------------------------------------------------------------------------------

  #frame(given: Buffer): void {
    if (this.#state === 'done') return
    const call = this.#call
    const bytes = shownFrame(this.#hooks.filter, given)
    if (bytes instanceof WeirError) return this.#end(bytes)
    const data = frameData(bytes)
    if (!data) return this.#write(bytes)
    if (!this.#hasResult && isResponse(data)) return this.#result(bytes, data)
    if (!this.#env.mayHear(call, this.#upstream.name, data)) return
    if (this.#hasResult) return this.#write(bytes)
    call.stream_messages++
    this.#deadline?.extend()
    this.#env.questions.heard(call, this.#upstream, data)
    const shown = this.#hooks.message?.(data) ?? data
    this.#write(shown === data ? bytes : Buffer.from(bytes.toString().replace(data, () => shown)))
  }

  #result(bytes: Buffer, data: string): void {
    const call = this.#call
    this.#hasResult = true
    call.last_byte_us = nowUs()
    if (!readAnswer(call, data))
      call.fail('upstream_error', 'upstream', 'upstream_protocol', 'the answer is not valid JSON')
    readFailure(call, data, this.#upstream.isHosted, this.#isCancelAsked)
    this.#head?.openSession()
    if (this.#env.hashResult) call.result_hash = this.#env.hashResult(Buffer.from(data), null)
    this.#env.sawResult(call, data)
    const shown = this.#hooks.result?.(data) ?? data
    this.#settle()
    this.#env.record(call)
    this.#write(shown === data ? bytes : Buffer.from(bytes.toString().replace(data, () => shown)))
  }

  #piece(bytes: Buffer, head: Buffer): void {
    if (this.#state === 'done') return
    this.#large ??= this.#largeFrame(head)
    const flows = this.#large.push(bytes)
    if (this.#large.isTooLarge) this.#end(TOO_LARGE())
    else if (flows) this.#write(bytes)
  }

  #largeFrame(head: Buffer): LargeFrame {
    const isAnswer = isResponseHead(head)
    const copy_bytes = isAnswer && this.#call.method === 'tools/list' ? LIST_KEEP_BYTES : 0
    const { message, filter } = this.#hooks
    return new LargeFrame(filter !== null || (message !== null && !isAnswer), copy_bytes)
  }

  #lastPiece(bytes: Buffer, head: Buffer): void {
    if (this.#state === 'done') return
    const large = this.#large ?? new LargeFrame(false)
    this.#large = null
    large.push(bytes)
    const whole = large.whole()
    if (whole) return this.#frame(whole)
    const copy = this.#hasResult ? null : large.copy()
    if (copy) return this.#result(bytes, frameData(copy) ?? '')
    const call = this.#call
    if (!isResponseHead(head)) {
      call.stream_messages++
      this.#deadline?.extend()
      this.#env.questions.heardLarge(call, this.#upstream, head, bytes, large.size_bytes)
    } else if (!this.#hasResult) {
      this.#hasResult = true
      call.last_byte_us = nowUs()
      call.text_bytes_out = call.response_bytes
      large.scan.settle(call)
      this.#settle()
      this.#env.record(call)
    }
    this.#write(bytes)
  }

  #endStream(): void {
    const call = this.#call
    const rest = shownFrame(this.#hooks.filter, this.#splitter!.rest())
    if (rest instanceof WeirError) return this.#end(rest)
    if (!this.#hasResult) readStreamEnd(call, rest, this.#upstream.isHosted, this.#isCancelAsked)
    this.#finish()
    this.#head?.send()
    if (rest.length > 0) call.res.write(rest)
    call.res.end()
  }

  // --- towards the client -----------------------------------------------------------------------------------------

  #write(bytes: Buffer): void {
    const { res } = this.#call
    if (res.destroyed || res.writableEnded) return
    this.#head?.send()
    if (res.write(bytes) || this.#isPausedByClient) return
    this.#isPausedByClient = true
    this.#controller?.pause()
    res.once('drain', () => {
      this.#isPausedByClient = false
      if (this.#state !== 'done') this.#controller?.resume()
    })
  }

  // --- the ends ---------------------------------------------------------------------------------------------------

  #settle(): void {
    this.#deadline?.clear()
    if (this.#cancelTimer) clearTimeout(this.#cancelTimer)
    if (this.#call.onCancelAsked) {
      this.#call.onCancelAsked = null
      this.#env.open.delete(this.#call)
    }
  }

  /** In a stream the event was written with the result; the end of the stream is no second call. */
  #record(): void {
    if (!this.#hasResult) this.#env.record(this.#call)
  }

  #isTakenBack(status: number, body: string): boolean {
    if (!this.#hooks.takenBack?.(status, body)) return false
    this.#close()
    return true
  }

  /** The client no longer waits. The server may still answer, or end the stream, or (seen: SDK v1) say nothing more. */
  #cancelAsked(): void {
    if (this.#state === 'done' || this.#hasResult) return
    this.#isCancelAsked = true
    this.#deadline?.clear()
    this.#cancelTimer ??= setTimeout(() => this.#cancelled(), CANCEL_GRACE_MS)
  }

  #cancelled(): void {
    const { res } = this.#call
    if (this.#state === 'done') return
    this.#call.last_byte_us ||= nowUs()
    this.#call.fail('cancelled', 'client', 'cancelled', '')
    this.#call.http_status ||= 200
    this.#finish()
    this.#controller?.abort(new Error('the call was cancelled'))
    if (!res.headersSent)
      res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    res.end()
  }

  /** From here on nothing that happens changes what became of the call. */
  #close(): void {
    this.#settle()
    this.#state = 'done'
    this.#call.onClientGone = null
  }

  #finish(): void {
    this.#close()
    this.#record()
  }

  #fail(error: WeirError): void {
    const call = this.#call
    if (this.#state === 'done') return
    const wasStreaming = this.#state === 'stream'
    this.#close()
    if (this.#isCancelAsked) call.fail('cancelled', 'client', 'cancelled', '')
    if (!call.res.headersSent) return this.#env.refuse(call, error)
    if (this.#hasResult) {
      call.res.destroy()
      return
    }
    call.fail(error.spec.outcome, error.spec.owner, error.code, error.detail, error.spec.rpc)
    this.#env.record(call)
    // In a stream the error is a message like any other; a cut body can only be cut.
    if (wasStreaming && call.id !== null)
      call.res.end(`event: message\ndata: ${this.#env.errorText(call, error)}\n\n`)
    else call.res.destroy()
  }

  overdue(): void {
    if (this.#state === 'done') return
    this.#call.last_byte_us = nowUs()
    if (this.#isPausedByClient)
      this.#call.fail('cancelled', 'client', 'client_slow', 'the client did not take its answer in time')
    const isSent = this.#call.sent_us > 0
    this.#end(overdueError(isSent, this.#upstream.config))
    if (isSent) this.#env.cancel(this.#call, this.#upstream, 'timeout')
  }

  /** Ends the call with an error of ours, and lets go of the upstream. */
  #end(error: WeirError): void {
    this.#fail(error)
    this.#controller?.abort(error)
  }

  #clientGone(): void {
    if (this.#state === 'done') return
    const call = this.#call
    call.last_byte_us ||= nowUs()
    this.#settle()
    this.#state = 'done'
    if (!this.#hasResult && !this.#isOpenEnded) call.fail('cancelled', 'client', 'client_gone', '')
    call.http_status ||= 499
    // A paused request stays paused for ever unless it is aborted: it would keep its connection.
    this.#controller?.abort(new Error('the client is gone'))
    this.#record()
  }
}
