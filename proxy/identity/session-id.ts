/**
 * The legacy session id that travels on the wire: signed and self-describing, so any worker can read it and none
 * has to remember it. Bound to caller and endpoint, and to an age; the upstream's own id is inside. What is recorded is
 * the handle only.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

export type Session = {
  /** Public name of the session, 32 hex digits; also the trace id of calls that bring no context. */
  readonly handle: string
  readonly caller: string
  /** Name of the server, '' for the roof. */
  readonly server: string
  /** Session id of the upstream, '' under the roof. */
  readonly upstream_id: string
  /** Worker slot that holds the session's state, `HOST` for the host's bridge, '' for neither. */
  readonly owner: string
  readonly client_name: string
  readonly client_version: string
  readonly protocol_version: string
  /** JSON text of the client's capabilities (roof only): enough to open the upstream sessions again. */
  readonly capabilities: string
}

/** Owner of sessions that the host keeps on behalf of a server that has none. No slot is called so. */
export const HOST = 'host'

const PREFIX = 'weir1.'
const CACHE_MAX = 10_000
const ID_MAX_CHARS = 6144

/** Seals and unseals session ids with one key. */
export class SessionSeal {
  readonly #key: Buffer
  readonly #max_age_ms: number
  readonly #cache = new Map<string, { session: Session; until_ms: number }>()

  /** Ids older than `max_age_ms` open nothing. */
  constructor(key: Buffer, max_age_ms: number = Number.POSITIVE_INFINITY) {
    this.#key = key
    this.#max_age_ms = max_age_ms
  }

  seal(session: Session, now_ms: number = Date.now()): string {
    const s = session
    const payload = Buffer.from(
      JSON.stringify([
        s.handle,
        s.caller,
        s.server,
        s.upstream_id,
        s.owner,
        s.client_name,
        s.client_version,
        s.protocol_version,
        s.capabilities,
        now_ms,
      ]),
    ).toString('base64url')
    return `${PREFIX}${payload}.${this.#mac(payload)}`
  }

  /** The session an id stands for; null when it is not one of ours, was altered, or is too old. */
  unseal(id: string, now_ms: number = Date.now()): Session | null {
    const known = this.#cache.get(id)
    if (known) {
      if (now_ms < known.until_ms) return known.session
      this.#cache.delete(id)
      return null
    }
    if (!id.startsWith(PREFIX) || id.length > ID_MAX_CHARS) return null
    const dot = id.lastIndexOf('.')
    const payload = id.slice(PREFIX.length, dot)
    const mac = Buffer.from(id.slice(dot + 1))
    const wanted = Buffer.from(this.#mac(payload))
    if (mac.length !== wanted.length || !timingSafeEqual(mac, wanted)) return null
    const [
      handle,
      caller,
      server,
      upstream_id,
      owner,
      client_name,
      client_version,
      protocol_version,
      capabilities,
      issued_ms,
    ] = JSON.parse(Buffer.from(payload, 'base64url').toString()) as (string | number)[]
    const until_ms = Number(issued_ms) + this.#max_age_ms
    // An id without its age (NaN) is none.
    if (!(now_ms < until_ms)) return null
    const session = {
      handle,
      caller,
      server,
      upstream_id,
      owner,
      client_name,
      client_version,
      protocol_version,
      capabilities,
    } as Session
    if (this.#cache.size >= CACHE_MAX) this.#cache.delete(this.#cache.keys().next().value!)
    this.#cache.set(id, { session, until_ms })
    return session
  }

  #mac(payload: string): string {
    return createHmac('sha256', this.#key).update(payload).digest().subarray(0, 16).toString('base64url')
  }
}
