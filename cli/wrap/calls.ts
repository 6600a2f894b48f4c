/**
 * The calls in what a client and a stdio server say to each other, read from copies of their lines: requests, the answers to
 * them by id, cancels, and what is left open at the end. Changes no byte and holds none back; a line that cannot be read is
 * the other side's to judge. Invariant: every request leaves exactly one event, written before the end of its answer's line
 * is passed on (the caller passes a chunk on after `fromServer` has returned).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Call, type Endpoint } from '../../proxy/call.ts'
import { asWeirError, type WeirError } from '../../proxy/errors.ts'
import { MESSAGE_MAX_BYTES } from '../../proxy/host/channel.ts'
import { LineSplitter } from '../../proxy/host/lines.ts'
import type { Identity } from '../../proxy/identity/identity.ts'
import type { Session } from '../../proxy/identity/session-id.ts'
import { ErrorScan, isResponse, readAnswer } from '../../proxy/mcp/answer.ts'
import { elementsOf } from '../../proxy/mcp/batch.ts'
import { STREAM_METHODS } from '../../proxy/mcp/versions.ts'
import { readMessage } from '../../proxy/stages/understand.ts'
import { nowUs, wallUs } from '../../proxy/telemetry/clock.ts'
import { NOTHING_READ } from '../../proxy/telemetry/clues.ts'
import { InferredRuns } from '../../proxy/telemetry/inferred-runs.ts'
import { newEventId, newSpanId, newTraceId } from '../../proxy/telemetry/random.ts'
import { type LabelRule, readLabels, traceCall } from '../../proxy/telemetry/trace.ts'
import { idText, idTextNear, negotiated, progressTokenOf, requestNear } from './lines.ts'
import type { Recording } from './recording.ts'

/** How long a server may still answer a call that its client has cancelled. */
const CANCEL_GRACE_MS = 2_000
/** A client that waits for more has forgotten them; the oldest is given up. */
const OPEN_MAX = 10_000

// A call of ours comes by no request of HTTP: no headers, no connection.
const NO_REQUEST = { headers: {} } as IncomingMessage
const NO_RESPONSE = {} as ServerResponse
const ENDPOINT: Endpoint = { path: '', server: '' }
const EMPTY = Buffer.alloc(0)

/** A request that has no answer yet. */
type Waiting = {
  readonly call: Call
  /** JSON text of the token its progress comes under, '' for none. */
  readonly progress_token: string
  isCancelAsked: boolean
  timer: NodeJS.Timeout | null
}

export type CallsOptions = {
  server: string
  identity: Identity | null
  labels: readonly LabelRule[]
  incoming: 'parent' | 'link' | 'ignore'
}

export class WrappedCalls {
  readonly #options: CallsOptions
  readonly #recording: Recording
  /** One process is one session, whatever its client speaks. */
  #session: Session
  readonly #runs = new InferredRuns()
  /** By JSON text of the id, oldest first. A client may use an id again before it was answered. */
  readonly #open = new Map<string, Waiting[]>()
  #open_count = 0
  #newest: Waiting | null = null
  readonly #client: LineSplitter
  readonly #server: LineSplitter
  // Of the line that is being read: when it began, when its last byte came, when that was passed on.
  #began_us = { client: 0, server: 0 }
  #arrived_us = 0
  #forwarded_us = 0
  #isModern = false
  #isClientGone = false

  constructor(options: CallsOptions, recording: Recording) {
    this.#options = options
    this.#recording = recording
    this.#session = {
      handle: newTraceId(),
      caller: options.identity?.caller ?? '',
      server: options.server,
      upstream_id: '',
      owner: '',
      client_name: '',
      client_version: '',
      protocol_version: '',
      capabilities: '',
    }
    this.#client = new LineSplitter(MESSAGE_MAX_BYTES, {
      line: (text, bytes) => this.#guard(() => this.#each(text, bytes, (b) => this.#fromClient(b))),
      overflow: (head, tail, bytes) => this.#guard(() => this.#tooLongFromClient(head, tail, bytes)),
    })
    this.#server = new LineSplitter(MESSAGE_MAX_BYTES, {
      line: (text, bytes) => this.#guard(() => this.#each(text, bytes, (b, t) => this.#fromServer(b, t))),
      overflow: (head, tail, bytes) => this.#guard(() => this.#tooLongFromServer(head, tail, bytes)),
    })
  }

  /** Bytes of the client, which have been passed on. */
  fromClient(chunk: Buffer, arrived_us: number): void {
    this.#arrived_us = arrived_us
    this.#forwarded_us = nowUs()
    if (!this.#client.isMidLine) this.#began_us.client = arrived_us
    this.#client.push(chunk)
  }

  /** Bytes of the server, not passed on yet. */
  fromServer(chunk: Buffer, arrived_us: number): void {
    this.#arrived_us = arrived_us
    if (!this.#server.isMidLine) this.#began_us.server = arrived_us
    this.#server.push(chunk)
  }

  /** The client says no more, or listens no more: what stays open is its own doing. */
  clientGone(): void {
    this.#client.end()
    this.#isClientGone = true
  }

  /** The server says no more. `why`: the error text of calls it left open. */
  serverGone(why: string): void {
    this.#arrived_us = nowUs()
    this.#server.end()
    for (const waiting of [...this.#open.values()].flat()) {
      const { call } = waiting
      this.#take(call.id!)
      if (!this.#isClientGone && !waiting.isCancelAsked)
        call.fail('upstream_error', 'upstream', 'upstream_closed', why)
      else this.#leave(waiting)
      this.#settle(call)
    }
  }

  /** Whatever goes wrong in reading is ours alone; the bytes pass. */
  #guard(read: () => void): void {
    try {
      read()
    } catch {
      this.#recording.lost()
    }
  }

  /** A line is one message, or a batch of them (MCP 2025-03-26). */
  #each(text: string, bytes: Buffer, take: (bytes: Buffer, text: string) => void): void {
    if (!/\S/.test(text)) return
    if (!/^\s*\[/.test(text)) return take(bytes, text)
    const elements = isJson(text) ? elementsOf(text) : []
    if (elements.length === 0) return take(bytes, text)
    for (const element of elements) take(Buffer.from(element), element)
  }

  // --- of the client ----------------------------------------------------------------------------------------------

  #newCall(): Call {
    const call = new Call(NO_REQUEST, NO_RESPONSE, ENDPOINT, this.#began_us.client, '', false)
    // Further lines of the same piece began when it came.
    this.#began_us.client = this.#arrived_us
    call.body_us = this.#arrived_us
    call.transport = 'stdio'
    call.identity = this.#options.identity
    if (call.identity?.tags) call.tags = call.identity.tags
    return call
  }

  #fromClient(body: Buffer): void {
    const call = this.#newCall()
    call.body = body
    let failure: WeirError | null = null
    try {
      readMessage(call, () => this.#session)
    } catch (error) {
      failure = asWeirError(error)
    }
    // An answer to a question of the server.
    if (call.isRecorded) return
    this.#introduce(call)
    const params = call.message?.params
    const token = params?._meta?.progressToken
    const cancelled = call.method === 'notifications/cancelled' ? params?.requestId : undefined
    call.request_bytes = body.length
    call.body = EMPTY
    call.text = ''
    call.message = null
    if (call.kind === 'request' && call.id !== null)
      return this.#wait(call, token === undefined ? '' : JSON.stringify(token))
    if (failure) {
      const { outcome, owner, rpc, text } = failure.spec
      call.fail(outcome, owner, failure.code, failure.detail || text, rpc)
    } else this.#sent(call)
    call.last_byte_us = call.forwarded_us
    this.#recording.record(call)
    if (cancelled !== undefined) this.#cancel(JSON.stringify(cancelled))
  }

  /** A request of which only the ends were kept. */
  #tooLongFromClient(head: string, tail: string, bytes: number): void {
    const near = requestNear(head, tail)
    if (near === null) return
    const call = this.#newCall()
    call.kind = 'request'
    call.id = near.id
    call.method = near.method
    call.exposed_name = call.tool = near.tool
    call.era = this.#isModern ? 'modern' : 'legacy'
    call.protocol_version = this.#session.protocol_version
    call.client_name = this.#session.client_name
    call.client_version = this.#session.client_version
    call.request_bytes = bytes
    this.#introduce(call)
    this.#wait(call, '')
  }

  /** Gives a call its session, labels and trace; the session learns who the client is. */
  #introduce(call: Call): void {
    if (call.kind === 'request') {
      this.#isModern = call.era === 'modern'
      if (this.#isModern || call.method === 'initialize')
        this.#session = {
          ...this.#session,
          client_name: call.client_name || this.#session.client_name,
          client_version: call.client_version || this.#session.client_version,
          protocol_version: call.protocol_version,
        }
    } else if (this.#isModern) {
      // A notification says nothing of its era.
      call.era = 'modern'
      call.protocol_version = this.#session.protocol_version
    }
    call.session = this.#session
    call.server = this.#options.server
    call.client_name ||= this.#session.client_name
    call.client_version ||= this.#session.client_version
    call.event_id = newEventId(wallUs(call.received_us) / 1000)
    readLabels(call, this.#options.labels)
    traceCall(call, this.#options.incoming, NOTHING_READ, this.#runs)
  }

  #sent(call: Call): void {
    call.attempts = 1
    call.client_span_id = newSpanId()
    call.forwarded_us = call.sent_us = this.#forwarded_us
    call.upstream_transport = 'stdio'
    call.upstream_endpoint = `stdio:${this.#options.server}`
    call.upstream_protocol_version = call.protocol_version
  }

  #wait(call: Call, progress_token: string): void {
    this.#sent(call)
    const waiting: Waiting = { call, progress_token, isCancelAsked: false, timer: null }
    const same = this.#open.get(call.id!)
    if (same) same.push(waiting)
    else this.#open.set(call.id!, [waiting])
    this.#newest = waiting
    if (++this.#open_count <= OPEN_MAX) return
    const [oldest] = this.#open.values().next().value!
    this.#take(oldest!.call.id!)
    oldest!.call.fail('timeout', 'upstream', 'upstream_timeout', `no answer; ${OPEN_MAX} later calls wait`)
    this.#settle(oldest!.call)
  }

  /** The client no longer waits. The server may still answer: then that is what became of the call. */
  #cancel(id: string): void {
    const waiting = this.#open.get(id)?.find((w) => !w.isCancelAsked)
    if (!waiting) return
    waiting.isCancelAsked = true
    waiting.timer = setTimeout(() => {
      if (!this.#remove(waiting)) return
      this.#leave(waiting)
      this.#settle(waiting.call)
    }, CANCEL_GRACE_MS).unref()
  }

  /** The end of a call that its client left: a failure of nobody but the client, and none for a stream without an end. */
  #leave({ call, isCancelAsked }: Waiting): void {
    if (!STREAM_METHODS.has(call.method))
      call.fail('cancelled', 'client', isCancelAsked ? 'cancelled' : 'client_gone', '')
  }

  #settle(call: Call): void {
    call.last_byte_us ||= nowUs()
    this.#recording.record(call)
  }

  // --- of the server ----------------------------------------------------------------------------------------------

  #fromServer(bytes: Buffer, text: string): void {
    const began_us = this.#began_us.server
    this.#began_us.server = this.#arrived_us
    if (!isResponse(text)) return this.#unasked(text)
    const waiting = this.#take(idText(text))
    if (!waiting) return
    const { call } = waiting
    this.#answered(call, began_us, bytes.length)
    if (!readAnswer(call, text))
      call.fail('upstream_error', 'upstream', 'upstream_protocol', 'the answer is not valid JSON')
    if (waiting.isCancelAsked && call.outcome === 'rpc_error')
      call.refail('cancelled', 'client', 'cancelled', '')
    if (call.method === 'initialize' && call.outcome === 'ok') this.#negotiate(call, text)
    const { capture } = this.#recording
    if (capture?.hashesResults) call.result_hash = capture.digestBytes(bytes)
    if (capture?.keeps(call).results) call.captured_result = capture.mask(text)
    this.#recording.answered(call, text)
    this.#settle(call)
  }

  #tooLongFromServer(head: string, tail: string, bytes: number): void {
    const began_us = this.#began_us.server
    this.#began_us.server = this.#arrived_us
    const waiting = isResponse(head) ? this.#take(idTextNear(head, tail)) : null
    if (!waiting) return
    const { call } = waiting
    this.#answered(call, began_us, bytes)
    call.text_bytes_out = bytes
    const scan = new ErrorScan()
    scan.push(Buffer.from(head, 'latin1'))
    scan.push(Buffer.from(tail, 'latin1'))
    scan.settle(call)
    this.#settle(call)
  }

  #answered(call: Call, began_us: number, bytes: number): void {
    call.first_byte_us = Math.max(began_us, call.forwarded_us)
    call.last_byte_us = Math.max(this.#arrived_us, call.first_byte_us)
    call.response_bytes = bytes
  }

  /** From here on both speak the revision that the server chose. */
  #negotiate(call: Call, text: string): void {
    const version = negotiated(text)
    if (version === '') return
    call.upstream_protocol_version = version
    this.#session = { ...this.#session, protocol_version: version }
  }

  /** A notification or a question: progress belongs to its call, everything else to the newest. */
  #unasked(text: string): void {
    const token = progressTokenOf(text)
    let waiting = token === '' ? this.#newest : null
    if (token !== '')
      for (const same of this.#open.values()) waiting ??= same.find((w) => w.progress_token === token) ?? null
    if (waiting) waiting.call.stream_messages++
  }

  /** The oldest call that waits under this id, which then waits no more. */
  #take(id: string): Waiting | null {
    const waiting = this.#open.get(id)?.[0]
    return waiting && this.#remove(waiting) ? waiting : null
  }

  /** False when it has ended before. */
  #remove(waiting: Waiting): boolean {
    const id = waiting.call.id!
    const same = this.#open.get(id)
    const at = same?.indexOf(waiting) ?? -1
    if (!same || at < 0) return false
    same.splice(at, 1)
    if (same.length === 0) this.#open.delete(id)
    this.#open_count--
    if (waiting.timer) clearTimeout(waiting.timer)
    if (this.#newest === waiting) this.#newest = [...this.#open.values()].at(-1)?.at(-1) ?? null
    return true
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
