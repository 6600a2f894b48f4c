/**
 * The client's one stream under the roof: the streams of all its servers merged, frame by frame. Questions of servers get
 * ids that name their server. Event ids are left out: a position in a merged stream means nothing to any one server.
 */
import type { Dispatcher } from 'undici'
import type { Call, Message } from '../call.ts'
import { FrameSplitter, frameData, messageFrame } from '../mcp/frames.ts'
import { replaceValue } from '../mcp/splice.ts'
import type { Questions } from '../questions.ts'
import { type Member, memberHeaders, questionId, type RoofSession } from './session.ts'

const REOPEN_MS = 1000
const REOPEN_MAX_MS = 30_000
/** Largest message of a server that is put together to be passed on. */
const MESSAGE_MAX_BYTES = 33_554_432
const KEEP_ALIVE_MS = 15_000

/** A server's message as the client may see it. */
export function fromServer(server: string, json: string): string {
  const withdraws = json.includes('"notifications/cancelled"')
  if (!json.includes('"method"') || !(withdraws || json.includes('"id"'))) return json
  let message: Message
  try {
    message = JSON.parse(json) as Message
  } catch {
    return json
  }
  // A server may take back what it has asked: under the id the client knows.
  if (withdraws && message.method === 'notifications/cancelled' && message.params?.requestId !== undefined)
    return replaceValue(json, ['params', 'requestId'], questionId(server, message.params.requestId))
  return typeof message.method === 'string' && message.id !== undefined
    ? replaceValue(json, ['id'], questionId(server, message.id))
    : json
}

/** The stream of one server, heard on behalf of a client. Opened again when it ends, as long as the client listens. */
class Watch {
  readonly #member: Member
  readonly #caller: string
  readonly #write: (bytes: Buffer | string) => void
  readonly #hear: (json: string) => void
  #controller: Dispatcher.DispatchController | null = null
  #pieces: Buffer[] = []
  #pieces_bytes = 0
  /** Whether the server ever had a stream to hear; one that has none is not asked again. */
  #isSupported = false
  #failures = 0
  #isOver = false
  isPaused = false

  constructor(
    member: Member,
    caller: string,
    write: (bytes: Buffer | string) => void,
    hear: (json: string) => void,
  ) {
    this.#member = member
    this.#caller = caller
    this.#write = write
    this.#hear = hear
    this.#open()
  }

  pause(): void {
    this.isPaused = true
    this.#controller?.pause()
  }

  resume(): void {
    this.isPaused = false
    this.#controller?.resume()
  }

  end(): void {
    this.#isOver = true
    this.#controller?.abort(new Error('the client is gone'))
  }

  #open(): void {
    if (this.#isOver) return
    const { upstream } = this.#member
    const splitter = new FrameSplitter({
      frame: (bytes) => this.#frame(bytes),
      // A large frame must not mix with those of other servers: it is put together first.
      piece: (bytes) => this.#piece(bytes),
      lastPiece: (bytes) => this.#frame(Buffer.concat([...this.#pieces.splice(0), bytes])),
    })
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (controller) => {
        if (this.#isOver) return controller.abort(new Error('the client is gone'))
        this.#controller = controller
      },
      onResponseStart: (controller, status) => {
        // 405: a server without a stream of its own. Nothing to hear.
        if (status !== 200) return controller.abort(new Error(`HTTP ${status}`))
        this.#isSupported = true
        this.#failures = 0
        if (this.isPaused) controller.pause()
      },
      onResponseData: (_controller, chunk) => splitter.push(chunk),
      onResponseEnd: () => this.#again(),
      onResponseError: () => this.#again(),
    }
    upstream.send('GET', memberHeaders(upstream, this.#caller, this.#member), null, handler, true)
  }

  #frame(bytes: Buffer): void {
    this.#pieces_bytes = 0
    const data = frameData(bytes)
    if (!data) return
    this.#hear(data)
    this.#write(messageFrame(fromServer(this.#member.upstream.name, data)))
  }

  #piece(bytes: Buffer): void {
    this.#pieces.push(Buffer.from(bytes))
    this.#pieces_bytes += bytes.length
    if (this.#pieces_bytes > MESSAGE_MAX_BYTES) this.#controller?.abort(new Error('a message is too large'))
  }

  #again(): void {
    this.#controller = null
    this.#pieces = []
    this.#pieces_bytes = 0
    if (this.#isOver || !this.#isSupported) return
    const wait_ms = Math.min(REOPEN_MAX_MS, REOPEN_MS * 2 ** Math.min(this.#failures++, 10))
    setTimeout(() => this.#open(), wait_ms).unref()
  }
}

/** Holds the stream open until the client leaves or the worker drains. */
export function openRoofStream(call: Call, roof: RoofSession, questions: Questions): void {
  const { res } = call
  const watches = new Map<Member, Watch>()
  let isOver = false
  let isBlocked = false

  const write = (bytes: Buffer | string): void => {
    if (isOver || res.writableEnded || res.write(bytes) || isBlocked) return
    isBlocked = true
    for (const watch of watches.values()) watch.pause()
    res.once('drain', () => {
      isBlocked = false
      for (const watch of watches.values()) watch.resume()
    })
  }
  const watch = (member: Member): void => {
    if (isOver || watches.has(member)) return
    // A session that took the place of another one: the old one has nothing more to say.
    for (const [old, hearing] of watches)
      if (old.upstream.name === member.upstream.name) {
        hearing.end()
        watches.delete(old)
      }
    const hearing = new Watch(member, roof.caller, write, (json) =>
      questions.heard(call, member.upstream, json),
    )
    if (isBlocked) hearing.pause()
    watches.set(member, hearing)
  }
  const alive = setInterval(() => write(': alive\n\n'), KEEP_ALIVE_MS)
  res.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  })
  res.flushHeaders()
  roof.hasStream = true
  roof.onMember.add(watch)
  call.onClientGone = () => {
    isOver = true
    clearInterval(alive)
    roof.hasStream = false
    roof.last_used_ms = Date.now()
    roof.onMember.delete(watch)
    for (const hearing of watches.values()) hearing.end()
  }
  roof.members().then(
    (members) => members.forEach(watch),
    () => {},
  )
}
