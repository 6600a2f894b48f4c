/**
 * What servers ask clients (sampling, elicitation, roots, ping): each leaves one event, kind `server_request`, whatever ends
 * it first: the client's answer, the server that takes it back, the end of its call or session, a limit, or the drain.
 * The answer comes as a request of its own, maybe to another worker: the one that has the question writes the event, and
 * only then does the answer's 202 leave. Nothing here delays the answer's way to the server.
 */
import { Call } from './call.ts'
import type { Capture } from './capture.ts'
import { type Asked, hear, hearEnds, idText, inputRequests } from './mcp/question.ts'
import { nowUs } from './telemetry/clock.ts'
import { newSpanId } from './telemetry/random.ts'
import type { Upstream } from './upstream/upstream.ts'

/** Questions under way in one worker. About 2 KB each: their texts are not kept. */
const QUESTIONS_MAX = 1000
/**
 * How long a question may still be answered when its call is over. The word that another worker has taken the answer may come
 * after the result it led to; and a server behind a pipe asks on no stream at all: the call its question came with is a guess.
 */
const ANSWER_GRACE_MS = 2_000

/** More of a client's error text is not passed on between workers. */
const ERROR_CHARS = 4096

/** What became of a question, for the worker that has it. Times on the machine's clock that all workers read alike. */
type Answer = {
  /** JSON-RPC code of an error, null for a result. */
  code: number | null
  message: string
  bytes: number
  result_bytes: number
  hash: string
  captured: string
  at_us: number
}
/** `scope`: the session's handle, or the caller where there are no sessions. */
export type News =
  | { what: 'answered'; scope: string; server: string; id: string; answer: Answer }
  | { what: 'withdrawn'; scope: string; server: string; id: string }
  | { what: 'session_ended'; scope: string }

/** The server that asks. */
type From = { readonly name: string; readonly transport: string; readonly endpoint: string }
/** How a question ended that nobody answered. */
type Fate = Parameters<Call['fail']>
type Question = {
  /** The event to be. */
  readonly event: Call
  readonly scope: string
  readonly id: string
  /** The call on whose stream it came; null for the stream of a session, and once that call is over. */
  call: Call | null
  /** A question of a session's stream has no call to end it: when it counts as unanswered. */
  readonly limit_us: number
  fate: Fate | null
  timer: NodeJS.Timeout | null
}

export type QuestionsOptions = {
  record(event: Call): void
  /** Told of every message of a server first: it may be news of another kind. */
  sawMessage(server: string, json: string): void
  capture(): Capture
  /** Labels, trace and run of what came on the stream of a session. */
  traceStream(event: Call): void
  /** Whether other workers serve the same sessions, and how to tell them. Resolves true when one of them had the question. */
  hasOthers(): boolean
  tellOthers(news: News): Promise<boolean>
}

const sharedUs = (): number => Number(process.hrtime.bigint() / 1000n)
const scopeOf = (call: Call): string => call.session?.handle ?? `caller ${call.identity?.caller ?? ''}`

/** Why the questions of a call end with it. */
function fateOf(call: Call): Fate {
  if (call.outcome === 'timeout') return ['timeout', 'client', 'unanswered', '']
  if (call.outcome === 'cancelled') return ['cancelled', 'client', call.error_type, '']
  if (call.outcome === 'upstream_error' || call.outcome === 'unavailable')
    return ['cancelled', call.owner, call.error_type, '']
  // The server went on without the answer.
  return ['cancelled', 'upstream', 'unanswered', '']
}

export class Questions {
  readonly #open = new Set<Question>()
  readonly #options: QuestionsOptions

  constructor(options: QuestionsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#open.size
  }

  /** Looks at a message of a server on its way to the client, on the stream of `call`. */
  heard(call: Call, upstream: Upstream, json: string): void {
    this.#options.sawMessage(upstream.name, json)
    const found = hear(json)
    if (!found) return
    if (found.what === 'asked') return this.#ask(call, upstream, found)
    const news: News = { what: 'withdrawn', scope: scopeOf(call), server: upstream.name, id: found.id }
    // It may come on another stream than the question, and so in another worker.
    if (!this.tell(news) && this.#options.hasOthers()) this.#options.tellOthers(news).catch(() => {})
  }

  /** As `heard`, of an event too large to be held. */
  heardLarge(call: Call, upstream: Upstream, head: Buffer, tail: Buffer, bytes: number): void {
    const found = hearEnds(head, tail, bytes)
    if (found) this.#ask(call, upstream, found)
  }

  /** Records the questions of an `input_required` result: asked and over at once, for the answer comes as a call of its own. */
  required(call: Call, text: string): void {
    for (const asked of inputRequests(text)) {
      const { server: name, upstream_transport: transport, upstream_endpoint: endpoint } = call
      const event = this.#event(call, { name, transport, endpoint }, asked)
      event.outcome = 'input_required'
      this.#finish(event, event.received_us)
    }
  }

  /** Takes a client's answer to question `asked_id` of `server`; `call` is the answer on its way there. */
  answered(call: Call, server: string, asked_id: unknown): void {
    const id = idText(asked_id)
    const news: News = { what: 'answered', scope: scopeOf(call), server, id, answer: this.#answer(call) }
    // A session that one worker owns has its questions there.
    if (this.tell(news) || !this.#options.hasOthers() || call.session?.owner) return
    call.awaited = this.#options.tellOthers(news).catch(() => false)
  }

  /** A call has ended, and with it what was asked on its stream, unless the answer is on its way. */
  over(call: Call): void {
    if (call.questions === 0) return
    const fate = fateOf(call)
    for (const question of this.#open) {
      if (question.call !== call) continue
      question.call = null
      question.fate = fate
      question.event.last_byte_us = nowUs()
      question.timer = setTimeout(() => this.#end(question, fate), ANSWER_GRACE_MS)
    }
    call.questions = 0
  }

  /** The client has ended its session. */
  sessionEnded(handle: string): void {
    const news: News = { what: 'session_ended', scope: handle }
    this.tell(news)
    if (this.#options.hasOthers()) this.#options.tellOthers(news).catch(() => {})
  }

  /** Takes what this or another worker has learned. True when a question here is over by it, and its event written. */
  tell(news: News): boolean {
    for (const question of this.#open) {
      if (question.scope !== news.scope) continue
      if (news.what === 'session_ended') {
        this.#end(question, question.fate ?? ['cancelled', 'client', 'session_ended', ''])
        continue
      }
      if (question.id !== news.id || question.event.server !== news.server) continue
      if (news.what === 'answered') this.#settle(question, news.answer)
      else this.#end(question, question.fate ?? ['cancelled', 'upstream', 'withdrawn', ''])
      return true
    }
    return false
  }

  /** Ends what a session's stream has asked and nobody answered in the time a call may take at most. */
  sweep(now_us = nowUs()): void {
    for (const question of this.#open)
      if (question.limit_us <= now_us) this.#end(question, ['timeout', 'client', 'unanswered', ''])
  }

  /** The worker ends. */
  drain(): void {
    for (const question of this.#open)
      this.#end(question, question.fate ?? ['unavailable', 'weir', 'draining', ''])
  }

  // --- asked ------------------------------------------------------------------------------------------------------

  #ask(call: Call, upstream: Upstream, asked: Asked): void {
    const scope = scopeOf(call)
    // A stream that is resumed says again what it has said.
    if (call.session)
      for (const known of this.#open)
        if (known.scope === scope && known.id === asked.id && known.event.server === upstream.name) return
    if (this.#open.size >= QUESTIONS_MAX) {
      const [oldest] = this.#open
      const why = `more than ${QUESTIONS_MAX} questions were under way`
      this.#end(oldest!, ['unavailable', 'capacity', 'questions_max', why])
    }
    const event = this.#event(call, upstream, asked)
    event.client_span_id = newSpanId()
    const isOfCall = call.kind === 'request'
    if (isOfCall) call.questions++
    const limit_us = isOfCall
      ? Number.POSITIVE_INFINITY
      : event.received_us + upstream.config.timeout_max_ms * 1000
    const of = isOfCall ? call : null
    this.#open.add({ event, scope, id: asked.id, call: of, limit_us, fate: null, timer: null })
  }

  /** The event of a question, as far as it is known when it is asked. What was asked is measured and forgotten. */
  #event(call: Call, from: From, asked: Asked): Call {
    const now_us = nowUs()
    const { req, res, endpoint, session } = call
    const event = new Call(req, res, endpoint, now_us, call.peer_address, call.isHop)
    event.kind = 'server_request'
    event.id = asked.id
    event.method = asked.method
    event.transport = call.transport
    event.identity = call.identity
    event.tags = call.tags
    event.session = session
    event.client_name = call.client_name || session?.client_name || ''
    event.client_version = call.client_version || session?.client_version || ''
    event.server = from.name
    event.upstream_transport = from.transport
    event.upstream_endpoint = from.endpoint
    event.tool = call.tool
    event.exposed_name = call.exposed_name
    this.#speak(event, call)
    if (call.trace_id === '') this.#options.traceStream(event)
    else {
      event.agent = call.agent
      event.project = call.project
      event.labels = call.labels
      event.trace_id = call.trace_id
      event.span_id = newSpanId()
      if (call.kind === 'request') event.parent_span_id = call.client_span_id
      event.trace_source = call.trace_source
      event.trace_flags = call.trace_flags
      event.run_id = call.run_id
      event.run_source = call.run_source
      event.run_confidence = call.run_confidence
      event.run_evidence = call.run_evidence
    }
    // One span towards the client: from the moment it was handed over.
    event.body_us = event.forwarded_us = event.sent_us = now_us
    event.request_bytes = asked.bytes
    if (asked.params !== '') this.#measure(event, asked.params)
    return event
  }

  /** Era and revisions of both sides. The stream of a session never went through `understand`. */
  #speak(event: Call, call: Call): void {
    const header = call.req.headers['mcp-protocol-version']
    event.era = call.era === 'unknown' ? 'legacy' : call.era
    event.protocol_version =
      call.protocol_version ||
      (typeof header === 'string' ? header.slice(0, 32) : '') ||
      (call.session?.protocol_version ?? '')
    event.upstream_protocol_version = call.upstream_protocol_version || event.protocol_version
    // Kept out of error texts.
    event.upstream_session = call.upstream_session || (call.session?.upstream_id ?? '')
  }

  #measure(event: Call, params: string): void {
    const capture = this.#options.capture()
    event.arguments_bytes = Buffer.byteLength(params)
    if (capture.hashesArguments) event.arguments_hash = capture.digest(params)
    if (capture.keeps(event).arguments) event.captured_arguments = capture.mask(params)
  }

  // --- answered or ended ------------------------------------------------------------------------------------------

  #answer(call: Call): Answer {
    const capture = this.#options.capture()
    const { error, result } = call.message!
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
    return {
      code:
        error === undefined
          ? null
          : Number.isInteger(code) && Math.abs(code as number) < 2 ** 31
            ? (code as number)
            : 0,
      message: capture.keepsResults && typeof message === 'string' ? message.slice(0, ERROR_CHARS) : '',
      bytes: call.body.length,
      result_bytes: result === undefined ? 0 : call.body.length,
      hash: capture.hashesResults ? capture.digestBytes(call.body) : '',
      captured: capture.keepsResults ? capture.mask(call.text) : '',
      at_us: sharedUs(),
    }
  }

  #settle(question: Question, answer: Answer): void {
    const { event } = question
    const at_us = nowUs() - Math.max(0, sharedUs() - answer.at_us)
    // What a client says is as private as what it was asked: an error text too.
    const isKept = this.#options.capture().keeps(event).results
    event.response_bytes = answer.bytes
    event.text_bytes_out = answer.result_bytes
    event.result_hash = answer.hash
    event.result_read = 'parsed'
    if (isKept) event.captured_result = answer.captured
    event.last_byte_us = Math.max(event.received_us, at_us)
    const text = isKept ? answer.message : ''
    this.#end(
      question,
      answer.code === null ? null : ['rpc_error', 'client', String(answer.code), text, answer.code],
    )
  }

  /** The one way out. Null: it was answered well. */
  #end(question: Question, fate: Fate | null): void {
    if (!this.#open.delete(question)) return
    if (question.timer) clearTimeout(question.timer)
    if (question.call) question.call.questions--
    const { event } = question
    if (fate) event.fail(...fate)
    this.#finish(event, event.last_byte_us || nowUs())
  }

  #finish(event: Call, at_us: number): void {
    event.first_byte_us = event.last_byte_us = event.ended_us = at_us
    this.#options.record(event)
  }
}
