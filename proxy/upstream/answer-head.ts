/**
 * Status and headers of an answer until they leave. A new session gets its id as late as that: the id says which revision
 * the session speaks, and only the answer itself names it.
 */
import type { ServerResponse } from 'node:http'

export class AnswerHead {
  readonly #res: ServerResponse
  readonly #status: number
  readonly #headers: string[]
  #session: (() => string) | null

  /** `given`: the server's id of a session that this answer opens; `seal` makes the client's of it, null where none opens. */
  constructor(
    res: ServerResponse,
    status: number,
    headers: string[],
    given: unknown,
    seal: ((id: string) => string) | null,
  ) {
    this.#res = res
    this.#status = status
    this.#headers = headers
    this.#session = typeof given === 'string' && seal ? () => seal(given) : null
  }

  /** Nothing holds it back. */
  sendNow(): void {
    if (this.#session !== null) return
    this.send()
    this.#res.flushHeaders()
  }

  /** The answer was read, or is not going to be: the session begins. */
  openSession(): void {
    if (this.#session) this.#headers.push('mcp-session-id', this.#session())
    this.#session = null
  }

  send(): void {
    if (this.#res.headersSent) return
    this.openSession()
    this.#res.writeHead(this.#status, this.#headers)
  }
}
