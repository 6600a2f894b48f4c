/**
 * JSON-RPC batches of clients of MCP 2025-03-26 and older: taken apart here, each message goes as a request of its own to
 * this worker's socket, where it meets the same stages and leaves its own event. The batch itself leaves none, unless it
 * is refused whole. Answered with one array in the order of the requests; with an event stream as soon as a server says
 * something else, or more is waiting than should be held.
 * Invariant: nothing is answered that was not recorded: when a message could not be handed in, the answer is cut.
 */
import type { Call } from '../call.ts'
import { WeirError } from '../errors.ts'
import type { SessionSeal } from '../identity/session-id.ts'
import { isResponse } from '../mcp/answer.ts'
import { BATCH_VERSION_LAST, batchFault, elementsOf } from '../mcp/batch.ts'
import { EVENT_STREAM, messageFrame } from '../mcp/frames.ts'
import { type ClientSide, StreamableClient } from '../mcp/streamable-client.ts'
import { LEGACY_DEFAULT_VERSION } from '../mcp/versions.ts'
import type { Server } from '../serve.ts'
import { openSession, parseBody } from '../stages/understand.ts'
import { hopToOwner } from './hop.ts'
import { innerEndpoint } from './inner.ts'

/** Answers are held for one array up to here (UTF-16 units); beyond it they leave as they come. */
const HELD_MAX_CHARS = 4_194_304
const ARRAY = 0x5b
const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** Whether a body is an array, if it is JSON at all. One look at its first byte for nearly every call. */
export function beginsArray(body: Buffer): boolean {
  let i = 0
  while (isSpace(body[i])) i++
  return body[i] === ARRAY
}

type Element = { id?: unknown; method?: unknown }

export class BatchDoor {
  readonly #server: Server
  readonly #seal: SessionSeal
  readonly #slot: string
  readonly #socketOf: (slot: string) => string

  constructor(server: Server, seal: SessionSeal, slot: string, socketOf: (slot: string) => string) {
    this.#server = server
    this.#seal = seal
    this.#slot = slot
    this.#socketOf = socketOf
  }

  /** Answers the batch that the body of a call is. Throws a WeirError to refuse it whole. */
  async take(call: Call, max: number): Promise<void> {
    const { req, res } = call
    const batch = parseBody(call) as Element[]
    const version = String(req.headers['mcp-protocol-version'] ?? '')
    call.era = 'legacy'
    call.protocol_version = version.slice(0, 32) || LEGACY_DEFAULT_VERSION
    const fault = batchFault(batch, version, max)
    if (fault) {
      const limit = fault.code === 'batch_too_large' ? { limit: 'http.batch_max', value: max } : {}
      throw new WeirError(fault.code, '', { data: fault.index < 0 ? limit : { index: fault.index } })
    }
    const session = (call.session = openSession(call, this.#seal))
    // Under the roof the session knows what was agreed on; at one server only what its client asked for.
    if (version === '' && session && session.server === '' && session.protocol_version > BATCH_VERSION_LAST)
      throw new WeirError('batch_unsupported', `the session speaks ${session.protocol_version}`)
    call.isRecorded = true
    if (session && session.owner !== '' && session.owner !== this.#slot && !call.isHop)
      if (await hopToOwner(call, this.#socketOf(session.owner))) return
    if (res.destroyed) return

    const side = new BatchSide(call, batch)
    const client = new StreamableClient(
      innerEndpoint(call, req.url ?? '/', this.#socketOf(this.#slot), call.transport, {
        ...(session ? { 'mcp-session-id': req.headers['mcp-session-id'] } : {}),
        ...(version ? { 'mcp-protocol-version': version } : {}),
      }),
      side,
    )
    call.whenClientGone(() => void client.close())
    await Promise.all(elementsOf(call.text).map((text) => client.send(text)))
    side.end(this.#server)
  }
}

/** What comes back of a batch, put together for its client. */
class BatchSide implements ClientSide {
  readonly #call: Call
  readonly #elements: number
  /** Answers in the order of their requests; null while there is none. */
  readonly #answers: (string | null)[] = []
  /** Places of the requests with an id. Clients may use one twice. */
  readonly #places = new Map<string, number[]>()
  readonly #refusals: number[] = []
  readonly #waiting: (() => void)[] = []
  #held_chars = 0
  #isStream = false

  constructor(call: Call, batch: readonly Element[]) {
    this.#call = call
    this.#elements = batch.length
    for (const { id, method } of batch) {
      if (typeof method !== 'string' || id === undefined) continue
      const key = JSON.stringify(id)
      this.#places.set(key, [...(this.#places.get(key) ?? []), this.#answers.length])
      this.#answers.push(null)
    }
    call.res.on('drain', () => {
      for (const go of this.#waiting.splice(0)) go()
    })
  }

  message(text: string): boolean {
    if (this.#isStream) return this.#write(text)
    const place = isResponse(text) ? this.#placeOf(text) : undefined
    if (place === undefined) {
      this.#stream()
      return this.#write(text)
    }
    this.#answers[place] = text
    this.#held_chars += text.length
    return this.#held_chars <= HELD_MAX_CHARS || this.#stream()
  }

  ready(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  refused(status: number): void {
    this.#refusals.push(status)
  }

  /** Everything that will come has come. */
  end(server: Server): void {
    const call = this.#call
    const { res } = call
    if (res.destroyed) return
    if (this.#refusals.includes(0)) {
      res.destroy()
      return
    }
    if (this.#isStream) {
      res.end()
      server.record(call)
      return
    }
    // What became of all of them is said by status too: a client learns from a 404 that its session is over.
    const refusal = this.#refusals.length === this.#elements ? new Set(this.#refusals) : null
    const status = refusal?.size === 1 ? this.#refusals[0]! : this.#answers.length === 0 ? 202 : 200
    server.answer(call, status, this.#answers.length === 0 ? '' : `[${this.#answers.join(',')}]`)
  }

  #placeOf(text: string): number | undefined {
    const { id } = JSON.parse(text) as Element
    return this.#places.get(JSON.stringify(id))?.shift()
  }

  /** From an array to a stream: what was held goes first. False: the client takes no more for now. */
  #stream(): boolean {
    this.#isStream = true
    this.#call.http_status = 200
    this.#call.res.writeHead(200, EVENT_STREAM)
    this.#call.res.flushHeaders()
    let isTaken = true
    for (const answer of this.#answers) if (answer !== null) isTaken = this.#write(answer)
    return isTaken
  }

  #write(text: string): boolean {
    const { res } = this.#call
    return res.destroyed || res.write(messageFrame(text))
  }
}
