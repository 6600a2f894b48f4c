/**
 * Streams under the roof: what several servers say, merged frame by frame into the one stream of a client. The GET stream
 * of a legacy session is one, a modern listen stream another (`listen.ts`). Event ids are left out: a position in a merged
 * stream means nothing to any one server. No faster than the client reads.
 */
import type { Dispatcher } from 'undici'
import type { Call, Message } from '../call.ts'
import { EVENT_STREAM, FrameSplitter, frameData, messageFrame } from '../mcp/frames.ts'
import { replaceValue } from '../mcp/splice.ts'
import type { RelaySurroundings } from '../upstream/relay-surroundings.ts'
import { reaches } from './reach.ts'
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

/** How one server's stream is asked for, and what is done with what it says. */
type Source = {
  open(handler: Dispatcher.DispatchHandler): void
  hear(json: string): void
  /** The server has no such stream. */
  refused?(): void
}

/** The stream of one server, heard on behalf of a client. Opened again when it ends, as long as the client listens. */
class Watch {
  readonly #source: Source
  #controller: Dispatcher.DispatchController | null = null
  #pieces: Buffer[] = []
  #pieces_bytes = 0
  /** Whether the server ever had a stream to hear; one that has none is not asked again. */
  #isSupported = false
  #failures = 0
  #isOver = false
  isPaused = false

  constructor(source: Source, isPaused: boolean) {
    this.#source = source
    this.isPaused = isPaused
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
    const splitter = new FrameSplitter({
      frame: (bytes) => this.#frame(bytes),
      // A large frame must not mix with those of other servers: it is put together first.
      piece: (bytes) => this.#piece(bytes),
      lastPiece: (bytes) => this.#frame(Buffer.concat([...this.#pieces.splice(0), bytes])),
    })
    this.#source.open({
      onRequestStart: (controller) => {
        if (this.#isOver) return controller.abort(new Error('the client is gone'))
        this.#controller = controller
      },
      onResponseStart: (controller, status, headers) => {
        // 405: a server without a stream of its own. Nothing to hear.
        if (status !== 200 || !String(headers['content-type']).startsWith('text/event-stream'))
          return controller.abort(new Error(`HTTP ${status}`))
        this.#isSupported = true
        this.#failures = 0
        if (this.isPaused) controller.pause()
      },
      onResponseData: (_controller, chunk) => splitter.push(chunk),
      onResponseEnd: () => this.#again(),
      onResponseError: () => this.#again(),
    })
  }

  #frame(bytes: Buffer): void {
    this.#pieces_bytes = 0
    const data = frameData(bytes)
    if (data) this.#source.hear(data)
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
    if (this.#isOver) return
    if (!this.#isSupported) return this.#source.refused?.()
    const wait_ms = Math.min(REOPEN_MAX_MS, REOPEN_MS * 2 ** Math.min(this.#failures++, 10))
    setTimeout(() => this.#open(), wait_ms).unref()
  }
}

/** A client's stream, open until it leaves or the worker drains. */
export class MergedStream {
  readonly #call: Call
  readonly #watches = new Map<unknown, Watch>()
  readonly #alive: NodeJS.Timeout
  #isOver = false
  #isBlocked = false

  /** `ended`: called once, when the stream is over. */
  constructor(call: Call, ended: () => void) {
    this.#call = call
    const { res } = call
    this.#alive = setInterval(() => this.write(': alive\n\n'), KEEP_ALIVE_MS)
    res.writeHead(200, EVENT_STREAM)
    res.flushHeaders()
    call.http_status = 200
    call.whenClientGone(() => {
      this.#isOver = true
      clearInterval(this.#alive)
      for (const watch of this.#watches.values()) watch.end()
      ended()
    })
  }

  write(bytes: Buffer | string): void {
    const { res } = this.#call
    if (this.#isOver || res.writableEnded || res.write(bytes) || this.#isBlocked) return
    this.#isBlocked = true
    for (const watch of this.#watches.values()) watch.pause()
    res.once('drain', () => {
      this.#isBlocked = false
      for (const watch of this.#watches.values()) watch.resume()
    })
  }

  /** Hears a source under a key; the one that had the key is heard no more. */
  watch(key: unknown, source: Source): void {
    if (this.#isOver) return
    this.#watches.get(key)?.end()
    this.#watches.set(key, new Watch(source, this.#isBlocked))
  }
}

/** The GET stream of a legacy session. Questions of servers get ids that name their server. */
export function openRoofStream(
  call: Call,
  roof: RoofSession,
  { questions, gate, mayHear }: Pick<RelaySurroundings, 'questions' | 'gate' | 'mayHear'>,
): void {
  const heard = new Map<string, Member>()
  const stream = new MergedStream(call, () => {
    roof.hasStream = false
    roof.last_used_ms = Date.now()
    roof.onMember.delete(watch)
  })
  const watch = (member: Member): void => {
    const { upstream } = member
    if (!reaches({ gate }, call, upstream.name)) return
    // A session that took the place of another one: the old one has nothing more to say.
    if (heard.get(upstream.name) === member) return
    heard.set(upstream.name, member)
    stream.watch(upstream.name, {
      open: (handler) =>
        upstream.send('GET', memberHeaders(upstream, roof.caller, member), null, handler, true),
      hear: (json) => {
        questions.heard(call, upstream, json)
        if (!mayHear(call, upstream.name, json)) return
        stream.write(messageFrame(fromServer(upstream.name, json)))
      },
    })
  }
  roof.hasStream = true
  roof.onMember.add(watch)
  roof.members().then(
    (members) => members.forEach(watch),
    () => {},
  )
}
